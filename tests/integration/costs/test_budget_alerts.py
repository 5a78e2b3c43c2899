"""Alerts of budgets, sent through the SNS of a local AWS."""

import json
import logging
from datetime import UTC, datetime
from decimal import Decimal

import boto3
import pytest

from embedstack.costs.budget_alerts import BudgetAlerts
from embedstack.costs.budget_limits import Budget, BudgetLimits
from embedstack.costs.budget_store import BudgetStore
from embedstack.costs.ledger import Ledger
from embedstack.costs.records import CallRecord
from embedstack.settings.settings import load_settings
from localaws import LocalAwsConfig
from localaws.gateway.local_aws import LocalAws

DOLLAR = 10**12
DAY = 86_400
DECEMBER = datetime(2026, 12, 1, tzinfo=UTC).timestamp()


@pytest.fixture(scope="module")
def aws():
    with LocalAws(LocalAwsConfig(port=0)) as running:
        yield running


class Topic:
    """A topic that delivers to a queue."""

    def __init__(self, aws, name):
        session = boto3.Session("testing", "testing", region_name="us-east-1")
        self._sns = session.client("sns", endpoint_url=aws.url)
        self._sqs = session.client("sqs", endpoint_url=aws.url)
        self.arn = self._sns.create_topic(Name=name)["TopicArn"]
        self._queue = self._sqs.create_queue(QueueName=name)["QueueUrl"]
        attributes = self._sqs.get_queue_attributes(QueueUrl=self._queue, AttributeNames=["QueueArn"])
        self._sns.subscribe(TopicArn=self.arn, Protocol="sqs", Endpoint=attributes["Attributes"]["QueueArn"])

    def received(self):
        """Subjects and texts that arrived since the last call."""
        messages = self._sqs.receive_message(QueueUrl=self._queue, MaxNumberOfMessages=10).get("Messages", [])
        for message in messages:
            self._sqs.delete_message(QueueUrl=self._queue, ReceiptHandle=message["ReceiptHandle"])
        bodies = [json.loads(message["Body"]) for message in messages]
        return {body["Subject"]: body["Message"] for body in bodies}

    def delete(self):
        self._sns.delete_topic(TopicArn=self.arn)


class Stack:
    """A ledger at a time that a test sets, and the alerts of two processes."""

    def __init__(self, aws, path, topic, limit):
        self.time = DECEMBER
        self.ledger = Ledger(str(path), now=self.now)
        settings = load_settings(aws_endpoint_url=aws.url, aws_region="eu-west-1", costs_alert_topic_arn=topic.arn)
        limits = BudgetLimits({Budget("month"): Decimal(limit)})
        self.alerts = [
            BudgetAlerts(limits, self.ledger, BudgetStore(str(path)), settings=settings, now=self.now) for _ in range(2)
        ]

    def now(self):
        return self.time

    def spend(self, day, dollars):
        at = DECEMBER + (day - 1) * DAY
        self.ledger.record(
            CallRecord(at=at, backend="fake", endpoint="", model="m", kind="query", cost=int(dollars * DOLLAR))
        )

    def check(self):
        return [alerts.check() for alerts in self.alerts]


@pytest.fixture
def stack(aws, tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    opened = []

    def make(topic, limit):
        opened.append(Stack(aws, tmp_path / "ledger.db", topic, limit))
        return opened[-1]

    yield make
    for one in opened:
        one.ledger.close()


def test_each_crossing_is_sent_once_by_all_processes(aws, stack):
    topic = Topic(aws, "crossings")
    one = stack(topic, "100")
    one.spend(1, 79)
    one.check()
    assert topic.received() == {}
    one.spend(1, 1)
    one.check()
    one.check()
    messages = topic.received()
    assert list(messages) == ["The monthly budget has reached 80 % of its limit."]
    (text,) = messages.values()
    assert "Spent since 2026-12-01: $80.00 of $100.00 (80.0 %)." in text
    assert "not enough data" in text
    one.spend(1, 20)
    one.check()
    assert list(topic.received()) == ["The monthly budget is spent."]
    one.check()
    assert topic.received() == {}


def test_forecast_over_the_limit_alerts_before_the_money_is_spent(aws, stack):
    topic = Topic(aws, "forecast")
    one = stack(topic, "100")
    for day in range(1, 10):
        one.spend(day, 4)
    one.time = DECEMBER + 4 * DAY
    one.check()
    assert topic.received() == {}, "four days are not enough data"
    one.time = DECEMBER + 9 * DAY
    one.check()
    messages = topic.received()
    assert list(messages) == ["The monthly budget will be exceeded if calls continue as in the last days."]
    assert "Forecast for 2026-12: $124.00 (linear)." in next(iter(messages.values()))


def test_failing_alert_is_logged_and_sent_later(aws, stack, caplog):
    topic = Topic(aws, "missing")
    topic.delete()
    one = stack(topic, "10")
    one.spend(1, 9)
    with caplog.at_level(logging.WARNING):
        one.check()
    assert caplog.text.count("An alert cannot be sent (attempt 1)") == 1
    one.time += 600
    topic = Topic(aws, "missing")
    one.check()
    assert list(topic.received()) == ["The monthly budget has reached 80 % of its limit."]
    (alert,) = one.check()[0].alerts
    assert (alert.attempts, alert.sent_at, alert.crossed_at) == (2, one.time, DECEMBER)
