"""EventBridge Scheduler: schedules invoke functions and queues on the clock, with retries and dead-letter queues."""

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
import urllib3
from botocore.exceptions import ClientError

from localaws import LocalAwsConfig
from tests.support.localaws.harness import Aws, wait_until
from tests.support.localaws.lambda_harness import Lambda

NOTIFY = """
    import json, os
    import boto3

    sqs = boto3.client("sqs")

    def handler(event, context):
        sqs.send_message(QueueUrl=os.environ["DONE"], MessageBody=json.dumps(event))
"""
GROUP = "arn:aws:scheduler:us-east-1:123456789012:schedule-group/default"
OFF = {"Mode": "OFF"}
MINUTE, DAY = 60, 86_400


@pytest.fixture(scope="module")
def config() -> LocalAwsConfig:
    return LocalAwsConfig(port=0, stop_grace=5, clock_speed=0, function_processes=2)


def trust(**condition: Any) -> str:
    statement: dict[str, Any] = {
        "Effect": "Allow", "Principal": {"Service": "scheduler.amazonaws.com"}, "Action": "sts:AssumeRole",
    }  # fmt: skip
    return json.dumps({"Version": "2012-10-17", "Statement": [statement | condition]})


@pytest.fixture(scope="module")
def role(aws: Aws) -> str:
    """A role that may invoke functions and send messages."""
    iam = aws.client("iam")
    arn: str = iam.create_role(
        RoleName="schedules",
        AssumeRolePolicyDocument=trust(Condition={"StringEquals": {"aws:SourceArn": GROUP}}),
    )["Role"]["Arn"]
    actions = ["lambda:InvokeFunction", "sqs:SendMessage"]
    allowed = {"Effect": "Allow", "Action": actions, "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
    iam.put_role_policy(RoleName="schedules", PolicyName="targets", PolicyDocument=policy)
    return arn


@pytest.fixture
def schedule(aws: Aws, role: str, request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Creates a schedule for a target, and deletes it after the test."""
    client = aws.client("scheduler")

    def create(name: str, expression: str, target: str, *, target_settings: Any = None, **settings: Any) -> Any:
        client.create_schedule(
            Name=name,
            ScheduleExpression=expression,
            Target={"Arn": target, "RoleArn": role, **(target_settings or {})},
            **{"FlexibleTimeWindow": OFF, **settings},
        )
        request.addfinalizer(lambda: _delete(client, name))
        return client

    return create


def _delete(client: Any, name: str) -> None:
    if name in [each["Name"] for each in client.list_schedules()["Schedules"]]:
        client.delete_schedule(Name=name)


def now(aws: Aws) -> datetime:
    return datetime.fromisoformat(urllib3.request("GET", f"{aws.server.url}/_embedstack/time").json()["now"])


def set_fault(aws: Aws, rate: float) -> None:
    fault = {"service": "lambda", "kind": "throttle", "rate": rate, "seed": 1}
    assert urllib3.request("POST", f"{aws.server.url}/_embedstack/faults", json=fault).status == 200


def test_rate_invokes_a_function_at_once_and_then_each_period(functions: Lambda, schedule: Any) -> None:
    url, _ = functions.queue("ticks")
    created = functions.create("tick", NOTIFY, Environment={"Variables": {"DONE": url}})
    text = json.dumps({"at": "<aws.scheduler.scheduled-time>", "try": "<aws.scheduler.attempt-number>"})
    start = now(functions.aws)
    schedule("tick", "rate(5 minutes)", created["FunctionArn"], target_settings={"Input": text})
    events = [json.loads(functions.received(url, 1)[0]["Body"])]
    functions.aws.advance(15 * MINUTE)
    events += [json.loads(message["Body"]) for message in functions.received(url, 3)]
    expected = [f"{start + timedelta(minutes=5 * number):%Y-%m-%dT%H:%M:%SZ}" for number in range(4)]
    assert events == [{"at": moment, "try": "1"} for moment in expected]


def test_schedule_without_input_sends_an_event_that_describes_it(functions: Lambda, schedule: Any) -> None:
    url, arn = functions.queue("described")
    moment = now(functions.aws) + timedelta(hours=2)
    client = schedule("once", f"at({moment:%Y-%m-%dT%H:%M:%S})", arn, ActionAfterCompletion="DELETE")
    functions.aws.advance(2 * 3600)
    event = json.loads(functions.received(url, 1)[0]["Body"])
    resource = "arn:aws:scheduler:us-east-1:123456789012:schedule/default/once"
    assert (event["source"], event["resources"], event["detail"]) == ("aws.scheduler", [resource], "{}")
    assert event["time"] == f"{moment:%Y-%m-%dT%H:%M:%SZ}"
    wait_until(lambda: not client.list_schedules(NamePrefix="once")["Schedules"])


def test_cron_follows_its_time_zone_dates_and_state(functions: Lambda, schedule: Any) -> None:
    url, arn = functions.queue("daily")
    start = now(functions.aws)
    settings = {"ScheduleExpressionTimezone": "Asia/Kolkata", "EndDate": start + timedelta(days=2, minutes=1)}
    client = schedule("daily", "cron(30 5 * * ? *)", arn, **settings)
    functions.aws.advance(4 * DAY)
    times = [json.loads(message["Body"])["time"] for message in functions.received(url, 2)]
    first = start.date() + timedelta(days=1)
    assert times == [f"{first + timedelta(days=number)}T00:00:00Z" for number in range(2)]
    described = client.get_schedule(Name="daily")
    assert (described["ScheduleExpressionTimezone"], described["State"]) == ("Asia/Kolkata", "ENABLED")
    kept = {
        name: described[name] for name in described if name in ("FlexibleTimeWindow", "Target") or "Expression" in name
    }
    client.update_schedule(Name="daily", State="DISABLED", **kept)
    functions.aws.advance(2 * DAY)
    client.update_schedule(Name="daily", State="ENABLED", **kept)
    functions.aws.advance(DAY)
    (message,) = functions.received(url, 1)
    assert json.loads(message["Body"])["time"][:10] == f"{now(functions.aws).date()}"
    assert functions.is_empty(url)


def test_failed_invocation_is_sent_to_the_dlq(functions: Lambda, schedule: Any) -> None:
    url, arn = functions.queue("undelivered")
    missing = "arn:aws:lambda:us-east-1:123456789012:function:missing"
    target = {"DeadLetterConfig": {"Arn": arn}, "Input": '{"n": 1}'}
    schedule("broken", "rate(1 day)", missing, target_settings=target)
    (message,) = functions.received(url, 1)
    attributes = {name: value["StringValue"] for name, value in message["MessageAttributes"].items()}
    assert message["Body"] == '{"n": 1}'
    assert (attributes["ERROR_CODE"], attributes["TARGET_ARN"]) == ("ResourceNotFoundException", missing)
    assert (attributes["RETRY_ATTEMPTS"], "EXHAUSTED_RETRY_CONDITION" in attributes) == ("0", False)
    # The role may not publish.
    schedule("denied", "rate(1 day)", "arn:aws:sns:us-east-1:123456789012:topic", target_settings=target)
    (message,) = functions.received(url, 1)
    assert message["MessageAttributes"]["ERROR_CODE"]["StringValue"] == "AccessDeniedException"


def test_throttled_invocation_is_retried_by_its_policy(functions: Lambda, schedule: Any) -> None:
    url, arn = functions.queue("throttled")
    target = functions.create("unreachable", NOTIFY, Environment={"Variables": {"DONE": url}})["FunctionArn"]
    set_fault(functions.aws, 1)
    policy = {"MaximumRetryAttempts": 2, "MaximumEventAgeInSeconds": 3600}
    settings = {"DeadLetterConfig": {"Arn": arn}, "RetryPolicy": policy}
    schedule("throttled", "rate(1 day)", target, target_settings=settings)

    def is_dead() -> bool:
        functions.aws.advance(10)
        return not functions.is_empty(url)

    wait_until(is_dead)
    set_fault(functions.aws, 0)
    (message,) = functions.received(url, 1)
    attributes = {name: value["StringValue"] for name, value in message["MessageAttributes"].items()}
    assert (attributes["RETRY_ATTEMPTS"], attributes["ERROR_CODE"]) == ("2", "TooManyRequestsException")
    assert attributes["EXHAUSTED_RETRY_CONDITION"] == "MaximumRetryAttempts"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"ScheduleExpression": "rate(30 seconds)"}, "Invalid Schedule Expression rate(30 seconds)."),
        ({"ScheduleExpressionTimezone": "Mars/Olympus"}, "Mars/Olympus"),
        ({"GroupName": "nobody"}, "Schedule group nobody does not exist."),
        ({"FlexibleTimeWindow": {"Mode": "FLEXIBLE"}}, "MaximumWindowInMinutes"),
        ({"StartDate": datetime(2020, 1, 1)}, "cannot be earlier than 5 minutes ago"),  # noqa: DTZ001 - as users write it
    ],
)
def test_create_schedule_rejects_invalid_members(schedule: Any, settings: dict[str, Any], message: str) -> None:
    expression = settings.pop("ScheduleExpression", "rate(1 hour)")
    with pytest.raises(ClientError) as refused:
        schedule("invalid", expression, "arn:aws:sqs:us-east-1:123456789012:queue", **settings)
    assert message in refused.value.response["Error"]["Message"]


@pytest.mark.parametrize("document", [trust(Principal={"Service": "lambda.amazonaws.com"}), trust(
    Condition={"ArnLike": {"aws:SourceArn": "arn:aws:scheduler:us-east-1:123456789012:schedule/default/*"}}
)])  # fmt: skip
def test_create_schedule_needs_a_role_that_scheduler_can_assume(aws: Aws, schedule: Any, document: str) -> None:
    iam = aws.client("iam")
    arn = iam.create_role(RoleName="other", AssumeRolePolicyDocument=document)["Role"]["Arn"]
    with pytest.raises(ClientError, match="must allow AWS EventBridge Scheduler to assume the role"):
        schedule("x", "rate(1 hour)", "arn:aws:sqs:us-east-1:123456789012:queue", target_settings={"RoleArn": arn})
    iam.delete_role(RoleName="other")
