"""Lambda without processes: failure reports, log lines, embedded metrics, and packages."""

import io
import json
import platform
import sys
import zipfile
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from localaws.core.clock import SimulatedTime
from localaws.services.cloudwatch.metric_store import MetricId, MetricStore
from localaws.services.lambda_.code import CodeRefused, check_package
from localaws.services.lambda_.function_log import Report, SystemLines
from localaws.services.lambda_.metrics import FunctionMetrics
from localaws.services.lambda_.queue_poller import failed_items


@pytest.mark.parametrize(
    ("report", "failed"),
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
def test_failed_items_reads_partial_failures(report: Any, failed: set[str] | None) -> None:
    assert failed_items(json.dumps(report).encode(), {"a", "b"}) == failed


def test_failed_items_rejects_invalid_json() -> None:
    assert failed_items(b"{", {"a"}) is None


def test_report_of_a_cold_start_in_both_formats() -> None:
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
def test_metrics_ignore_invalid_lines(line: str) -> None:
    store = MetricStore()
    FunctionMetrics(store, SimulatedTime(0)).extract("1", "r", line)
    assert store.metrics("1", "r") == []


def test_metrics_in_a_line_have_dimensions_and_units() -> None:
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


def test_package_must_be_a_zip_archive() -> None:
    with pytest.raises(CodeRefused, match="Could not unzip uploaded file"):
        check_package(b"PK no zip", "x86_64", "python3.13")


HERE = ("arm64" if platform.machine() in ("aarch64", "arm64") else "x86_64", f"python3.{sys.version_info.minor}")
ELSEWHERE = ("x86_64" if HERE[0] == "arm64" else "arm64", "python3.99")
E_MACHINE = {"x86_64": b"\x3e\0", "arm64": b"\xb7\0"}


def compiled(architecture: str, runtime: str) -> bytes:
    """A package with a module for one Python version, and a library for any."""
    header = b"\x7fELF".ljust(18, b"\0") + E_MACHINE[architecture]
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("function.py", "")
        archive.writestr("libs/libany.so.5.1", header)
        archive.writestr(f"module.cpython-{runtime.removeprefix('python').replace('.', '')}-linux-gnu.so", header)
    return buffer.getvalue()


def test_package_for_this_machine_is_accepted() -> None:
    check_package(compiled(*HERE), *HERE)


@pytest.mark.parametrize("declared", [(ELSEWHERE[0], HERE[1]), (HERE[0], ELSEWHERE[1])])
def test_package_for_another_function_configuration_is_rejected(declared: tuple[str, str]) -> None:
    with pytest.raises(CodeRefused, match=f"on {HERE[0]}, but the function is {declared[1]} on {declared[0]}"):
        check_package(compiled(*HERE), *declared)


@pytest.mark.parametrize("other", [(ELSEWHERE[0], HERE[1]), (HERE[0], ELSEWHERE[1])])
def test_package_for_another_machine_is_rejected(other: tuple[str, str]) -> None:
    with pytest.raises(CodeRefused, match=r"but the local AWS runs functions with .* Build the package for this"):
        check_package(compiled(*other), *other)


@pytest.mark.parametrize(("name", "mode"), [("link.py", 0o120777), ("../outside.py", 0o100644), ("/abs.py", 0o100644)])
def test_package_with_unsafe_paths_is_rejected(name, mode):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        info = zipfile.ZipInfo(name)
        info.create_system, info.external_attr = 3, mode << 16
        archive.writestr(info, "function.py")
    with pytest.raises(CodeRefused, match="cannot unpack this archive"):
        check_package(buffer.getvalue(), "x86_64", "python3.13")
