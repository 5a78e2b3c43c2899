"""make pipeline deploys the packages of the machine that it runs on, whichever that is."""

import re

import pipeline
from embedstack_ops.lambda_packages.wheels import Target


def test_package_variables_describe_this_machine(monkeypatch, tmp_path):
    monkeypatch.setattr(pipeline, "STATE", tmp_path)
    monkeypatch.setattr(Target, "of_this_machine", lambda: Target("x86_64", "3.11"))
    written = pipeline._local_variables()
    assert written == pipeline._VARIABLES
    monkeypatch.setattr(Target, "of_this_machine", lambda: Target("arm64", "3.12"))
    fitting = pipeline._local_variables()
    assert fitting.parent == tmp_path
    settings = dict(re.findall(r'^\s*(\w+)\s*= "(.*)"', fitting.read_text(), re.MULTILINE))
    assert (settings["architecture"], settings["python_version"]) == ("arm64", "3.12")
    assert settings["ingest_package"].endswith(".local/lambda/arm64-3.12/ingest.zip")
    # The AWS provider knows no newer runtime than 3.13; the packages are this machine's all the same.
    monkeypatch.setattr(Target, "of_this_machine", lambda: Target("x86_64", "3.14"))
    settings = dict(re.findall(r'^\s*(\w+)\s*= "(.*)"', pipeline._local_variables().read_text(), re.MULTILINE))
    assert settings["python_version"] == "3.13"
    assert settings["search_package"].endswith(".local/lambda/x86_64-3.14/search.zip")
