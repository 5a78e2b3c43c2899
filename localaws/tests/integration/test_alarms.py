"""CloudWatch alarms over HTTP, on a simulated clock."""

import contextlib
import json
import socket
import threading
import urllib.request
from collections.abc import Callable
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.support.localaws.harness import Aws, wait_until

ACCOUNT = "123456789012"
ERRORS: dict[str, Any] = {
    "ComparisonOperator": "GreaterThanOrEqualToThreshold",
    "EvaluationPeriods": 1,
    "MetricName": "Errors",
    "Namespace": "Shop",
    "Period": 60,
    "Statistic": "Sum",
    "Threshold": 5,
    "TreatMissingData": "notBreaching",
}


@pytest.fixture
def advance(aws: Aws) -> Callable[[float], datetime]:
    """Moves the local AWS's time on, and says what it is."""

    def advance(seconds: float) -> datetime:
        body = json.dumps({"advance": seconds}).encode()
        with urllib.request.urlopen(f"{aws.server.url}/_embedstack/time", body) as response:
            return datetime.fromisoformat(json.load(response)["now"])

    return advance


def state(aws: Aws, name: str) -> str:
    response = aws.cloudwatch.describe_alarms(AlarmNames=[name], AlarmTypes=["MetricAlarm", "CompositeAlarm"])
    (alarm,) = response["MetricAlarms"] + response["CompositeAlarms"]
    return str(alarm["StateValue"])


def messages(sqs: Any, queue: str) -> list[dict[str, Any]]:
    received = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", [])
    return [json.loads(json.loads(message["Body"])["Message"]) for message in received]


def test_alarm_notifies_a_queue_on_each_change(aws: Aws, advance: Callable[[float], datetime]) -> None:
    sns, sqs = aws.client("sns"), aws.client("sqs")
    topic = sns.create_topic(Name="alarms")["TopicArn"]
    queue = sqs.create_queue(QueueName="alarms")["QueueUrl"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=f"arn:aws:sqs:us-east-1:{ACCOUNT}:alarms")
    aws.cloudwatch.put_metric_alarm(AlarmName="errors", AlarmActions=[topic], OKActions=[topic], **ERRORS)
    aws.cloudwatch.put_composite_alarm(AlarmName="ill", AlarmRule='ALARM("errors")', AlarmActions=[topic])
    assert state(aws, "errors") == "INSUFFICIENT_DATA"
    assert state(aws, "ill") == "OK"

    aws.cloudwatch.put_metric_data(Namespace="Shop", MetricData=[{"MetricName": "Errors", "Values": [2, 3]}])
    advance(60)
    wait_until(lambda: state(aws, "ill") == "ALARM")
    notifications: list[dict[str, Any]] = []

    def both_told() -> bool:
        notifications.extend(messages(sqs, queue))
        return len(notifications) == 2

    wait_until(both_told)
    notifications_by_alarm = {message["AlarmName"]: message for message in notifications}
    (alarm,) = aws.cloudwatch.describe_alarms(AlarmNames=["errors"])["MetricAlarms"]
    assert notifications_by_alarm["errors"]["NewStateValue"] == "ALARM"
    assert notifications_by_alarm["errors"]["NewStateReason"] == alarm["StateReason"]
    assert "[5.0 (" in alarm["StateReason"]
    assert notifications_by_alarm["errors"]["Trigger"]["MetricName"] == "Errors"
    assert notifications_by_alarm["errors"]["Region"] == "US East (N. Virginia)"
    assert notifications_by_alarm["ill"]["TriggeringChildren"][0]["Arn"] == alarm["AlarmArn"]
    assert json.loads(alarm["StateReasonData"])["recentDatapoints"] == [5.0]

    advance(300)
    wait_until(lambda: state(aws, "ill") == "OK")
    wait_until(lambda: [message["NewStateValue"] for message in messages(sqs, queue)] == ["OK"])
    history = aws.cloudwatch.describe_alarm_history(AlarmName="errors", HistoryItemType="StateUpdate")
    assert [item["HistorySummary"] for item in history["AlarmHistoryItems"]][:2] == [
        "Alarm updated from ALARM to OK",
        "Alarm updated from INSUFFICIENT_DATA to ALARM",
    ]


def test_alarm_notifies_web_hooks_independently(aws: Aws) -> None:
    requests: list[dict[str, Any]] = []

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            requests.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
            """Stay quiet."""

    sns = aws.client("sns")
    topic = sns.create_topic(Name="hooks")["TopicArn"]
    with ThreadingHTTPServer(("127.0.0.1", 0), Hook) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}).start()
        with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as unused:
            dead = unused.getsockname()[1]
        for port in (dead, server.server_port):
            sns.subscribe(TopicArn=topic, Protocol="http", Endpoint=f"http://127.0.0.1:{port}/")
        aws.cloudwatch.put_metric_alarm(AlarmName="hooked", AlarmActions=[topic], **ERRORS)
        aws.cloudwatch.set_alarm_state(AlarmName="hooked", StateValue="ALARM", StateReason="a drill")
        server.shutdown()
    (message,) = [json.loads(body["Message"]) for body in requests if body["Type"] == "Notification"]
    assert (message["AlarmName"], message["NewStateReason"]) == ("hooked", "a drill")


