"""The parts of Lambda that need no process: reports of failures, lines of logs, and metrics in them."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from embedstack.localaws.cloudwatch.metric_store import MetricId, MetricStore
from embedstack.localaws.functions.code import CodeRefused, check_package
from embedstack.localaws.functions.event_source import failed_items
from embedstack.localaws.functions.log_lines import Report, SystemLines
from embedstack.localaws.functions.metrics import FunctionMetrics
from embedstack.localaws.simulated_time import SimulatedTime


@pytest.mark.parametrize(
    ("answer", "failed"),
    [
        (None, set()),
        ({}, set()),
        ({"batchItemFailures": []}, set()),
        ({"batchItemFailures": None}, set()),
        ({"batchItemFailures": [{"itemIdentifier": "a"}]}, {"a"}),
        ({"batchItemFailures": [{"itemIdentifier": "c"}]}, None),
        ({"batchItemFailures": [{"itemIdentifier": ""}]}, None),
        ({"batchItemFailures": [{"itemIdentifier": None}]}, None),
        ({"batchItemFailures": [{"identifier": "a"}]}, None),
        ({"batchItemFailures": "a"}, None),
        ("done", None),
    ],
)
def test_reports_of_partial_failures(answer: Any, failed: set[str] | None) -> None:
    assert failed_items(json.dumps(answer).encode(), {"a", "b"}) == failed


def test_no_json_is_no_report() -> None:
    assert failed_items(b"{", {"a"}) is None


def test_the_report_of_a_cold_start_in_both_formats() -> None:
    report = Report("id", 12.345, 256, 80, 100.5, "error", "Runtime.ExitError")
    assert SystemLines("python3.12", as_json=False).report(report) == (
        "REPORT RequestId: id\tDuration: 12.35 ms\tBilled Duration: 113 ms\tMemory Size: 256 MB\tMax Memory Used: 80 MB"
        "\tInit Duration: 100.50 ms\tStatus: error\tError Type: Runtime.ExitError\t"
    )
    event = json.loads(SystemLines("python3.12", as_json=True).report(report))
    assert event["type"] == "platform.report"
    assert event["record"]["metrics"] == {
        "durationMs": 12.345,
        "billedDurationMs": 113,
        "initDurationMs": 100.5,
        "memorySizeMB": 256,
        "maxMemoryUsedMB": 80,
    }


@pytest.mark.parametrize(
    "line",
    [
        '{"_aws": {"CloudWatchMetrics": [{"Namespace": "N", "Metrics": [{"Name": "missing"}]}]}}',
        '{"_aws": 1}',
        '{"_aws": {"CloudWatchMetrics": 5}}',
        'text with "_aws" in it',
        '{"_aws"',
    ],
)
def test_lines_that_hold_no_metrics(line: str) -> None:
    store = MetricStore()
    FunctionMetrics(store, SimulatedTime(0)).extract("1", "r", line)
    assert store.metrics("1", "r") == []


def test_metrics_in_a_line_have_their_dimensions_and_units() -> None:
    store = MetricStore()
    definitions = [{"Name": "Latency", "Unit": "Milliseconds"}, {"Name": "Count"}]
    directive = {"Namespace": "N", "Dimensions": [["a"], ["a", "b"]], "Metrics": definitions}
    line = {"_aws": {"CloudWatchMetrics": [directive]}, "a": "1", "b": 2, "Latency": [1, 3], "Count": 5}
    FunctionMetrics(store, SimulatedTime(0)).extract("1", "r", json.dumps(line))
    assert len(store.metrics("1", "r")) == 4
    latency = MetricId.of("1", "r", "N", "Latency", [("b", "2"), ("a", "1")])
    now = datetime.now(UTC)
    (point,) = store.datapoints(latency, now - timedelta(hours=1), now + timedelta(hours=1), 7200)
    assert (point.samples.sum, point.samples.count, point.unit) == (4, 2, "Milliseconds")


def test_a_package_is_a_zip() -> None:
    with pytest.raises(CodeRefused, match="Could not unzip uploaded file"):
        check_package(b"PK no zip")
