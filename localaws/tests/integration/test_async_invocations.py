"""Asynchronous invocations of functions: retries, dead-letter queues and destinations."""

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localaws import LocalAwsConfig
from tests.support.localaws.lambda_harness import Lambda

#: Reports each attempt to a queue, and then fails if the event wants that.
REPORT = """
    import json, os
    import boto3

    sqs = boto3.client("sqs")

    def handler(event, context):
        sqs.send_message(QueueUrl=os.environ["DONE"], MessageBody=json.dumps([event, context.aws_request_id]))
        if event.get("fail"):
            raise ValueError("as wanted")
        return "done"
"""


@pytest.fixture(scope="module")
def config() -> LocalAwsConfig:
    return LocalAwsConfig(port=0, stop_grace=5, clock_speed=0, function_processes=2)


@pytest.fixture(scope="module")
def attempts(functions: Lambda) -> str:
    """The queue that the function ``report`` reports to. Its dead-letter queue is ``dead``."""
    url, _ = functions.queue("attempts")
    _, dead = functions.queue("dead")
    functions.create("report", REPORT, Environment={"Variables": {"DONE": url}}, DeadLetterConfig={"TargetArn": dead})
    return url


def body(message: dict[str, Any]) -> Any:
    return json.loads(message["Body"])


def test_event_invocation_returns_at_once_and_reports_success(functions: Lambda, attempts: str) -> None:
    url, arn = functions.queue("succeeded")
    destinations = {"OnSuccess": {"Destination": arn}}
    functions.client.put_function_event_invoke_config(FunctionName="report", DestinationConfig=destinations)
    response = functions.invoke("report", {"name": "first"}, InvocationType="Event")
    assert (response["StatusCode"], response["Payload"]) == (202, None)
    request_id = response["ResponseMetadata"]["RequestId"]
    assert body(functions.received(attempts, 1)[0]) == [{"name": "first"}, request_id]
    record = body(functions.received(url, 1)[0])
    assert record["requestContext"] == {
        "requestId": request_id,
        "functionArn": "arn:aws:lambda:us-east-1:123456789012:function:report:$LATEST",
        "condition": "Success",
        "approximateInvokeCount": 1,
    }
    assert (record["requestPayload"], record["responsePayload"]) == ({"name": "first"}, "done")
    functions.client.delete_function_event_invoke_config(FunctionName="report")


def test_event_is_retried_twice_and_then_sent_to_the_dlq(functions: Lambda, attempts: str) -> None:
    response = functions.invoke("report", {"fail": True}, InvocationType="Event")
    expected = [{"fail": True}, response["ResponseMetadata"]["RequestId"]]
    for minutes in (1, 2):
        assert body(functions.received(attempts, 1)[0]) == expected
        functions.aws.advance(60 * minutes)
    assert body(functions.received(attempts, 1)[0]) == expected
    dead = functions.sqs.get_queue_url(QueueName="dead")["QueueUrl"]
    message = functions.received(dead, 1)[0]
    assert body(message) == {"fail": True}
    attributes = {name: value["StringValue"] for name, value in message["MessageAttributes"].items()}
    assert attributes == {"RequestID": expected[1], "ErrorCode": "200", "ErrorMessage": "as wanted"}


def test_event_invoke_config_limits_retries_and_is_described(functions: Lambda, attempts: str) -> None:
    url, arn = functions.queue("failed")
    client = functions.client
    client.put_function_event_invoke_config(FunctionName="report", MaximumEventAgeInSeconds=60)
    client.update_function_event_invoke_config(
        FunctionName="report", MaximumRetryAttempts=0, DestinationConfig={"OnFailure": {"Destination": arn}}
    )
    described = client.get_function_event_invoke_config(FunctionName="report")
    assert (described["MaximumEventAgeInSeconds"], described["MaximumRetryAttempts"]) == (60, 0)
    functions.invoke("report", {"fail": True}, InvocationType="Event")
    record = body(functions.received(url, 1)[0])
    assert record["requestContext"]["condition"] == "RetriesExhausted"
    assert record["responseContext"] == {
        "statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled",
    }  # fmt: skip
    assert record["responsePayload"]["errorMessage"] == "as wanted"
    client.delete_function_event_invoke_config(FunctionName="report")
    with pytest.raises(ClientError, match="doesn't have an EventInvokeConfig"):
        client.get_function_event_invoke_config(FunctionName="report")
    functions.received(attempts, 1)
