"""One invocation of a function, from its admission to its answer, with its log and its metrics."""

import base64
import json
import time
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from localaws.services.lambda_.environment import ExecutionEnvironment
from localaws.services.lambda_.function_log import FunctionLog
from localaws.services.lambda_.log_lines import Report, SystemLines, timed_out
from localaws.services.lambda_.plans import environment_plan
from localaws.services.lambda_.pool import Throttled
from localaws.services.lambda_.runtime_api import Answer, Request

if TYPE_CHECKING:
    from localaws.config import LocalAwsConfig
    from localaws.process.pidfiles import PidFiles
    from localaws.services.lambda_.code import CodeFolders
    from localaws.services.lambda_.metrics import FunctionMetrics
    from localaws.services.lambda_.pool import EnvironmentPool, Lease
    from localaws.services.lambda_.record import FunctionRecord

__all__ = ["SYNCHRONOUS_BYTES", "FunctionResult", "Invoker"]

#: "Invocation payload (request and response)" in the Lambda developer guide's quotas: 6 MB, which is this number in the
#: messages of the service.
SYNCHRONOUS_BYTES = 6_291_556
#: What a start may take before it counts as part of the first invocation ("Understanding the Lambda execution
#: environment lifecycle": AWS begins again within the function's timeout; here the start goes on).
_INIT_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class FunctionResult:
    """What an invocation came to.

    Attributes:
        payload: What the function returned, or the error's document; JSON.
        version: The version that ran.
        request_id: The invocation's id.
        failed: Whether it is an error.
        tail: The end of the invocation's log.
    """

    payload: bytes
    version: str
    request_id: str
    failed: bool = False
    tail: bytes = b""

    @property
    def log_result(self) -> str:
        """The LogResult of the API."""
        return base64.b64encode(self.tail).decode("ascii")


@dataclass(slots=True)
class _Course:
    """What is known of an invocation while it runs."""

    request: Request
    lines: SystemLines
    timeout: float
    start_seconds: float | None = None
    started: float = field(default_factory=time.monotonic)
    status: str = "success"
    platform_error: str = ""


