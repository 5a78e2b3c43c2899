"""What fails comes again, ends with its reason, and says nothing of what it carried."""

import json
import logging
import time
from collections import Counter
from typing import Any

import pytest
from botocore.exceptions import ClientError
from moto.sqs.models import sqs_backends

from embedstack.aws.clients import translate_error
from embedstack.errors import EmbedStackError, Throttled
from tests.integration.embedders.stand_in import faults
from tests.integration.functions.conftest import MAX_RECEIVES, context, load

TEXT = "the password is Rumpelstiltskin"


@pytest.fixture
def impatient(monkeypatch):
    """Retries within the function, without their waits."""
    monkeypatch.setattr("embedstack.calls.clock.SystemClock.sleep", lambda self, seconds, cancelled: None)


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


def test_another_revision_of_the_model_is_not_mixed_in(pipeline, monkeypatch):
    pipeline.upload("a.txt", TEXT)
    pipeline.drain()
    pipeline.upload("b.txt", "The dog barks.")
    (message,) = pipeline.receive()
    monkeypatch.setenv("ST_MODEL_REVISION", "refs/pr/21")
    last = {**message, "Attributes": {"ApproximateReceiveCount": str(MAX_RECEIVES)}}
    with load("ingest") as ingest:
        assert ingest(pipeline.event([last]), context()) == {"batchItemFailures": []}
    reason = pipeline.dead_letters()["b.txt"]
    assert reason.startswith("CollectionMismatch: ")
    assert "revision: it has None, asked for was 'refs/pr/21'" in reason


@pytest.mark.parametrize("query", [TEXT, "nothing"])
def test_searches_before_anything_is_ingested_say_so(pipeline, query):
    event = {"version": "2.0", "requestContext": {"http": {"method": "GET"}}, "queryStringParameters": {"q": query}}
    answer = pipeline.search_function(event, context())
    assert answer["statusCode"] == 404
    assert pipeline.bucket in json.loads(answer["body"])["error"]


def test_a_direct_search_is_told_what_is_wrong_with_it_and_fails_nothing(pipeline, capsys):
    answer = pipeline.search_function({"query": "anything", "k": 1000}, context())
    assert (answer["status"], answer["error_type"]) == (400, "InputError")
    assert "k: " in answer["error"]
    assert pipeline.search_function({"query": "anything"}, context())["status"] == 404
    assert counted(capsys) == {"Refused": 2}


def test_a_throttled_search_is_a_failure_of_the_pipelines(pipeline, impatient, capsys):
    pipeline.upload("a.txt", TEXT)
    pipeline.drain()
    capsys.readouterr()
    body = {"body": json.dumps({"query": TEXT}), "requestContext": {"http": {"method": "POST"}}}
    with faults(pipeline.aws.server.url, "sagemaker-runtime", "throttle", 1):
        assert pipeline.search_function(body, context())["statusCode"] == 429
        with pytest.raises(Throttled):
            pipeline.search_function({"query": TEXT}, context())
    assert counted(capsys) == {"Failed": 2}


def counted(capsys):
    """What the functions counted of searches."""
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith('{"_aws"')]
    names = {"Failed", "Refused", "Searches"}
    return dict(sum((Counter({name: line[name][0] for name in names & line.keys()}) for line in lines), Counter()))


@pytest.fixture
def repeating(monkeypatch):
    """A container that answers with an error of a status, and quotes what it was sent."""

    def repeat(status):
        def invoke(self, body, *_):
            response: Any = {
                "Error": {"Code": "ModelError", "Message": body.decode()}, "OriginalStatusCode": status,
                "OriginalMessage": body.decode(), "ResponseMetadata": {"HTTPStatusCode": 424, "RequestId": "r-7"},
            }  # fmt: skip
            raise translate_error(ClientError(response, "InvokeEndpoint"), endpoint=self.endpoint)

        monkeypatch.setattr("embedstack.embedders.sagemaker.embedder.SageMakerEmbedder._invoke", invoke)

    return repeat


@pytest.mark.parametrize("status", [422, 429, 500])
def test_what_a_container_repeats_is_not_handed_on(pipeline, impatient, repeating, status, capsys, caplog):
    pipeline.upload("a.txt", TEXT)
    pipeline.drain()
    repeating(status)
    pipeline.upload("b.txt", TEXT)
    (message,) = pipeline.receive()
    caplog.set_level(logging.INFO)
    last = {**message, "Attributes": {"ApproximateReceiveCount": str(MAX_RECEIVES)}}
    assert pipeline.invoke([last]) == {"batchItemFailures": []}
    raised = ""  # Lambda logs it
    for function, event in (
        (pipeline.ingest, {"bucket": pipeline.bucket, "key": "b.txt"}),
        (pipeline.search_function, {"query": TEXT}),
    ):
        try:
            function(event, context())
        except EmbedStackError as error:
            raised += str(error)
    assert raised or status == 422
    said = capsys.readouterr()
    records = "".join(str(vars(one)) for one in caplog.records if not one.name.startswith(("werkzeug", "moto")))
    ((_, reason),) = pipeline.dead_letters().items()
    assert "r-7" in reason
    assert "Rumpelstiltskin" not in said.out + said.err + records + reason + raised


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
        assert search(event, context())["status"] == 400
    said = capsys.readouterr()
    # The local AWS runs in this process too, and is not what is looked at.
    records = [one for one in caplog.records if not one.name.startswith(("werkzeug", "localaws", "moto"))]
    logged = said.out + said.err + "".join(f"{one.name} {one.getMessage()} {vars(one)}" for one in records)
    assert "A document was looked at" in logged
    assert "Rumpelstiltskin" not in logged
