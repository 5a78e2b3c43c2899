"""Failures: retries, reasons in the DLQ, HTTP errors, and no content in logs."""

import json
import logging
import time
from collections import Counter
from typing import Any

import pytest
from botocore.exceptions import ClientError
from moto.sqs.models import sqs_backends

from embedstack.aws.errors import translate_error
from embedstack.errors import EmbedStackError, Throttled
from tests.integration.embedders.stand_in import faults
from tests.integration.functions.conftest import MAX_RECEIVES, context, load

TEXT = "the password is Rumpelstiltskin"


@pytest.fixture
def no_waits(monkeypatch):
    """Skips the waits between retries within the function."""
    monkeypatch.setattr("embedstack.calls.clock.SystemClock.sleep", lambda self, seconds, cancelled: None)


def test_throttled_message_is_retried_then_sent_to_dlq(pipeline, no_waits):
    pipeline.upload("a.txt", TEXT)
    (message,) = pipeline.receive()
    with faults(pipeline.aws.server.url, "sagemaker-runtime", "throttle", 1):
        for attempt in range(1, MAX_RECEIVES):
            response = pipeline.invoke([{**message, "Attributes": {"ApproximateReceiveCount": str(attempt)}}])
            assert response == {"batchItemFailures": [{"itemIdentifier": message["MessageId"]}]}
        last = {**message, "Attributes": {"ApproximateReceiveCount": str(MAX_RECEIVES)}}
        assert pipeline.invoke([last]) == {"batchItemFailures": []}
    ((source, reason),) = pipeline.dead_letters().items()
    assert source == "a.txt"
    assert reason.startswith("Throttled: ")
    pipeline.send(json.dumps({"bucket": pipeline.bucket, "key": "a.txt"}))
    pipeline.drain()
    assert pipeline.sources() == {"a.txt": 1}


def test_failed_message_does_not_fail_the_others(pipeline, no_waits, monkeypatch):
    pipeline.upload("a.txt", TEXT)
    pipeline.drain()
    pipeline.send(json.dumps({"bucket": "no-such-bucket", "key": "a.txt"}))
    pipeline.upload("b.txt", "The dog barks.")
    messages = pipeline.receive()
    (bad,) = [message for message in messages if "no-such-bucket" in message["Body"]]
    assert pipeline.invoke(messages) == {"batchItemFailures": [{"itemIdentifier": bad["MessageId"]}]}
    assert pipeline.sources() == {"a.txt": 1, "b.txt": 1}


def test_failed_message_is_retried_before_the_visibility_timeout(pipeline):
    pipeline.send(json.dumps({"bucket": "no-such-bucket", "key": "a.txt"}))
    pipeline.invoke(pipeline.receive())
    (message,) = sqs_backends["123456789012"]["us-east-1"].queues[pipeline.bucket]._messages
    assert 0 < message.visible_at / 1000 - time.time() <= 15


def test_invalid_setting_is_the_reason_in_the_dlq(pipeline, monkeypatch):
    monkeypatch.setenv("EMBEDSTACK_TOKENIZER", "/nowhere/tokenizer.json")
    pipeline.upload("a.txt", TEXT)
    (message,) = pipeline.receive()
    last = {**message, "Attributes": {"ApproximateReceiveCount": str(MAX_RECEIVES)}}
    assert pipeline.invoke([last]) == {"batchItemFailures": []}
    assert pipeline.dead_letters()["a.txt"].startswith("ConfigurationError: ")


def test_ingest_rejects_another_model_revision(pipeline, monkeypatch):
    pipeline.upload("a.txt", TEXT)
    pipeline.drain()
    pipeline.upload("b.txt", "The dog barks.")
    (message,) = pipeline.receive()
    monkeypatch.setenv("EMBEDDING_MODEL_REVISION", "refs/pr/21")
    last = {**message, "Attributes": {"ApproximateReceiveCount": str(MAX_RECEIVES)}}
    with load("ingest") as ingest:
        assert ingest(pipeline.event([last]), context()) == {"batchItemFailures": []}
    reason = pipeline.dead_letters()["b.txt"]
    assert reason.startswith("CollectionMismatch: ")
    assert "revision: stored None, requested 'refs/pr/21'" in reason


@pytest.mark.parametrize("query", [TEXT, "nothing"])
def test_search_returns_404_before_ingestion(pipeline, query):
    event = {"version": "2.0", "requestContext": {"http": {"method": "GET"}}, "queryStringParameters": {"q": query}}
    response = pipeline.search_function(event, context())
    assert response["statusCode"] == 404
    assert pipeline.bucket in json.loads(response["body"])["error"]


def test_direct_search_returns_client_errors(pipeline, capsys):
    response = pipeline.search_function({"query": "anything", "k": 1000}, context())
    assert (response["status"], response["error_type"]) == (400, "InputError")
    assert "k: " in response["error"]
    assert pipeline.search_function({"query": "anything"}, context())["status"] == 404
    assert search_metrics(capsys) == {"Refused": 2}


