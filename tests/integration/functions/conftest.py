"""The functions' handlers on a local AWS: S3 notifies a queue, whose messages are passed to the handlers."""

import importlib.util
import json
import logging
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from conftest import MINILM
from localaws.config import LocalAwsConfig
from localaws.gateway.local_aws import LocalAws
from tests.integration.stores.conftest import database_url
from tests.support.localaws.harness import OWN_IMAGE, Aws

__all__ = ["database_url"]

LAMBDA = Path(__file__).parents[3] / "lambda"
ENDPOINT = "embedding"
MAX_RECEIVES = 3


def context(seconds: float = 60.0) -> Any:
    """A Lambda context whose remaining time is constant."""
    return SimpleNamespace(
        function_name="function", memory_limit_in_mb=1024, aws_request_id=str(uuid.uuid4()),
        invoked_function_arn="arn:aws:lambda:us-east-1:123456789012:function:function",
        get_remaining_time_in_millis=lambda: int(1000 * seconds),
    )  # fmt: skip


@pytest.fixture(scope="module")
def aws() -> Iterator[Aws]:
    """A local AWS with an endpoint of the real all-MiniLM-L6-v2."""
    with LocalAws(LocalAwsConfig(port=0, stop_grace=5)) as server:
        aws = Aws(server)
        aws.create_model(ENDPOINT, OWN_IMAGE, HF_MODEL_ID=MINILM)
        aws.create_config(ENDPOINT, ENDPOINT)
        aws.sagemaker.create_endpoint(EndpointName=ENDPOINT, EndpointConfigName=ENDPOINT)
        assert aws.settled(ENDPOINT)["EndpointStatus"] == "InService"
        yield aws
        aws.delete_endpoint(ENDPOINT)


@contextmanager
def load(name: str) -> Iterator[Callable[[Any, Any], Any]]:
    """A function's handler in a new module, without state of earlier invocations."""
    spec = importlib.util.spec_from_file_location(f"{name}_function", LAMBDA / name / "function.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    try:
        yield module.handler
    finally:
        module.services.reopen()


@dataclass
class Pipeline:
    """A bucket that notifies a queue with a dead-letter queue, and the functions."""

    aws: Aws
    ingest: Callable[[Any, Any], Any]
    search_function: Callable[[Any, Any], Any]
    bucket: str
    queue_url: str
    dlq_url: str
    seconds: float = 60.0
    invocations: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.s3, self.sqs = self.aws.s3, self.aws.client("sqs")

    def upload(self, key: str, content: bytes | str) -> None:
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=content)

    def delete(self, key: str) -> None:
        self.s3.delete_object(Bucket=self.bucket, Key=key)

    def send(self, body: str) -> None:
        self.sqs.send_message(QueueUrl=self.queue_url, MessageBody=body)

    def receive(self, queue_url: str | None = None) -> list[dict[str, Any]]:
        response = self.sqs.receive_message(
            QueueUrl=queue_url or self.queue_url,
            MaxNumberOfMessages=10,
            AttributeNames=["All"],
            MessageAttributeNames=["All"],
        )
        return list(response.get("Messages", []))

    @staticmethod
    def event(messages: list[dict[str, Any]]) -> dict[str, Any]:
        """The event of a batch, as sent by Lambda's event source mapping."""
        records = [
            {
                "messageId": message["MessageId"], "receiptHandle": message["ReceiptHandle"], "body": message["Body"],
                "attributes": message["Attributes"], "messageAttributes": {}, "md5OfBody": message["MD5OfBody"],
                "eventSource": "aws:sqs", "eventSourceARN": "arn:aws:sqs:us-east-1:123456789012:queue",
                "awsRegion": "us-east-1",
            }
            for message in messages
        ]  # fmt: skip
        return {"Records": records}

    def invoke(self, messages: list[dict[str, Any]]) -> dict[str, Any]:
        """Invoke the function with a batch and delete successful messages, like Lambda's event source mapping."""
        response: dict[str, Any] = self.ingest(self.event(messages), context(self.seconds))
        json.dumps(response)
        self.invocations.append(response)
        failed = {failure["itemIdentifier"] for failure in response["batchItemFailures"]}
        for message in messages:
            if message["MessageId"] not in failed:
                self.sqs.delete_message(QueueUrl=self.queue_url, ReceiptHandle=message["ReceiptHandle"])
        return response

    def drain(self, limit: int = 50) -> int:
        """Invoke the function until no message is visible. Returns the number of invocations."""
        for invocations in range(limit):
            messages = self.receive()
            if not messages:
                return invocations
            self.invoke(messages)
        pytest.fail("the queue was not drained")

    def dead_letters(self) -> dict[str, str]:
        """Reasons in the DLQ by source. Deletes the messages."""
        reasons = {}
        while messages := self.receive(self.dlq_url):
            for message in messages:
                attributes = message["MessageAttributes"]
                reasons[attributes["Source"]["StringValue"]] = attributes["Reason"]["StringValue"]
                self.sqs.delete_message(QueueUrl=self.dlq_url, ReceiptHandle=message["ReceiptHandle"])
        return reasons

    def search(self, query: str, **options: Any) -> list[dict[str, Any]]:
        response = json.loads(json.dumps(self.search_function({"query": query, **options}, context())))
        return list(response["hits"])

    def sources(self, query: str = "anything", **options: Any) -> dict[str, int]:
        """Number of hits by source."""
        counts: dict[str, int] = {}
        for hit in self.search(query, k=100, **options):
            counts[hit["source"]] = counts.get(hit["source"], 0) + 1
        return counts


