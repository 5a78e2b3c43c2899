"""The function of the daily cost report: its message arrives at a queue that is subscribed to the topic."""

import importlib.util
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from embedstack.costs.ledger import Ledger
from embedstack.costs.records import CallRecord
from localaws.config import LocalAwsConfig
from localaws.gateway.local_aws import LocalAws
from tests.integration.functions.conftest import LAMBDA, context
from tests.support.localaws.harness import Aws

YESTERDAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(hours=12)


@pytest.fixture(scope="module")
def local() -> Iterator[Aws]:
    with LocalAws(LocalAwsConfig(port=0, stop_grace=5)) as server:
        yield Aws(server)


@pytest.fixture
def function(local: Aws, monkeypatch: pytest.MonkeyPatch, tmp_path) -> Any:
    environment = {
        "AWS_ENDPOINT_URL": local.server.url, "AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local", "COSTS_LEDGER": str(tmp_path / "ledger.sqlite"),
        "POWERTOOLS_TRACE_DISABLED": "true",
    }  # fmt: skip
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    spec = importlib.util.spec_from_file_location("cost_report_function", LAMBDA / "cost_report" / "function.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_daily_report_arrives_by_the_topic(function, local, monkeypatch, tmp_path):
    sqs, sns = local.client("sqs"), local.client("sns")
    queue = sqs.create_queue(QueueName="readers")["QueueUrl"]
    topic = sns.create_topic(Name="costs")["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint="arn:aws:sqs:us-east-1:123456789012:readers")
    monkeypatch.setenv("COSTS_REPORT_TOPIC_ARN", topic)
    monkeypatch.setenv("COSTS_REPORT_TAG", "Project=alex")
    ledger = Ledger(str(tmp_path / "ledger.sqlite"))
    ledger.record(
        CallRecord(
            at=YESTERDAY.timestamp(), backend="bedrock", endpoint="", model="amazon.titan-embed-text-v2:0",
            kind="document", texts=4, tokens=10**6, cost=2 * 10**10,
        )
    )  # fmt: skip
    ledger.close()
    result = function.handler({}, context())
    assert result["total_usd"] == "0.02"
    (message,) = sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=10)["Messages"]
    body = json.loads(message["Body"])
    assert body["Subject"] == f"embedstack costs {YESTERDAY:%Y-%m-%d}: $0.02"
    assert "amazon.titan-embed-text-v2:0" in body["Message"]
    assert "Not tracked" in body["Message"]


def test_daily_report_without_a_topic_fails(function):
    with pytest.raises(function.ReportFailed, match="COSTS_REPORT_TOPIC_ARN is not set"):
        function.handler({}, context())


def test_daily_report_refuses_an_invalid_day(function):
    with pytest.raises(function.ReportFailed, match="no valid"):
        function.handler({"day": "yesterday"}, context())