def test_throttled_search_counts_as_failed(pipeline, no_waits, capsys):
    pipeline.upload("a.txt", TEXT)
    pipeline.drain()
    capsys.readouterr()
    body = {"body": json.dumps({"query": TEXT}), "requestContext": {"http": {"method": "POST"}}}
    with faults(pipeline.aws.server.url, "sagemaker-runtime", "throttle", 1):
        assert pipeline.search_function(body, context())["statusCode"] == 429
        with pytest.raises(Throttled):
            pipeline.search_function({"query": TEXT}, context())
    assert search_metrics(capsys) == {"Failed": 2}


def search_metrics(capsys):
    """The search function's metrics."""
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith('{"_aws"')]
    names = {"Failed", "Refused", "Searches"}
    return dict(sum((Counter({name: line[name][0] for name in names & line.keys()}) for line in lines), Counter()))


@pytest.fixture
def repeating(monkeypatch):
    """Makes the container return an error that quotes the request."""

    def repeat(status):
        def invoke(self, body, *_):
            response: Any = {
                "Error": {"Code": "ModelError", "Message": body.decode()}, "OriginalStatusCode": status,
                "OriginalMessage": body.decode(), "ResponseMetadata": {"HTTPStatusCode": 424, "RequestId": "r-7"},
            }  # fmt: skip
            raise translate_error(ClientError(response, "InvokeEndpoint"), "sagemaker-runtime", resource=self.endpoint)

        monkeypatch.setattr("embedstack.embedders.sagemaker.embedder.SageMakerEmbedder._invoke", invoke)

    return repeat


@pytest.mark.parametrize("status", [422, 429, 500])
def test_container_messages_are_not_exposed(pipeline, no_waits, repeating, status, capsys, caplog):
    pipeline.upload("a.txt", TEXT)
    pipeline.drain()
    repeating(status)
    pipeline.upload("b.txt", TEXT)
    (message,) = pipeline.receive()
    caplog.set_level(logging.INFO)
    last = {**message, "Attributes": {"ApproximateReceiveCount": str(MAX_RECEIVES)}}
    assert pipeline.invoke([last]) == {"batchItemFailures": []}
    raised = ""  # messages of raised exceptions, which Lambda logs
    for function, event in (
        (pipeline.ingest, {"bucket": pipeline.bucket, "key": "b.txt"}),
        (pipeline.search_function, {"query": TEXT}),
    ):
        try:
            function(event, context())
        except EmbedStackError as error:
            raised += str(error)
    assert raised or status == 422
    output = capsys.readouterr()
    records = "".join(
        str(vars(record)) for record in caplog.records if not record.name.startswith(("werkzeug", "moto"))
    )
    ((_, reason),) = pipeline.dead_letters().items()
    assert "r-7" in reason
    assert "Rumpelstiltskin" not in output.out + output.err + records + reason + raised


def test_functions_log_no_content(pipeline, no_waits, monkeypatch, capsys, caplog):
    for name in ("POWERTOOLS_LOGGER_LOG_EVENT", "POWERTOOLS_TRACER_CAPTURE_RESPONSE"):
        monkeypatch.setenv(name, "true")
    monkeypatch.setenv("POWERTOOLS_LOG_LEVEL", "DEBUG")
    pipeline.upload("Rumpelstiltskin.txt", TEXT)
    pipeline.upload("Rumpelstiltskin.pdf", b"%PDF-1.7 " + TEXT.encode())
    pipeline.send(json.dumps({"bucket": "no-such-bucket", "key": "Rumpelstiltskin"}))
    pipeline.send(TEXT)
    messages = pipeline.receive()
    assert len(messages) == 4
    ingest, search = pipeline.ingest, pipeline.search_function
    caplog.set_level(logging.DEBUG)
    assert len(ingest(pipeline.event(messages), context())["batchItemFailures"]) == 1
    assert search({"query": TEXT}, context())["hits"]
    for event in (
        {"query": TEXT, "filter": {"source": {"$near": "Rumpelstiltskin"}}},
        {"query": TEXT, "k": "Rumpelstiltskin"},
        {"query": "Rumpelstiltskin " * 600},
    ):
        body = {"body": json.dumps(event), "requestContext": {"http": {"method": "POST"}}}
        assert search(body, context())["statusCode"] == 400
        assert search(event, context())["status"] == 400
    output = capsys.readouterr()
    # Excludes logs of the local AWS, which runs in this process.
    records = [record for record in caplog.records if not record.name.startswith(("werkzeug", "localaws", "moto"))]
    logged = (
        output.out + output.err + "".join(f"{record.name} {record.getMessage()} {vars(record)}" for record in records)
    )
    assert "A document was processed" in logged
    assert "Rumpelstiltskin" not in logged
