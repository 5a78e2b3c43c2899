"""The real package of the ingest function has all that it needs: it runs where nothing else is installed."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from embedstack.function_package import MAX_ZIP_BYTES, build_function
from embedstack.function_wheels import Target

REPOSITORY = Path(__file__).parents[3]

# Lambda's runtime, in short: imports the handler from the package's folder, and hands it events.
RUNTIME = """if True:
    import json, sys, types
    import function
    context = types.SimpleNamespace(
        function_name="ingest", memory_limit_in_mb=1024, aws_request_id="r", invoked_function_arn="a",
        get_remaining_time_in_millis=lambda: 60_000,
    )
    for line in sys.stdin:
        print("answer", json.dumps(function.handler(json.loads(line), context)), flush=True)
"""


@pytest.fixture(scope="module")
def folder(minilm_folder, tmp_path_factory):
    target = tmp_path_factory.mktemp("package") / "ingest.zip"
    package = build_function(
        "ingest", REPOSITORY, target, target=Target.of_this_machine(), tokenizer=minilm_folder / "tokenizer.json"
    )
    assert package.packed_bytes < MAX_ZIP_BYTES
    unpacked = tmp_path_factory.mktemp("task")
    with zipfile.ZipFile(package.path) as archive:
        archive.extractall(unpacked)
    return unpacked


def test_it_ingests_with_nothing_else_installed(pipeline, folder):
    pipeline.upload("good.md", "# Payment\n\nInvoices are due within thirty days.\n")
    pipeline.upload("broken.pdf", b"%PDF-1.7\n" + b"\0" * 1000)
    needed = ("AWS_", "DATABASE_", "EMBEDSTACK_", "SAGEMAKER_", "VECTOR_", "PATH", "TMPDIR")
    environment = {name: value for name, value in os.environ.items() if name.startswith(needed)}
    events = [{"bucket": pipeline.bucket, "key": key} for key in ("good.md", "broken.pdf")]
    done = subprocess.run(
        [sys.executable, "-S", "-s", "-c", RUNTIME],  # without this machine's packages
        cwd=folder,
        env={**environment, "LAMBDA_TASK_ROOT": str(folder), "PYTHONDONTWRITEBYTECODE": "1"},
        input="\n".join(map(json.dumps, events)),
        capture_output=True,
        text=True,
        check=True,
    )
    answers = [json.loads(line[7:]) for line in done.stdout.splitlines() if line.startswith("answer ")]
    (good,), (broken,) = (answer["documents"] for answer in answers)
    assert (good["done"], good["embedded"]) == ("ingested", 1)
    assert broken["reason"].startswith("DocumentRefused: corrupt: ")
    assert pipeline.sources() == {"good.md": 1}
