"""SQS queues as event sources of functions."""

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localaws import LocalAwsConfig
from tests.support.localaws.lambda_harness import Lambda, send

COLLECT = """
    import json, os, time
    import boto3

    sqs = boto3.client("sqs")

    def handler(event, context):
        failed = []
        for record in event["Records"]:
            body = json.loads(record["body"])
            if body.get("die") and record["attributes"]["ApproximateReceiveCount"] == "1":
                os.kill(os.getpid(), 9)
            if body.get("sleep"):
                time.sleep(body["sleep"])
            if body.get("poison"):
                failed.append({"itemIdentifier": record["messageId"]})
                continue
            sqs.send_message(QueueUrl=os.environ["DONE"], MessageBody=json.dumps(
                {"record": record, "batch": len(event["Records"]), "pid": os.getpid()}))
        return {"batchItemFailures": failed}
"""


@pytest.fixture(scope="module")
def config() -> LocalAwsConfig:
    return LocalAwsConfig(port=0, stop_grace=5, clock_speed=0, function_processes=6)


@pytest.fixture
def collect(functions: Lambda, done: str, request: pytest.FixtureRequest) -> Callable[..., tuple[str, str, str]]:
    """Makes a queue with a dead-letter queue that a collecting function reads; URLs of both, and the mapping's id."""

    def collect(name: str, receives: int = 5, visibility: int = 2, **mapping: Any) -> tuple[str, str, str]:
        attributes = {"VisibilityTimeout": str(visibility)}
        url, arn, dead_url = functions.queue_with_dlq(name, receives, **attributes)
        functions.create(name, COLLECT, Timeout=visibility, Environment={"Variables": {"DONE": done}})
        created = functions.client.create_event_source_mapping(
            EventSourceArn=arn,
            FunctionName=name,
            **{"FunctionResponseTypes": ["ReportBatchItemFailures"], **mapping},
        )
        assert created["State"] == "Creating"
        uuid = created["UUID"]
        assert functions.client.get_event_source_mapping(UUID=uuid)["State"] == "Enabled"

        def remove() -> None:
            functions.client.delete_event_source_mapping(UUID=uuid)
            functions.client.delete_function(FunctionName=name)

        request.addfinalizer(remove)
        return url, dead_url, uuid

    return collect


def test_event_source_invokes_with_records_and_deletes_messages(functions: Lambda, collect: Any, done: str) -> None:
    url, _, _ = collect("records")
    attribute = {"kind": {"DataType": "String", "StringValue": "test"}}
    sent = functions.sqs.send_message(QueueUrl=url, MessageBody='{"n": 1}', MessageAttributes=attribute)
    report = json.loads(functions.received(done, 1)[0]["Body"])
    record = report["record"]
    assert (record["messageId"], record["body"]) == (sent["MessageId"], '{"n": 1}')
    assert record["md5OfBody"] == sent["MD5OfMessageBody"]
    assert record["attributes"]["ApproximateReceiveCount"] == "1"
    assert record["attributes"].keys() == {
        "ApproximateReceiveCount", "SentTimestamp", "SenderId", "ApproximateFirstReceiveTimestamp",
    }  # fmt: skip
    assert record["messageAttributes"]["kind"]["stringValue"] == "test"
    assert (record["eventSource"], record["awsRegion"]) == ("aws:sqs", "us-east-1")
    assert record["eventSourceARN"] == "arn:aws:sqs:us-east-1:123456789012:records"
    functions.when(lambda: functions.is_empty(url))


def test_event_source_sends_failed_items_to_the_dlq(functions: Lambda, collect: Any, done: str) -> None:
    url, dead_url, _ = collect("partial", receives=2, visibility=5)
    send(functions, url, {"n": 1}, {"poison": True}, {"n": 2})
    bodies = [json.loads(message["Body"])["record"]["body"] for message in functions.received(done, 2)]
    assert sorted(bodies) == ['{"n": 1}', '{"n": 2}']
    dead = functions.received(dead_url, 1)[0]
    assert dead["Body"] == '{"poison": true}'
    assert dead["Attributes"]["DeadLetterQueueSourceArn"].endswith(":partial")
    assert functions.is_empty(url)


