"""What fails comes again, ends with its reason, and says nothing of what it carried."""

import json
import logging
import time

import pytest
from moto.sqs.models import sqs_backends

from tests.integration.embedders.stand_in import faults
from tests.integration.functions.conftest import MAX_RECEIVES, context

TEXT = "the password is Rumpelstiltskin"


@pytest.fixture
def impatient(monkeypatch):
    """Retries within the function, without their waits."""
    monkeypatch.setattr("embedstack.clock.SystemClock.sleep", lambda self, seconds, cancelled: None)


def test_a_throttled_endpoint_makes_messages_come_again_and_then_end_with_the_reason(pipeline, impatient):
    pipeline.upload("a.txt", TEXT)
    (message,) = pipeline.receive()
    with faults(pipeline.aws.server.url, "sagemaker-runtime", "throttle", 1):
        for attempt in range(1, MAX_RECEIVES):
            answer = pipeline.invoke([{**message, "Attributes": {"ApproximateReceiveCount": str(attempt)}}])
            assert answer == {"batchItemFailures": [{"itemIdentifier": message["MessageId"]}]}
        last = {**message, "Attributes": {"ApproximateReceiveCount": str(MAX_RECEIVES)}}
        assert pipeline.invoke([last]) == {"batchItemFailures": []}
    ((source, reason),) = pipeline.dead_letters().items()
    assert source == "a.txt"
    assert reason.startswith("Throttled: ")
    pipeline.send(json.dumps({"bucket": pipeline.bucket, "key": "a.txt"}))
    pipeline.drain()
    assert pipeline.sources() == {"a.txt": 1}


def test_one_bad_message_fails_no_other(pipeline, impatient, monkeypatch):
    pipeline.upload("a.txt", TEXT)
    pipeline.drain()
    pipeline.send(json.dumps({"bucket": "no-such-bucket", "key": "a.txt"}))
    pipeline.upload("b.txt", "The dog barks.")
    messages = pipeline.receive()
    (bad,) = [message for message in messages if "no-such-bucket" in message["Body"]]
    assert pipeline.invoke(messages) == {"batchItemFailures": [{"itemIdentifier": bad["MessageId"]}]}
    assert pipeline.sources() == {"a.txt": 1, "b.txt": 1}


def test_a_failed_message_comes_again_sooner_than_the_queue_says(pipeline):
    pipeline.send(json.dumps({"bucket": "no-such-bucket", "key": "a.txt"}))
    pipeline.invoke(pipeline.receive())
    (kept,) = sqs_backends["123456789012"]["us-east-1"].queues[pipeline.bucket]._messages
    assert 0 < kept.visible_at / 1000 - time.time() <= 15


def test_a_setting_that_is_wrong_is_each_messages_reason(pipeline, monkeypatch):
    monkeypatch.setenv("EMBEDSTACK_TOKENIZER", "/nowhere/tokenizer.json")
    pipeline.upload("a.txt", TEXT)
    (message,) = pipeline.receive()
    last = {**message, "Attributes": {"ApproximateReceiveCount": str(MAX_RECEIVES)}}
    assert pipeline.invoke([last]) == {"batchItemFailures": []}
    assert pipeline.dead_letters()["a.txt"].startswith("ConfigurationError: ")


@pytest.mark.parametrize("query", [TEXT, "nothing"])
def test_searches_before_anything_is_ingested_say_so(pipeline, query):
    event = {"version": "2.0", "requestContext": {"http": {"method": "GET"}}, "queryStringParameters": {"q": query}}
    answer = pipeline.search_function(event, context())
    assert answer["statusCode"] == 404
    assert pipeline.bucket in json.loads(answer["body"])["error"]


def test_no_content_is_logged(pipeline, impatient, monkeypatch, capsys, caplog):
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
    said = capsys.readouterr()
    # The local AWS runs in this process too, and is not what is looked at.
    records = [one for one in caplog.records if not one.name.startswith(("werkzeug", "embedstack.localaws", "moto"))]
    logged = said.out + said.err + "".join(f"{one.name} {one.getMessage()} {vars(one)}" for one in records)
    assert "A document was looked at" in logged
    assert "Rumpelstiltskin" not in logged