@pytest.fixture
def pipeline(aws: Aws, database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Pipeline]:
    """A bucket, queues and a collection for one test."""
    name = f"p{uuid.uuid4().hex[:12]}"
    sqs = aws.client("sqs")
    dlq_url = sqs.create_queue(QueueName=f"{name}-dlq")["QueueUrl"]
    dlq_arn = sqs.get_queue_attributes(QueueUrl=dlq_url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    redrive = json.dumps({"deadLetterTargetArn": dlq_arn, "maxReceiveCount": MAX_RECEIVES})
    queue_url = sqs.create_queue(
        QueueName=name, Attributes={"RedrivePolicy": redrive, "VisibilityTimeout": "1800"}
    )["QueueUrl"]  # fmt: skip
    queue_arn = sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    statement = {
        "Effect": "Allow", "Principal": {"Service": "s3.amazonaws.com"}, "Action": "sqs:SendMessage",
        "Resource": queue_arn,
    }  # fmt: skip
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    sqs.set_queue_attributes(QueueUrl=queue_url, Attributes={"Policy": policy})
    aws.s3.create_bucket(Bucket=name)
    aws.s3.put_bucket_notification_configuration(
        Bucket=name,
        NotificationConfiguration={
            "QueueConfigurations": [{"QueueArn": queue_arn, "Events": ["s3:ObjectCreated:*", "s3:ObjectRemoved:*"]}]
        },
    )
    sqs.purge_queue(QueueUrl=queue_url)  # removes S3's test event
    environment = {
        "AWS_ENDPOINT_URL": aws.server.url, "AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local",
        "SAGEMAKER_ENDPOINT": ENDPOINT, "VECTOR_STORE": "postgres", "DATABASE_URL": database_url,
        "EMBEDSTACK_COLLECTION": name, "EMBEDSTACK_QUEUE_URL": queue_url, "EMBEDSTACK_DLQ_URL": dlq_url,
        "POWERTOOLS_TRACE_DISABLED": "true",
    }  # fmt: skip
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)
    monkeypatch.chdir(tmp_path)
    with load("ingest") as ingest, load("search") as search:
        yield Pipeline(aws, ingest, search, name, queue_url, dlq_url)


@pytest.fixture(autouse=True)
def _log_levels() -> Iterator[None]:
    """Restores the levels that a function sets when it is imported."""
    levels = {name: logging.getLogger(name).level for name in ("boto3", "botocore", "s3transfer", "urllib3")}
    yield
    for logger, level in levels.items():
        logging.getLogger(logger).setLevel(level)