def test_alarm_cannot_publish_with_the_aws_managed_key(aws: Aws) -> None:
    topic = aws.client("sns").create_topic(Name="locked", Attributes={"KmsMasterKeyId": "alias/aws/sns"})["TopicArn"]
    aws.cloudwatch.put_metric_alarm(AlarmName="unheard", AlarmActions=[topic], **ERRORS)
    aws.cloudwatch.set_alarm_state(AlarmName="unheard", StateValue="ALARM", StateReason="a drill")
    (item,) = aws.cloudwatch.describe_alarm_history(AlarmName="unheard", HistoryItemType="Action")["AlarmHistoryItems"]
    assert "encryption key" in item["HistorySummary"]


def test_set_alarm_state_lasts_until_the_next_evaluation(aws: Aws, advance: Callable[[float], datetime]) -> None:
    aws.cloudwatch.put_metric_alarm(AlarmName="set", **ERRORS)
    aws.cloudwatch.set_alarm_state(AlarmName="set", StateValue="ALARM", StateReason="a drill")
    (alarm,) = aws.cloudwatch.describe_alarms(AlarmNames=["set"])["MetricAlarms"]
    assert (alarm["StateValue"], alarm["StateReason"]) == ("ALARM", "a drill")
    advance(60)
    wait_until(lambda: state(aws, "set") == "OK")


def test_alarm_does_not_run_disabled_actions(aws: Aws) -> None:
    aws.cloudwatch.put_metric_alarm(AlarmName="mute", AlarmActions=[f"arn:aws:sns:us-east-1:{ACCOUNT}:no"], **ERRORS)
    aws.cloudwatch.disable_alarm_actions(AlarmNames=["mute"])
    aws.cloudwatch.set_alarm_state(AlarmName="mute", StateValue="ALARM", StateReason="x")
    aws.cloudwatch.set_alarm_state(AlarmName="mute", StateValue="OK", StateReason="x")
    assert not aws.cloudwatch.describe_alarm_history(AlarmName="mute", HistoryItemType="Action")["AlarmHistoryItems"]

    aws.cloudwatch.enable_alarm_actions(AlarmNames=["mute"])
    aws.cloudwatch.set_alarm_state(AlarmName="mute", StateValue="ALARM", StateReason="x")
    (action,) = aws.cloudwatch.describe_alarm_history(AlarmName="mute", HistoryItemType="Action")["AlarmHistoryItems"]
    assert action["HistorySummary"].startswith("Failed to execute action arn:aws:sns:")
    assert "Topic does not exist" in action["HistorySummary"]


def test_put_metric_alarm_keeps_state_and_tags(aws: Aws) -> None:
    aws.cloudwatch.put_metric_alarm(AlarmName="kept", **ERRORS, Tags=[{"Key": "a", "Value": "1"}])
    aws.cloudwatch.set_alarm_state(AlarmName="kept", StateValue="ALARM", StateReason="x")
    aws.cloudwatch.put_metric_alarm(AlarmName="kept", **ERRORS | {"Threshold": 7})
    (alarm,) = aws.cloudwatch.describe_alarms(AlarmNames=["kept"])["MetricAlarms"]
    assert (alarm["StateValue"], alarm["Threshold"]) == ("ALARM", 7.0)
    assert aws.cloudwatch.list_tags_for_resource(ResourceARN=alarm["AlarmArn"])["Tags"] == [{"Key": "a", "Value": "1"}]


