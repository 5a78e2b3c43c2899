"""Logs, metrics and traces contain no content, whatever the environment configures."""

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
    ServiceUnavailable,
    StoreUnavailable,
    Throttled,
)
from pipeline_functions.telemetry import redacted, redacted_message

REPOSITORY = Path(__file__).parents[3]

PROGRAM = """if True:
    import os, sys, types
    from pipeline_functions.telemetry import create_telemetry, document_tag, log_failure
    from embedstack.errors import DocumentRefused, FilterRefused, ModelFailed, StoreUnavailable

    logger, metrics, traced = create_telemetry("embedstack-ingest")
    segments = []
    if "AWS_XRAY_DAEMON_ADDRESS" in os.environ:
        from aws_xray_sdk.core import xray_recorder
        xray_recorder.emitter.send_entity = lambda entity: segments.append(entity.serialize())
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
    print(*segments, *(f"imported {name}" for name in sys.modules if name == "aws_xray_sdk"))
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
def output():
    return run(
        AWS_XRAY_DAEMON_ADDRESS="127.0.0.1:9",
        _X_AMZN_TRACE_ID="Root=1-5e645f3e-1dfad076a177c5ccc5de12f5;Parent=03514ad8cf4b45f2;Sampled=1",
    )


def test_tracing_records_the_invocation(output):
    assert '"name": "## handler"' in output
    assert "1-5e645f3e-1dfad076a177c5ccc5de12f5" in output


def test_tracing_without_a_daemon_imports_nothing():
    output = run()
    assert "It failed" in output
    assert "aws_xray_sdk" not in output


def test_telemetry_contains_no_document_content(output):
    assert "Rumpelstiltskin" not in output


def test_log_failure_names_error_and_location(output):
    lines = [json.loads(line) for line in output.splitlines() if '"It failed"' in line]
    assert [line["error"] for line in lines] == [
        "DocumentRefused", "FilterRefused", "KeyError", "StoreUnavailable", "ModelFailed"
    ]  # fmt: skip
    *others, container_detail = [line.get("detail") for line in lines]
    assert others == [None, None, None, "gone"]
    assert container_detail.startswith("The endpoint returned no vectors (status 500, request r-1). ")
    assert all(line["where"][-1].endswith("handler") and len(line["document"]) == 16 for line in lines)
    assert all(line["service"] == "embedstack-ingest" and line["function_request_id"] == "r" for line in lines)


def test_metrics_use_the_embedded_metric_format(output):
    (emf,) = [json.loads(line) for line in output.splitlines() if line.startswith('{"_aws"') and "Documents" in line]
    assert emf["_aws"]["CloudWatchMetrics"][0]["Namespace"] == "EmbedStack"
    assert emf["Documents"] == [1.0]
    assert emf["service"] == "embedstack-ingest"


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ModelFailed("secret", original_status=500), "The endpoint returned no vectors (status 500). "),
        (EndpointUnavailable("secret", request_id="r"), "The endpoint returned no vectors (request r). "),
        (Throttled("secret"), "The endpoint throttled the request. "),
        (InputError("secret", request_id="r").at(3), "The endpoint rejected the request (request r). "),
        (PayloadTooLarge("secret", request_id="r"), "The endpoint rejected the request (request r). "),
        (InputError("A text is blank."), "A text is blank."),
        (EndpointAsleep("It wakes.", request_id="r"), "It wakes. [request r]"),
        (StoreUnavailable("It is gone."), "It is gone."),
        (ServiceUnavailable("S3 throttled the request."), "S3 throttled the request."),
    ],
)
def test_redacted_message_hides_container_messages(error, expected):
    assert redacted_message(error).startswith(expected)
    assert str(redacted(error)) == redacted_message(error)
    assert type(redacted(error)) is type(error)
    assert "secret" not in redacted_message(error)
