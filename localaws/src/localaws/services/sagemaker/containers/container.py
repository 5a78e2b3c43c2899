"""One container, started on demand, restarted when its process dies, and stopped when idle."""

import contextlib
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from localaws.services.sagemaker.containers.images import LaunchError, ProvisioningError
from localaws.services.sagemaker.containers.process import ContainerProcess, ContainerStartError, LaunchPlan
from localaws.services.sagemaker.telemetry.logs import ContainerLog

if TYPE_CHECKING:
    from localaws.config import LocalAwsConfig
    from localaws.process.pid_files import PidFiles
    from localaws.services.sagemaker.containers.launch import LaunchTemplate

__all__ = ["ContainerFailed", "ModelContainer"]

#: Longest FailureReason of the API.
_MAX_REASON = 1024


class ContainerFailed(Exception):
    """A container did not start; the message is a FailureReason."""


class ModelContainer:
    """Starts its process when needed, shares the start between all waiting callers, and replaces a dead process."""

    def __init__(
        self,
        template: "LaunchTemplate",
        plan: Callable[[], LaunchPlan],
        config: "LocalAwsConfig",
        pids: "PidFiles",
    ) -> None:
        """Prepare a container; nothing runs yet.

        Args:
            template: What it runs.
            plan: Returns how to run it; may raise LaunchError.
            config: Limits and durations.
            pids: Where the containers' processes are recorded.
        """
        self._template = template
        self._plan = plan
        self._config = config
        self._pids = pids
        self._changed = threading.Condition()
        self._retired = False
        self._cancelled = threading.Event()
        self._process: ContainerProcess | None = None
        self._starting = False
        self._in_flight = 0
        self._last_used = time.monotonic()
        self._failure: ContainerFailed | None = None
        self._failures = 0
        self._next_start = 0.0

    @property
    def in_flight(self) -> int:
        """Its requests that have not ended."""
        return self._in_flight

    @property
    def ready(self) -> bool:
        """Whether its process runs."""
        process = self._process
        return process is not None and process.alive

    @property
    def pid(self) -> int | None:
        """The running process's id."""
        process = self._process
        return process.pid if process is not None else None

    def enter(self) -> None:
        """Count one more request in flight."""
        with self._changed:
            self._in_flight += 1

    def leave(self) -> None:
        """Count one request less in flight."""
        with self._changed:
            self._in_flight -= 1
            self._last_used = time.monotonic()
            self._changed.notify_all()

    def running(self) -> tuple[ContainerProcess, float | None]:
        """The running process, and the seconds this caller waited for it to start (None when it was running).

        The first caller without a running process starts it; the others wait for that start and share its failure.

        Raises:
            ContainerFailed: It did not start, or failed so recently that it is not started again yet.
        """
        began = time.monotonic()
        waited = False
        with self._changed:
            while True:
                if self._process is not None and self._process.alive:
                    return self._process, time.monotonic() - began if waited else None
                if not self._starting:
                    if self._failure is not None and (waited or time.monotonic() < self._next_start):
                        raise ContainerFailed(str(self._failure))
                    self._starting, self._failure = True, None
                    dead, self._process = self._process, None
                    break
                waited = True
                self._changed.wait()
        if dead is not None:
            dead.stop()
        return self._start(), time.monotonic() - began

    def tick(self, *, stays_warm: bool) -> None:
        """Stop an idle process, or restart a dead one that has to stay warm. Called periodically."""
        with self._changed:
            if self._retired or self._starting:
                return
            idle = time.monotonic() - self._last_used > self._config.idle_seconds
            if self._process is None or not self._process.alive:
                restart, idle_process = stays_warm and time.monotonic() >= self._next_start, None
            elif idle and not self._in_flight and not stays_warm:
                restart, idle_process, self._process = False, self._process, None
            else:
                return
        if idle_process is not None:
            idle_process.stop()
        elif restart:
            threading.Thread(target=self._restart, name="restart", daemon=True).start()

    def retire(self, drain_timeout: float) -> None:
        """Let requests in flight finish for ``drain_timeout`` seconds, then stop the process for good."""
        with self._changed:
            self._retired = True
            self._changed.wait_for(lambda: self._in_flight == 0, drain_timeout)
            self._cancelled.set()
            self._changed.wait_for(lambda: not self._starting)
            process, self._process = self._process, None
        if process is not None:
            process.stop()

    def _restart(self) -> None:
        with contextlib.suppress(ContainerFailed):
            self.running()

    def _start(self) -> ContainerProcess:
        """Start the process for all waiting callers; called by the one that set ``_starting``."""
        try:
            process = self._launch()
        except ProvisioningError as error:
            raise self._start_failed(str(error)) from error
        except LaunchError as error:
            exited = ContainerStartError(str(error), timed_out=False, tail=str(error))
            raise self._start_failed(self._reason(exited)) from error
        except ContainerStartError as error:
            raise self._start_failed(self._reason(error)) from error
        except Exception as error:
            raise self._start_failed(f"The local AWS could not start the container: {error!r}") from error
        with self._changed:
            self._starting, self._process, self._failures = False, process, 0
            self._last_used = time.monotonic()
            self._changed.notify_all()
        return process

    def _reason(self, error: ContainerStartError) -> str:
        """SageMaker's message, and what the container logged last."""
        reason = self._template.failure_reason(error)
        return f"{reason} Last log lines: {error.tail}" if error.tail else reason

    def _start_failed(self, reason: str) -> ContainerFailed:
        """Wake the waiting callers and delay the next start."""
        failure = ContainerFailed(reason[:_MAX_REASON])
        with self._changed:
            self._starting, self._failure = False, failure
            pause = self._config.restart_backoff * 2 ** min(self._failures, 16)
            self._next_start = time.monotonic() + min(pause, self._config.restart_backoff_limit)
            self._failures += 1
            self._changed.notify_all()
        return failure

    def _launch(self) -> ContainerProcess:
        log = ContainerLog(self._template.log, self._config.log_events_per_stream)
        deadline = time.monotonic() + self._template.start_timeout
        try:
            plan = self._plan()
        except LaunchError as error:
            log.write(str(error))
            raise
        if self._cancelled.is_set():
            raise LaunchError("The container is no longer needed.")
        process = ContainerProcess(plan, self._config, self._pids, log.write)
        try:
            process.wait_until_ready(deadline, self._cancelled)
        except ContainerStartError:
            process.stop(grace=1.0)
            raise
        return process