def test_alarm_on_a_percentile(aws: Aws, advance: Callable[[float], datetime]) -> None:
    slow = {"MetricName": "Latency", "Namespace": "Shop", "Period": 60, "ExtendedStatistic": "p95"}
    condition = {"ComparisonOperator": "GreaterThanThreshold", "EvaluationPeriods": 1, "Threshold": 10}
    aws.cloudwatch.put_metric_alarm(AlarmName="slow", **condition, **slow)
    aws.cloudwatch.put_metric_data(
        Namespace="Shop", MetricData=[{"MetricName": "Latency", "Values": [1, 99], "Counts": [90, 10]}]
    )
    advance(60)
    wait_until(lambda: state(aws, "slow") == "ALARM")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"Period": 45}, "Period must be"),
        ({"EvaluationPeriods": 1441}, "more than a day"),
        ({"TreatMissingData": "fine"}, "Option fine is not supported"),
        ({"AlarmActions": ["ops"]}, "Invalid arn syntax: ops"),
        ({"AlarmActions": ["arn:aws:sns:eu-west-1:123456789012:a"]}, "Only us-east-1 is supported"),
        ({"ExtendedStatistic": "p95"}, "mutually exclusive"),
        ({"DatapointsToAlarm": 2}, "DatapointsToAlarm"),
        ({"ComparisonOperator": "GreaterThanUpperThreshold"}, "does not implement"),
        (
            {"Metrics": [{"Id": "m", "Expression": "a / b"}]},
            "does not implement cloudwatch: PutMetricAlarm",
        ),
    ],
    ids=str,
)
def test_put_metric_alarm_rejects_invalid_requests(aws: Aws, change: dict[str, Any], message: str) -> None:
    with pytest.raises(ClientError, match=message):
        aws.cloudwatch.put_metric_alarm(AlarmName="wrong", **ERRORS | change)


def test_put_composite_alarm_requires_its_children(aws: Aws) -> None:
    with pytest.raises(ClientError, match=r"alarms \[nobody\] in the alarm rule do not exist"):
        aws.cloudwatch.put_composite_alarm(AlarmName="lonely", AlarmRule="ALARM(nobody)")
    with pytest.raises(ClientError, match="ValidationError"):
        aws.cloudwatch.put_composite_alarm(AlarmName="lonely", AlarmRule="ALARM(nobody")


def test_describe_alarms_filters_and_pages(aws: Aws) -> None:
    for name in ("page-a", "page-b", "page-c"):
        aws.cloudwatch.put_metric_alarm(AlarmName=name, **ERRORS)
    rule = 'OK("page-a") AND NOT ALARM(page-b)'
    aws.cloudwatch.put_composite_alarm(AlarmName="page-parent", AlarmRule=rule)
    pages = aws.cloudwatch.get_paginator("describe_alarms").paginate(
        AlarmNamePrefix="page-", PaginationConfig={"PageSize": 2}
    )
    assert [[alarm["AlarmName"] for alarm in page["MetricAlarms"]] for page in pages] == [
        ["page-a", "page-b"],
        ["page-c"],
    ]
    children = aws.cloudwatch.describe_alarms(ChildrenOfAlarmName="page-parent")["MetricAlarms"]
    assert [alarm["AlarmName"] for alarm in children] == ["page-a", "page-b"]
    (parent,) = aws.cloudwatch.describe_alarms(AlarmTypes=["CompositeAlarm"], ParentsOfAlarmName="page-a")[
        "CompositeAlarms"
    ]
    assert parent["AlarmRule"] == rule
    aws.cloudwatch.delete_alarms(AlarmNames=["page-parent"])
    assert not aws.cloudwatch.describe_alarms(AlarmTypes=["CompositeAlarm"], AlarmNamePrefix="page-")["CompositeAlarms"]


def test_describe_alarms_for_metric_matches_all_dimensions(aws: Aws) -> None:
    metric = {"Namespace": "Shop", "MetricName": "Orders"}
    eu = [{"Name": "Region", "Value": "eu"}]
    aws.cloudwatch.put_metric_alarm(AlarmName="all-orders", **ERRORS | metric)
    aws.cloudwatch.put_metric_alarm(AlarmName="eu-orders", **ERRORS | metric, Dimensions=eu)

    def names(**filters: Any) -> list[str]:
        alarms = aws.cloudwatch.describe_alarms_for_metric(**metric, **filters)["MetricAlarms"]
        return [alarm["AlarmName"] for alarm in alarms]

    assert names() == ["all-orders"]
    assert names(Dimensions=eu, Statistic="Sum", Period=60) == ["eu-orders"]
    assert names(Dimensions=eu, Statistic="Average") == []


def test_metric_data_is_stamped_with_the_simulated_time(aws: Aws, advance: Callable[[float], datetime]) -> None:
    now = advance(7 * 3600)
    aws.cloudwatch.put_metric_data(Namespace="Shop", MetricData=[{"MetricName": "Later", "Value": 1}])
    window = {"StartTime": now - timedelta(minutes=5), "EndTime": now + timedelta(minutes=1)}
    (point,) = aws.cloudwatch.get_metric_statistics(
        Namespace="Shop", MetricName="Later", Period=60, Statistics=["Sum"], **window
    )["Datapoints"]
    assert abs(point["Timestamp"] - now) <= timedelta(minutes=1)
    with pytest.raises(ClientError, match="within the past two weeks"):
        aws.cloudwatch.put_metric_data(
            Namespace="Shop",
            MetricData=[{"MetricName": "Late", "Value": 1, "Timestamp": now - timedelta(days=15)}],
        )
