"""An endpoint that scales to zero, by the same Terraform as on AWS: stack, inference component, auto scaling."""

import json
import os
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest

from conftest import MINILM
from embedstack.embedders import SageMakerEmbedder
from embedstack.errors import ConfigurationError, EndpointAsleep
from embedstack.models.catalogue import known_model
from embedstack.settings.settings import load_settings
from embedstack_ops.cli.checkout import client_settings
from embedstack_ops.validation.endpoint_description import describe_deployment
from embedstack_ops.validation.post_apply_check import check_endpoint

ENDPOINT = "alex-embedding-endpoint"
COMPONENT = "alex-embedding-component"
VARIABLES = f"""
name        = "alex"
environment = "test"

endpoints = {{
  embedding = {{
    model         = {{ hub_id = "{MINILM}" }}
    scale_to_zero = {{ instance_type = "ml.c6i.xlarge", min = 0, max = 2 }}
    autoscaling   = {{ tracking = {{ requests_per_second = 20 }} }}
  }}
}}
"""


def _component(stack):
    return stack.client("sagemaker").describe_inference_component(InferenceComponentName=COMPONENT)


def _wait_for_copies(stack, copies):
    """Until auto scaling has moved the component, by a minute at a time."""
    for _ in range(20):
        steady, given_up = time.monotonic() + 0.5, time.monotonic() + 120
        while time.monotonic() < given_up:
            found = _component(stack)
            runtime = found["RuntimeConfig"]
            if found["InferenceComponentStatus"] == "InService" and runtime["CurrentCopyCount"] == copies:
                return
            # A copy that comes up takes this machine's time: minutes without a request meanwhile would send it away.
            if runtime["DesiredCopyCount"] != copies and time.monotonic() > steady:
                break
            time.sleep(0.1)
        stack.advance(60)
    raise AssertionError(_component(stack))


def _script(stack, name, *arguments):
    done = subprocess.run(
        [sys.executable, "-m", "embedstack_ops", name, *arguments],
        cwd=stack.folder, capture_output=True, text=True, check=False, timeout=120, env=os.environ,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@contextmanager
def _started(stack, name, *arguments):
    """A script that runs on meanwhile."""
    process = subprocess.Popen(
        [sys.executable, "-m", "embedstack_ops", name, *arguments],
        cwd=stack.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_endpoint_scales_to_zero_and_wakes_up(stack, monkeypatch):
    root = stack.apply(VARIABLES)
    outputs = root.outputs()
    settings = client_settings(outputs)
    assert (settings["SAGEMAKER_ENDPOINT"], settings["SAGEMAKER_INFERENCE_COMPONENT"]) == (ENDPOINT, COMPONENT)
    checks = check_endpoint(outputs["endpoints"]["embedding"], load_settings())
    assert {check.status for check in checks} == {"passed"}, checks

    # The commands find the only component of the endpoint; the library needs its name.
    deployment = describe_deployment(ENDPOINT, load_settings())
    assert (deployment.component, deployment.status, deployment.model_id) == (COMPONENT, "InService", MINILM)
    assert "384 dimensions" in _script(stack, "invoke", "--endpoint", ENDPOINT, "a text")
    with pytest.raises(ConfigurationError, match="SAGEMAKER_INFERENCE_COMPONENT"):
        SageMakerEmbedder(known_model(MINILM), endpoint=ENDPOINT).embed(["a text"])
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    embedder = SageMakerEmbedder(known_model(MINILM))
    vectors = embedder.embed(["a text"])
    lenient = ["--p50-ms", "60000", "--p95-ms", "60000", "--texts-per-minute", "1"]
    report = json.loads(_script(stack, "validate", "--json", "-", *lenient))
    assert report["passed"], report

    # Without traffic nothing runs, and --wake-minutes 0 leaves it so.
    _wait_for_copies(stack, 0)
    report = json.loads(_script(stack, "validate", "--json", "-", "--wake-minutes", "0", *lenient))
    assert report["passed"]
    assert (report["checks"][-1]["name"], report["checks"][-1]["status"]) == ("first call", "skipped")
    assert "scaled to zero" in report["checks"][-1]["figure"]
    assert _component(stack)["RuntimeConfig"]["DesiredCopyCount"] == 0
    assert stack.is_up_to_date(root)

    # A request wakes it up, and validate waits for the first copy.
    with pytest.raises(EndpointAsleep):
        embedder.embed(["the first request"])
    with _started(stack, "validate", "--json", "-", *lenient) as validating:
        assert any("scaled to zero; waking it up" in line for line in validating.stderr)
        _wait_for_copies(stack, 1)
        printed, _ = validating.communicate(timeout=120)
    assert (validating.returncode, json.loads(printed)["passed"]) == (0, True), printed
    assert abs(embedder.embed(["a text"]) - vectors).max() < 1e-5
