"""SQS queues with concurrent receivers, and their metrics."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import urllib3
from botocore.exceptions import ClientError

from localaws import LocalAwsConfig
from tests.support.localaws.lambda_harness import Lambda, send


@pytest.fixture(scope="module")
def config() -> LocalAwsConfig:
    return LocalAwsConfig(port=0, stop_grace=5, clock_speed=0, function_processes=1)


def test_queue_metrics_trigger_alarms(functions: Lambda) -> None:
    url, _ = functions.queue("watched")
    cloudwatch = functions.aws.client("cloudwatch")
    for metric, threshold in (("ApproximateNumberOfMessagesVisible", 1), ("ApproximateAgeOfOldestMessage", 600)):
        cloudwatch.put_metric_alarm(
            AlarmName=metric,
            Namespace="AWS/SQS",
            MetricName=metric,
            Dimensions=[{"Name": "QueueName", "Value": "watched"}],
            Statistic="Maximum",
            Period=60,
            EvaluationPeriods=1,
            Threshold=threshold,
            ComparisonOperator="GreaterThanOrEqualToThreshold",
        )

    def states() -> dict[str, str]:
        return {alarm["AlarmName"]: alarm["StateValue"] for alarm in cloudwatch.describe_alarms()["MetricAlarms"]}

    functions.aws.advance(180)
    functions.when(lambda: set(states().values()) == {"OK"})
    functions.sqs.send_message(QueueUrl=url, MessageBody="waits")
    functions.aws.advance(180)
    functions.when(lambda: states()["ApproximateNumberOfMessagesVisible"] == "ALARM")
    assert states()["ApproximateAgeOfOldestMessage"] == "OK"
    functions.aws.advance(900)
    functions.when(lambda: states()["ApproximateAgeOfOldestMessage"] == "ALARM")


def test_message_move_tasks_are_not_implemented(functions: Lambda) -> None:
    _, arn, _ = functions.queue_with_dlq("moved", 1)
    with pytest.raises(ClientError, match="does not implement sqs: StartMessageMoveTask"):
        functions.sqs.start_message_move_task(SourceArn=f"{arn}-dlq")


def test_concurrent_receivers_get_each_message_once(functions: Lambda) -> None:
    url, _ = functions.queue("shared", VisibilityTimeout="60")
    received: list[str] = []
    sending = threading.Event()
    sending.set()

    def receive() -> None:
        while sending.is_set() or not functions.is_empty(url):
            for message in functions.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", []):
                functions.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
                received.append(message["Body"])

    receivers = [threading.Thread(target=receive) for _ in range(3)]
    for receiver in receivers:
        receiver.start()
    with ThreadPoolExecutor(3) as threads:
        list(threads.map(lambda n: send(functions, url, *({"n": 10 * n + each} for each in range(10))), range(20)))
    sending.clear()
    for receiver in receivers:
        receiver.join()
    assert sorted(json.loads(body)["n"] for body in received) == list(range(200))


def test_inspection_shows_messages_without_changing_them(functions: Lambda) -> None:
    url, arn, dead_url = functions.queue_with_dlq("inspected", receives=1)
    functions.sqs.send_message(
        QueueUrl=url, MessageBody="first", MessageAttributes={"kind": {"DataType": "String", "StringValue": "a"}}
    )
    functions.sqs.receive_message(QueueUrl=url, VisibilityTimeout=600)
    functions.sqs.send_message(QueueUrl=url, MessageBody="second")
    functions.sqs.send_message(QueueUrl=url, MessageBody="third", DelaySeconds=600)
    functions.sqs.send_message(QueueUrl=dead_url, MessageBody="dead")
    path = f"{functions.aws.server.url}/_embedstack/queues"

    for _ in range(2):
        inspected = urllib3.request("GET", f"{path}/inspected/messages?region=us-east-1").json()
        messages = inspected.pop("messages")
        shown = [(message["body"], message["state"], message["receive_count"]) for message in messages]
        assert shown == [("first", "in_flight", 1), ("second", "visible", 0), ("third", "delayed", 0)]
        assert messages[0]["attributes"] == {"kind": "a"}
        queues = urllib3.request("GET", path).json()["queues"]
        assert inspected in queues
        assert {"arn": arn, "visible": 1, "in_flight": 1, "delayed": 1}.items() <= inspected.items()
        assert inspected["dead_letter_queue"].endswith(":inspected-dlq")
    assert len(urllib3.request("GET", f"{path}/inspected/messages?limit=1").json()["messages"]) == 1


def test_inspection_refuses_what_it_cannot_show(functions: Lambda) -> None:
    path = f"{functions.aws.server.url}/_embedstack/queues"
    functions.queue("twice")
    functions.aws.client("sqs", "eu-west-1").create_queue(QueueName="twice")
    for method, target, status in (
        ("POST", path, 405),
        ("GET", f"{path}/missing/messages", 404),
        ("GET", f"{path}/twice/messages", 400),
        ("GET", f"{path}/twice", 400),
        ("GET", f"{path}/twice/messages?limit=x", 400),
    ):
        assert urllib3.request(method, target).status == status, target
    assert urllib3.request("GET", f"{path}/twice/messages?region=eu-west-1").status == 200
    assert urllib3.request("GET", path, headers={"Origin": "http://evil.example"}).status == 403