def test_event_source_retries_messages_of_a_killed_function(functions: Lambda, collect: Any, done: str) -> None:
    url, _, _ = collect("killed", visibility=1)
    send(functions, url, {"die": True, "n": 1})
    report = json.loads(functions.received(done, 1)[0]["Body"])
    assert report["record"]["attributes"]["ApproximateReceiveCount"] == "2"
    functions.when(lambda: functions.is_empty(url))


def test_event_source_processes_each_message_once(functions: Lambda, collect: Any, done: str) -> None:
    url, _, _ = collect("many", visibility=20, BatchSize=5, ScalingConfig={"MaximumConcurrency": 3})
    batches = [[{"n": 10 * batch + number} for number in range(10)] for batch in range(30)]
    with ThreadPoolExecutor(6) as threads:
        list(threads.map(lambda batch: send(functions, url, *batch), batches))
    reports = [json.loads(message["Body"]) for message in functions.received(done, 300, timeout=60)]
    assert sorted(json.loads(report["record"]["body"])["n"] for report in reports) == list(range(300))
    assert len({report["pid"] for report in reports}) <= 3
    assert max(report["batch"] for report in reports) <= 5
    functions.when(lambda: functions.is_empty(url))


def test_event_source_loses_no_messages_when_throttled(functions: Lambda, collect: Any, done: str) -> None:
    url, dead_url, _ = collect("throttled", receives=1, visibility=10, BatchSize=1)
    functions.client.put_function_concurrency(FunctionName="throttled", ReservedConcurrentExecutions=1)
    send(functions, url, *({"n": number, "sleep": 0.1} for number in range(8)))
    reports = [json.loads(message["Body"]) for message in functions.received(done, 8)]
    assert len({report["pid"] for report in reports}) == 1
    functions.when(lambda: functions.is_empty(url))
    assert functions.is_empty(dead_url)


def test_event_source_mapping_is_disabled_changed_and_deleted(functions: Lambda, collect: Any, done: str) -> None:
    url, _, uuid = collect("changing", visibility=20)
    updated = functions.client.update_event_source_mapping(UUID=uuid, Enabled=False)
    assert updated["State"] == "Updating"
    assert functions.client.get_event_source_mapping(UUID=uuid)["State"] == "Disabled"
    send(functions, url, {"n": 1}, {"n": 2})
    time.sleep(0.5)
    assert not functions.is_empty(url)
    window = {"BatchSize": 20, "MaximumBatchingWindowInSeconds": 1}
    assert functions.client.update_event_source_mapping(UUID=uuid, Enabled=True, **window)["BatchSize"] == 20
    assert [json.loads(message["Body"])["batch"] for message in functions.received(done, 2)] == [2, 2]


def test_create_event_source_mapping_rejects_invalid_requests(functions: Lambda, collect: Any) -> None:
    collect("strict")
    mapping = {"EventSourceArn": "arn:aws:sqs:us-east-1:123456789012:strict", "FunctionName": "strict"}
    with pytest.raises(functions.client.exceptions.ResourceConflictException, match="already exists"):
        functions.client.create_event_source_mapping(**mapping)
    _, arn = functions.queue("impatient", VisibilityTimeout="1")
    with pytest.raises(ClientError, match="visibility timeout: 1 seconds is less than Function timeout: 2 seconds"):
        functions.client.create_event_source_mapping(**{**mapping, "EventSourceArn": arn})
    _, arn = functions.queue("patient")
    with pytest.raises(ClientError, match="Maximum batch window in seconds must be greater than 0"):
        functions.client.create_event_source_mapping(**{**mapping, "EventSourceArn": arn, "BatchSize": 11})
    criteria = {"Filters": [{"Pattern": "{}"}]}
    with pytest.raises(ClientError, match="FilterCriteria"):
        functions.client.create_event_source_mapping(**{**mapping, "EventSourceArn": arn, "FilterCriteria": criteria})
    with pytest.raises(ClientError, match="NonExistentQueue"):
        functions.client.create_event_source_mapping(**{**mapping, "EventSourceArn": f"{arn}-not"})
