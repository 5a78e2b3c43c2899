"""The log of one execution environment: its CloudWatch stream, and the lines that Lambda writes into it.

Text format: "Viewing CloudWatch logs for Python Lambda functions"; JSON format: "Lambda Telemetry API Event schema
reference", both in the Lambda developer guide.
"""

import json
import math
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from localaws.services.logs.log_stream import LogStream

if TYPE_CHECKING:
    from localaws.services.lambda_.metrics import FunctionMetrics
    from localaws.services.lambda_.records import FunctionRecord

__all__ = ["FunctionLog", "Report", "SystemLines", "timed_out"]

#: LogResult holds "up to 4 KB" of the log (API reference of Invoke).
_TAIL_BYTES = 4096


class FunctionLog:
    """Collects the lines of Lambda and of the function.

    Attributes:
        group: The log group.
        stream: The log stream, named by day and version as on AWS.
    """

    def __init__(self, function: "FunctionRecord", max_events: int, metrics: "FunctionMetrics") -> None:
        """Create the stream of a new environment.

        Args:
            function: The function.
            max_events: Maximum number of lines.
            metrics: Records metrics printed in the embedded metric format.
        """
        self.group = str(function.logging["LogGroup"])
        self.stream = f"{datetime.now(UTC):%Y/%m/%d}/[{function.version}]{uuid.uuid4().hex}"
        self._function = function
        self._metrics = metrics
        self._events = LogStream(function.account_id, function.region, self.group, self.stream, max_events)
        self._tail = bytearray()

    @property
    def tail(self) -> bytes:
        """The last lines since :meth:`begin`."""
        return bytes(self._tail)

    def begin(self) -> None:
        """Start a new invocation."""
        self._tail.clear()

    def __call__(self, line: str) -> None:
        """Write a line; an empty line is ignored."""
        if not line:
            return
        self._events.write(line)
        self._metrics.extract(self._function.account_id, self._function.region, line)
        self._tail += line.encode() + b"\n"
        del self._tail[:-_TAIL_BYTES]


@dataclass(frozen=True, slots=True)
class Report:
    """The resources used by an invocation.

    Attributes:
        request_id: Id of the invocation.
        duration: Duration of the handler in milliseconds.
        memory_mb: The function's memory limit.
        used_mb: Maximum memory used.
        init: Duration of the start in milliseconds; None for a warm environment.
        status: ``success``, ``error`` or ``timeout``.
        error_type: Type of an error outside of the handler.
    """

    request_id: str
    duration: float
    memory_mb: int
    used_mb: int
    init: float | None = None
    status: str = "success"
    error_type: str = ""

    @property
    def billed(self) -> int:
        """Billed duration in milliseconds. Since August 2025 it includes the start."""
        return max(1, math.ceil(self.duration + (self.init or 0)))


class SystemLines:
    """Formats the lines that Lambda writes, as text or as JSON."""

    def __init__(self, runtime: str, *, as_json: bool) -> None:
        """Prepare.

        Args:
            runtime: The runtime, such as ``python3.12``.
            as_json: Whether the function's LogFormat is JSON.
        """
        self._runtime = runtime.replace("python", "python:")
        self._as_json = as_json

    def init_start(self) -> str:
        """The start of an environment."""
        if self._as_json:
            record = {"initializationType": "on-demand", "phase": "init", "runtimeVersion": self._runtime}
            return _event("platform.initStart", record)
        return f"INIT_START Runtime Version: {self._runtime}"

    def init_failed(self, milliseconds: float, error_type: str) -> str:
        """The end of a failed start."""
        if self._as_json:
            record = {"phase": "init", "status": "error", "errorType": error_type}
            return _event("platform.initReport", {**record, "metrics": {"durationMs": round(milliseconds, 3)}})
        report = f"INIT_REPORT Init Duration: {milliseconds:.2f} ms\tPhase: init\tStatus: error"
        return f"{report}\tError Type: {error_type}"

    def start(self, request_id: str, version: str) -> str:
        """The start of an invocation."""
        if self._as_json:
            return _event("platform.start", {"requestId": request_id, "version": version})
        return f"START RequestId: {request_id} Version: {version}"

    def end(self, request_id: str) -> str:
        """The end of an invocation; empty in the JSON format."""
        return "" if self._as_json else f"END RequestId: {request_id}"

    def report(self, report: Report) -> str:
        """The report of an invocation."""
        if self._as_json:
            return self._json_report(report)
        fields = [
            f"REPORT RequestId: {report.request_id}",
            f"Duration: {report.duration:.2f} ms",
            f"Billed Duration: {report.billed} ms",
            f"Memory Size: {report.memory_mb} MB",
            f"Max Memory Used: {report.used_mb} MB",
        ]
        if report.init is not None:
            fields.append(f"Init Duration: {report.init:.2f} ms")
        if report.status != "success" and (report.error_type or report.status == "timeout"):
            fields.append(f"Status: {report.status}")
        if report.error_type:
            fields.append(f"Error Type: {report.error_type}")
        return "\t".join([*fields, ""])

    def _json_report(self, report: Report) -> str:
        metrics: dict[str, Any] = {
            "durationMs": round(report.duration, 3),
            "billedDurationMs": report.billed,
            "memorySizeMB": report.memory_mb,
            "maxMemoryUsedMB": report.used_mb,
        }
        if report.init is not None:
            metrics["initDurationMs"] = round(report.init, 3)
        record = {"requestId": report.request_id, "metrics": metrics, "status": report.status}
        if report.error_type:
            record["errorType"] = report.error_type
        return _event("platform.report", record)


def timed_out(request_id: str, seconds: float) -> str:
    """The line about an invocation that timed out."""
    return f"{_stamp()} {request_id} Task timed out after {seconds:.2f} seconds"


def _event(kind: str, record: dict[str, Any]) -> str:
    return json.dumps({"time": _stamp(), "type": kind, "record": record}, separators=(",", ":"))


def _stamp() -> str:
    now = datetime.now(UTC)
    return f"{now:%Y-%m-%dT%H:%M:%S}.{now.microsecond // 1000:03d}Z"