class Invoker:
    """Runs functions; from any number of threads at once."""

    def __init__(
        self,
        config: "LocalAwsConfig",
        pool: "EnvironmentPool",
        folders: "CodeFolders",
        pids: "PidFiles",
        metrics: "FunctionMetrics",
    ) -> None:
        """Prepare."""
        self._config = config
        self._pool = pool
        self._folders = folders
        self._pids = pids
        self._metrics = metrics
        #: What functions find the local AWS by; known once it listens.
        self.client_environment: dict[str, str] = {}

    def invoke(
        self,
        function: "FunctionRecord",
        payload: bytes,
        *,
        reserved_elsewhere: int = 0,
        qualifier: str = "",
        client_context: str | None = None,
        request_id: str = "",
    ) -> FunctionResult:
        """Run a function once and wait for it.

        Args:
            function: The function, or a version of it.
            payload: The event, JSON.
            reserved_elsewhere: What the account's functions have reserved.
            qualifier: The version or alias that was asked for.
            client_context: What the caller sent along, JSON.
            request_id: The invocation's id; a retry keeps it.

        Raises:
            Throttled: The function, or the account, runs as often as it may.
            InterruptedError: The local AWS goes down.
        """
        resource = f"{function.function_name}:{qualifier}" if qualifier else ""
        request = Request(
            request_id or str(uuid.uuid4()), payload or b"{}", 0, _arn(function, qualifier), client_context
        )
        try:
            with self._pool.admitted(function, reserved_elsewhere) as concurrency:
                self._record(function, [("Invocations", 1), ("ConcurrentExecutions", concurrency)], resource)
                result, milliseconds = self._run(function, request)
        except Throttled:
            self._record(function, [("Throttles", 1)], resource)
            raise
        self._record(function, [("Errors", float(result.failed)), ("Duration", milliseconds)], resource)
        return result

    def _record(self, function: "FunctionRecord", samples: list[tuple[str, float]], resource: str) -> None:
        name = function.function_name
        self._metrics.record(function.account_id, function.region, name, samples, resource=resource)

    def _run(self, function: "FunctionRecord", request: Request) -> tuple[FunctionResult, float]:
        lease = self._pool.take(function)
        usable = False
        try:
            course = _Course(request, _lines(function), float(function.timeout))
            answer = None
            if lease.environment is None:
                self._start(function, lease)
                _log(lease)(course.lines.init_start())
                answer = self._await_start(lease, course)
            log = _log(lease)
            log.begin()
            log(course.lines.start(request.request_id, str(function.version)))
            course.started = time.monotonic()
            if answer is None:
                answer = self._await_answer(lease, course)
                usable = course.platform_error == ""
            milliseconds = (time.monotonic() - course.started) * 1000
            self._close_log(function, lease, course, milliseconds)
            result = FunctionResult(
                answer.payload, str(function.version), request.request_id, failed=answer.is_error, tail=log.tail
            )
            return result, milliseconds
        finally:
            self._pool.release(lease, usable=usable)

    def _start(self, function: "FunctionRecord", lease: "Lease") -> None:
        """Start an environment's process; its output goes to a log stream of its own."""
        lease.log = FunctionLog(function, self._config.log_events_per_stream, self._metrics)
        plan = environment_plan(function, lease.log, self._folders, self.client_environment)
        lease.environment = ExecutionEnvironment(plan, self._pids, lease.log)

    def _await_start(self, lease: "Lease", course: _Course) -> Answer | None:
        """Wait for the runtime; the error it ended with, if it did."""
        environment = _environment(lease)
        deadline = course.started + _INIT_SECONDS + course.timeout
        try:
            failed = environment.api.wait_until_ready(deadline, environment.is_alive)
        except TimeoutError:
            failed = self._timeout(lease, course)
        except ChildProcessError:
            failed = _exited(environment, course)
        course.start_seconds = time.monotonic() - course.started
        course.timeout -= max(0.0, course.start_seconds - _INIT_SECONDS)
        environment.flush()  # what the module printed when it was imported belongs before the invocation's first line
        if failed is not None:
            course.status = course.status if course.status != "success" else "error"
            course.platform_error = course.platform_error or failed.error_type
            _log(lease)(course.lines.init_failed(course.start_seconds * 1000, course.platform_error))
        return failed

    def _await_answer(self, lease: "Lease", course: _Course) -> Answer:
        environment = _environment(lease)
        request = Request(
            course.request.request_id,
            course.request.payload,
            time.time() + course.timeout,
            course.request.function_arn,
            course.request.client_context,
        )
        try:
            answer = environment.api.invoke(request, course.started + course.timeout, environment.is_alive)
        except TimeoutError:
            return self._timeout(lease, course)
        except ChildProcessError:
            return _exited(environment, course)
        if answer.is_error:
            course.status = "error"
        if len(answer.payload) > SYNCHRONOUS_BYTES:
            course.status = "error"
            message = f"Response payload size exceeded maximum allowed payload size ({SYNCHRONOUS_BYTES} bytes)."
            return _failure("Function.ResponseSizeTooLarge", message)
        return answer

    def _timeout(self, lease: "Lease", course: _Course) -> Answer:
        """Kill a function that took too long."""
        environment = _environment(lease)
        environment.kill()
        environment.flush()
        course.status, course.platform_error = "timeout", "Sandbox.Timedout"
        request_id, seconds = course.request.request_id, course.timeout
        _log(lease)(timed_out(request_id, seconds))
        return _failure(
            "Sandbox.Timedout", f"RequestId: {request_id} Error: Task timed out after {seconds:.2f} seconds"
        )

    def _close_log(self, function: "FunctionRecord", lease: "Lease", course: _Course, milliseconds: float) -> None:
        environment = _environment(lease)
        environment.flush()
        request_id = course.request.request_id
        log = _log(lease)
        log(course.lines.end(request_id))
        memory = int(function.memory_size)
        used = memory if environment.out_of_memory else min(environment.used_mb(), memory)
        start = course.start_seconds * 1000 if course.start_seconds is not None else None
        error_type = "" if course.status == "timeout" else course.platform_error
        report = Report(request_id, milliseconds, memory, used, start, course.status, error_type)
        log(course.lines.report(report))
        if error_type == "Runtime.ExitError":
            log(f"RequestId: {request_id} Error: {environment.exit_reason}\nRuntime.ExitError")


def _environment(lease: "Lease") -> ExecutionEnvironment:
    if lease.environment is None:
        raise RuntimeError("a lease without an environment")
    return lease.environment


def _log(lease: "Lease") -> FunctionLog:
    if lease.log is None:
        raise RuntimeError("a lease without a log")
    return lease.log


def _exited(environment: ExecutionEnvironment, course: _Course) -> Answer:
    course.status, course.platform_error = "error", "Runtime.ExitError"
    message = f"RequestId: {course.request.request_id} Error: {environment.exit_reason}"
    return _failure("Runtime.ExitError", message)


def _failure(error_type: str, message: str) -> Answer:
    return Answer(json.dumps({"errorType": error_type, "errorMessage": message}).encode(), is_error=True)


def _lines(function: "FunctionRecord") -> SystemLines:
    return SystemLines(str(function.run_time), as_json=function.logging["LogFormat"] == "JSON")


def _arn(function: "FunctionRecord", qualifier: str) -> str:
    return f"{function.unqualified_arn}:{qualifier}" if qualifier else function.unqualified_arn
