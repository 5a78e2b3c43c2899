"""No text, vector, key, password or token in any log, at any level, of this library or of what it is built on."""

import asyncio
import base64
import json
import logging
import threading

import boto3
import numpy as np
import pytest

from embedstack import load_embedder
from embedstack.aws.clients import create_client
from embedstack.cache.kms import KmsKey
from embedstack.documents.dead_letter_queue import DeadLetterQueue
from embedstack.errors import EmbedStackError
from embedstack.generation import Generator
from embedstack.stores import CollectionInfo, Record, load_store
from embedstack.stores.database_secret import read_database_secret

ENDPOINTS = ("own", "tei")
TEXT = "the password is Rumpelstiltskin"
TOKEN = "a-session-token-that-nobody-may-see"  # noqa: S105 - made up


@pytest.fixture
def logged(aws, caplog, monkeypatch):
    """Everything that is logged, at every level, as one text; with credentials that must not be in it."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "veryprivatekey")
    monkeypatch.setenv("AWS_SESSION_TOKEN", TOKEN)
    caplog.set_level(logging.DEBUG)

    def logged():
        records = caplog.get_records("call")
        assert records, "something is logged, so that there is something to look at"
        formatter = logging.Formatter("%(name)s %(message)s")
        return "\n".join(formatter.format(record) for record in records)

    yield logged
    assert "veryprivatekey" not in logged()
    assert TOKEN not in logged()
    assert "Rumpelstiltskin" not in logged()


def digits(vector):
    """Numbers of a vector as a log would show them."""
    return [f"{abs(part):.5f}" for part in vector[:4]]


@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize(
    ("backend", "options"),
    [
        ("sagemaker", {"sagemaker_endpoint": "tei"}),
        ("sagemaker", {"sagemaker_endpoint": "own"}),
        ("bedrock", {}),
        ("ollama", {}),
        ("local", {}),
    ],
)
def test_embedders_log_nothing_confidential(logged, ollama_url, tmp_path, backend, options, is_async):
    with load_embedder(
        embedding_backend=backend, embedstack_cache_file=tmp_path / "cache.db", ollama_host=ollama_url, **options
    ) as embedder:

        def embed(texts, **arguments):
            if is_async:
                return asyncio.run(embedder.aembed(texts, **arguments))
            return embedder.embed(texts, **arguments)

        vector = embed([TEXT])[0]
        embed([TEXT + "!"])
        embed([f"{TEXT} {number}" for number in range(100)])
        embed(["", TEXT + "?" * 10, "word " * 11_000], on_error="collect")
        with pytest.raises(EmbedStackError) as caught:
            embed([TEXT * 2_000])
    for secret in ("Rumpelstiltskin", *digits(vector)):
        assert secret not in logged()
        assert secret not in str(caught.value)


def test_data_key_is_not_logged(aws, logged, tmp_path):
    key_id = create_client("kms", aws.settings).create_key()["KeyMetadata"]["KeyId"]
    secret, stored = KmsKey(key_id, aws.settings).unlock(tmp_path, None)
    assert secret is not None
    assert KmsKey(key_id, aws.settings).unlock(tmp_path, stored)[0] == secret
    for shown in (base64.b64encode(secret).decode(), repr(secret)[2:-1], secret.hex()):
        assert shown not in logged()


def test_database_password_is_not_logged(aws, logged):
    facts = {"username": "u", "password": "Rumpelstiltskin", "host": "h", "port": 5432, "dbname": "d"}
    arn = create_client("secretsmanager", aws.settings).create_secret(Name="db", SecretString=json.dumps(facts))["ARN"]
    assert "Rumpelstiltskin" in read_database_secret(arn, aws.settings)


def test_generation_is_not_logged(aws, logged):
    generator = Generator("anthropic.claude-3-5-haiku-20241022-v1:0", settings=aws.settings)
    assert "Rumpelstiltskin" in generator.generate(TEXT).text
    assert "Rumpelstiltskin" in "".join(generator.stream(TEXT))
    assert "Rumpelstiltskin" in asyncio.run(generator.agenerate(TEXT)).text


def test_records_of_s3_vectors_are_not_logged(aws, logged):
    create_client("s3vectors", aws.settings).create_vector_bucket(vectorBucketName="logs")
    vector = np.random.default_rng(1).normal(size=8).astype(np.float32)
    vector /= np.linalg.norm(vector)
    with load_store(aws.settings, vector_store="s3vectors", vector_bucket="logs") as store:
        collection = store.open(CollectionInfo("logs", "a/model", 8))
        collection.upsert([Record("r", TEXT, vector, {"secret": "Rumpelstiltskin"})])
        assert collection.search(vector, k=1)[0].record.id == "r"
    for part in digits(vector):
        assert part not in logged()


def test_queued_messages_are_not_logged(aws, logged):
    client = create_client("sqs", aws.settings)
    urls = [client.create_queue(QueueName=name)["QueueUrl"] for name in ("dlq", "queue")]
    client.send_message(QueueUrl=urls[0], MessageBody=json.dumps({"text": TEXT}))
    dlq = DeadLetterQueue(aws.settings, *urls)
    for message in dlq.read():
        dlq.resend(message)
    message = client.receive_message(QueueUrl=urls[1], WaitTimeSeconds=5)["Messages"][0]
    assert "Rumpelstiltskin" in message["Body"]


def test_other_clients_of_the_program_are_logged(aws, caplog, tmp_path):
    caplog.set_level(logging.DEBUG)
    key_id = boto3.client("kms").create_key()["KeyMetadata"]["KeyId"]
    ours = threading.Thread(target=lambda: KmsKey(key_id, aws.settings).unlock(tmp_path, None))
    ours.start()
    boto3.client("sqs").create_queue(QueueName="a-queue-of-the-program")
    ours.join()
    assert any("a-queue-of-the-program" in record.getMessage() for record in caplog.records)
