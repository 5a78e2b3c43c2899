"""The lines that Lambda itself writes into a function's log, as text or as JSON.

Text: "Viewing CloudWatch logs for Python Lambda functions"; JSON: "Lambda Telemetry API Event schema reference", both
in the Lambda developer guide.
"""

import json
import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

__all__ = ["Report", "SystemLines", "timed_out"]


@dataclass(frozen=True, slots=True)
class Report:
    """What an invocation cost.

    Attributes:
        request_id: The invocation.
        duration: Milliseconds of the handler.
        memory_mb: What the function may use.
        used_mb: The most it used so far.
        init: Milliseconds of the start; None where the environment was warm.
        status: ``success``, ``error`` or ``timeout``.
        error_type: Of an error that is not the handler's own.
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
        """Milliseconds billed: those of the start count since August 2025."""
        return max(1, math.ceil(self.duration + (self.init or 0)))


class SystemLines:
    """Writes them in one of the two formats."""

    def __init__(self, runtime: str, *, as_json: bool) -> None:
        """Prepare.

        Args:
            runtime: Such as ``python3.12``.
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
        """The end of a start that failed."""
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
        """The end of an invocation; the JSON format has none."""
        return "" if self._as_json else f"END RequestId: {request_id}"

    def report(self, report: Report) -> str:
        """What it cost."""
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
    """What the log says about an invocation that took too long."""
    return f"{_stamp()} {request_id} Task timed out after {seconds:.2f} seconds"


def _event(kind: str, record: dict[str, Any]) -> str:
    return json.dumps({"time": _stamp(), "type": kind, "record": record}, separators=(",", ":"))


def _stamp() -> str:
    now = datetime.now(UTC)
    return f"{now:%Y-%m-%dT%H:%M:%S}.{now.microsecond // 1000:03d}Z"
