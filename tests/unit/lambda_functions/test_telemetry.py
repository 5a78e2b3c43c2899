"""Nothing of a document or a caller is logged, metered or traced, whatever the environment asks for."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from embedstack.errors import (
    EndpointAsleep,
    EndpointUnavailable,
    InputError,
    ModelFailed,
    PayloadTooLarge,
    StoreUnavailable,
    Throttled,
)
from handling.telemetry import tell, without_quotes

REPOSITORY = Path(__file__).parents[3]

PROGRAM = """if True:
    import os, sys, types
    from handling.telemetry import create_telemetry, document_tag, log_failure
    from embedstack.errors import DocumentRefused, FilterRefused, ModelFailed, StoreUnavailable

    logger, metrics, traced = create_telemetry("embedstack-ingest")
    said = []
    if "AWS_XRAY_DAEMON_ADDRESS" in os.environ:
        from aws_xray_sdk.core import xray_recorder
        xray_recorder.emitter.send_entity = lambda entity: said.append(entity.serialize())
    context = types.SimpleNamespace(
        function_name="f", memory_limit_in_mb=128, aws_request_id="r", invoked_function_arn="a"
    )

    @logger.inject_lambda_context(log_event=False)
    @metrics.log_metrics(capture_cold_start_metric=True)
    @traced
    def handler(event, context):
        metrics.add_metric("Documents", "Count", 1)
        refused = DocumentRefused("Rumpelstiltskin.pdf is empty", reason="empty")
        failed = ModelFailed("It failed: Rumpelstiltskin", original_status=500, request_id="r-1")
        for error in (
            refused, FilterRefused("Rumpelstiltskin"), KeyError("Rumpelstiltskin"), StoreUnavailable("gone"), failed
        ):
            try:
                raise error
            except Exception as caught:
                log_failure(logger, "It failed", caught, document=document_tag("Rumpelstiltskin.pdf"))
        return {"text": "Rumpelstiltskin"}

    handler({"key": "Rumpelstiltskin.pdf"}, context)
    print(*said, *(f"imported {name}" for name in sys.modules if name == "aws_xray_sdk"))
"""


def run(**more):
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.pathsep.join([str(REPOSITORY / "src"), str(REPOSITORY / "lambda"), *sys.path]),
        "POWERTOOLS_LOG_LEVEL": "DEBUG",
        "POWERTOOLS_LOGGER_LOG_EVENT": "true",
        "POWERTOOLS_TRACER_CAPTURE_RESPONSE": "true",
        "LAMBDA_TASK_ROOT": "/var/task",
        **more,
    }
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=True)
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def said():
    return run(
        AWS_XRAY_DAEMON_ADDRESS="127.0.0.1:9",
        _X_AMZN_TRACE_ID="Root=1-5e645f3e-1dfad076a177c5ccc5de12f5;Parent=03514ad8cf4b45f2;Sampled=1",
    )


def test_the_invocation_is_traced(said):
    assert '"name": "## handler"' in said
    assert "1-5e645f3e-1dfad076a177c5ccc5de12f5" in said


def test_without_a_daemon_nothing_is_traced_and_nothing_imported_for_it():
    said = run()
    assert "It failed" in said
    assert "aws_xray_sdk" not in said


def test_nothing_is_said_of_a_document(said):
    assert "Rumpelstiltskin" not in said


def test_an_error_is_named_with_its_place(said):
    lines = [json.loads(line) for line in said.splitlines() if '"It failed"' in line]
    assert [line["error"] for line in lines] == [
        "DocumentRefused", "FilterRefused", "KeyError", "StoreUnavailable", "ModelFailed"
    ]  # fmt: skip
    *others, failed = [line.get("said") for line in lines]
    assert others == [None, None, None, "gone"]
    assert failed.startswith("The endpoint gave no vectors (status 500, request r-1): ")
    assert all(line["where"][-1].endswith("handler") and len(line["document"]) == 16 for line in lines)
    assert all(line["service"] == "embedstack-ingest" and line["function_request_id"] == "r" for line in lines)


def test_metrics_are_in_the_embedded_format(said):
    (emf,) = [json.loads(line) for line in said.splitlines() if line.startswith('{"_aws"') and "Documents" in line]
    assert emf["_aws"]["CloudWatchMetrics"][0]["Namespace"] == "EmbedStack"
    assert emf["Documents"] == [1.0]
    assert emf["service"] == "embedstack-ingest"


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ModelFailed("secret", original_status=500), "The endpoint gave no vectors (status 500): "),
        (EndpointUnavailable("secret", request_id="r"), "The endpoint gave no vectors (request r): "),
        (Throttled("secret"), "The endpoint takes no more requests at once: "),
        (InputError("secret", request_id="r").at(3), "The endpoint refused the request (request r): "),
        (PayloadTooLarge("secret", request_id="r"), "The endpoint refused the request (request r): "),
        (InputError("A text is blank."), "A text is blank."),
        (EndpointAsleep("It wakes.", request_id="r"), "It wakes. [request r]"),
        (StoreUnavailable("It is gone."), "It is gone."),
    ],
)
def test_a_containers_words_are_not_told(error, told):
    assert tell(error).startswith(told)
    assert str(without_quotes(error)) == tell(error)
    assert type(without_quotes(error)) is type(error)
    assert "secret" not in tell(error)
