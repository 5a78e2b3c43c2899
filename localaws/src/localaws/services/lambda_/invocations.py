"""Invocations of functions, with their logs and metrics."""

import base64
import json
import time
import uuid
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING

from localaws.metering.lines import lambda_compute, lambda_requests
from localaws.services.lambda_.environment import ExecutionEnvironment, environment_plan
from localaws.services.lambda_.function_log import FunctionLog, Report, SystemLines, timed_out
from localaws.services.lambda_.pool import Throttled
from localaws.services.lambda_.runtime_api import Outcome, Request

if TYPE_CHECKING:
    from localaws.config import LocalAwsConfig
    from localaws.metering.meter import Meter
    from localaws.process.pid_files import PidFiles
    from localaws.services.lambda_.code import CodeFolders
    from localaws.services.lambda_.metrics import FunctionMetrics
    from localaws.services.lambda_.pool import EnvironmentPool, Lease
    from localaws.services.lambda_.records import FunctionRecord

__all__ = ["SYNCHRONOUS_BYTES", "FunctionResult", "Invoker"]

#: "Invocation payload (request and response)" in the Lambda developer guide's quotas: 6 MB, which is this number in the
#: messages of the service.
SYNCHRONOUS_BYTES = 6_291_556
#: Time limit of the init phase in seconds. After it, AWS restarts the init phase within the function's timeout
#: ("Understanding the Lambda execution environment lifecycle"); here the init phase continues.
_INIT_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class FunctionResult:
    """The result of an invocation.

    Attributes:
        payload: The function's return value or the error, as JSON.
        version: The version that ran.
        request_id: Id of the invocation.
        failed: Whether the payload is an error.
        tail: The last bytes of the invocation's log.
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
class _Invocation:
    """The state of a running invocation."""

    request: Request
    lines: SystemLines
    timeout: float
    start_seconds: float | None = None
    started: float = field(default_factory=time.monotonic)
    status: str = "success"
    platform_error: str = ""


class Invoker:
    """Runs functions. Safe for threads."""

    def __init__(
        self,
        config: "LocalAwsConfig",
        pool: "EnvironmentPool",
        folders: "CodeFolders",
        pids: "PidFiles",
        metrics: "FunctionMetrics",
        meter: "Meter",
    ) -> None:
        """Prepare."""
        self._meter = meter
        self._config = config
        self._pool = pool
        self._folders = folders
        self._pids = pids
        self._metrics = metrics
        #: The port at which functions reach the local AWS; set when it listens.
        self.port = 0

    def invoke(
        self,
        function: "FunctionRecord",
        payload: bytes,
        *,
        reserved_elsewhere: int = 0,
        qualifier: str = "",
        client_context: str | None = None,
        request_id: str | None = None,
    ) -> FunctionResult:
        """Run a function and wait for its result.

        Args:
            function: The function or a version of it.
            payload: The event, JSON.
            reserved_elsewhere: Concurrency reserved by the account's functions.
            qualifier: The version or alias of the request.
            client_context: The client context of the request, as JSON.
            request_id: Id of the invocation; a new one by default.

        Raises:
            Throttled: The concurrency limit of the function or of the account is reached.
            InterruptedError: The local AWS is shutting down.
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

    def _count(self, function: "FunctionRecord", billed: int) -> None:
        """Count an invocation of some billed milliseconds for the bill."""
        account_id, region = function.account_id, function.region
        tags = tuple(sorted((function.tags or {}).items()))
        self._meter.add(lambda_requests(account_id, region, tags), 1)
        gb_seconds = Decimal(billed * int(function.memory_size)) / (1000 * 1024)
        self._meter.add(lambda_compute(account_id, region, function.architectures[0], tags), gb_seconds)

    def _run(self, function: "FunctionRecord", request: Request) -> tuple[FunctionResult, float]:
        lease = self._pool.take(function)
        usable = False
        try:
            invocation = _Invocation(request, _lines(function), float(function.timeout))
            outcome = None
            if lease.environment is None:
                self._start(function, lease)
                _log(lease)(invocation.lines.init_start())
                outcome = self._await_start(lease, invocation)
            log = _log(lease)
            log.begin()
            log(invocation.lines.start(request.request_id, str(function.version)))
            invocation.started = time.monotonic()
            if outcome is None:
                outcome = self._await_outcome(lease, invocation)
                usable = invocation.platform_error == ""
            milliseconds = (time.monotonic() - invocation.started) * 1000
            self._close_log(function, lease, invocation, milliseconds)
            result = FunctionResult(
                outcome.payload, str(function.version), request.request_id, failed=outcome.is_error, tail=log.tail
            )
            return result, milliseconds
        finally:
            self._pool.release(lease, usable=usable)

    def _start(self, function: "FunctionRecord", lease: "Lease") -> None:
        """Start the process of an environment, with a new log stream."""
        lease.log = FunctionLog(function, self._config.log_events_per_stream, self._metrics)
        client_environment = self._config.client_environment(self.port, function.account_id)
        # Lambda does not set this variable.
        del client_environment["AWS_ACCOUNT_ID"]
        plan = environment_plan(function, lease.log, self._folders, client_environment)
        lease.environment = ExecutionEnvironment(plan, self._pids, lease.log)

    def _await_start(self, lease: "Lease", invocation: _Invocation) -> Outcome | None:
        """Wait for the runtime; returns its error if the start failed."""
        environment = _environment(lease)
        deadline = invocation.started + _INIT_SECONDS + invocation.timeout
        try:
            failed = environment.api.wait_until_ready(deadline, environment.is_alive)
        except TimeoutError:
            failed = self._timeout(lease, invocation)
        except ChildProcessError:
            failed = _exited(environment, invocation)
        invocation.start_seconds = time.monotonic() - invocation.started
        invocation.timeout -= max(0.0, invocation.start_seconds - _INIT_SECONDS)
        environment.flush()  # the output of the module's import precedes the first line of the invocation
        if failed is not None:
            invocation.status = invocation.status if invocation.status != "success" else "error"
            invocation.platform_error = invocation.platform_error or failed.error_type
            _log(lease)(invocation.lines.init_failed(invocation.start_seconds * 1000, invocation.platform_error))
        return failed

    def _await_outcome(self, lease: "Lease", invocation: _Invocation) -> Outcome:
        environment = _environment(lease)
        request = Request(
            invocation.request.request_id,
            invocation.request.payload,
            time.time() + invocation.timeout,
            invocation.request.function_arn,
            invocation.request.client_context,
        )
        try:
            outcome = environment.api.invoke(request, invocation.started + invocation.timeout, environment.is_alive)
        except TimeoutError:
            return self._timeout(lease, invocation)
        except ChildProcessError:
            return _exited(environment, invocation)
        if outcome.is_error:
            invocation.status = "error"
        if len(outcome.payload) > SYNCHRONOUS_BYTES:
            invocation.status = "error"
            message = f"Response payload size exceeded maximum allowed payload size ({SYNCHRONOUS_BYTES} bytes)."
            return _failure("Function.ResponseSizeTooLarge", message)
        return outcome

    def _timeout(self, lease: "Lease", invocation: _Invocation) -> Outcome:
        """Kill a function that timed out."""
        environment = _environment(lease)
        environment.kill()
        environment.flush()
        invocation.status, invocation.platform_error = "timeout", "Sandbox.Timedout"
        request_id, seconds = invocation.request.request_id, invocation.timeout
        _log(lease)(timed_out(request_id, seconds))
        return _failure(
            "Sandbox.Timedout", f"RequestId: {request_id} Error: Task timed out after {seconds:.2f} seconds"
        )

    def _close_log(
        self, function: "FunctionRecord", lease: "Lease", invocation: _Invocation, milliseconds: float
    ) -> None:
        environment = _environment(lease)
        environment.flush()
        request_id = invocation.request.request_id
        log = _log(lease)
        log(invocation.lines.end(request_id))
        memory = int(function.memory_size)
        used = memory if environment.out_of_memory else min(environment.used_mb(), memory)
        start = invocation.start_seconds * 1000 if invocation.start_seconds is not None else None
        error_type = "" if invocation.status == "timeout" else invocation.platform_error
        report = Report(request_id, milliseconds, memory, used, start, invocation.status, error_type)
        log(invocation.lines.report(report))
        self._count(function, report.billed)
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


def _exited(environment: ExecutionEnvironment, invocation: _Invocation) -> Outcome:
    invocation.status, invocation.platform_error = "error", "Runtime.ExitError"
    message = f"RequestId: {invocation.request.request_id} Error: {environment.exit_reason}"
    return _failure("Runtime.ExitError", message)


def _failure(error_type: str, message: str) -> Outcome:
    return Outcome(json.dumps({"errorType": error_type, "errorMessage": message}).encode(), is_error=True)


def _lines(function: "FunctionRecord") -> SystemLines:
    return SystemLines(str(function.run_time), as_json=function.logging["LogFormat"] == "JSON")


def _arn(function: "FunctionRecord", qualifier: str) -> str:
    return f"{function.unqualified_arn}:{qualifier}" if qualifier else function.unqualified_arn
