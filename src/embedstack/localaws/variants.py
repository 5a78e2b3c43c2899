"""A production variant: its capacity, and the one container that it starts, keeps and restarts."""

import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from embedstack.localaws.artefacts import unpack_artefact
from embedstack.localaws.container_process import ContainerProcess, ContainerStartError, LaunchPlan
from embedstack.localaws.images import ContainerDefinition, LaunchError, model_source
from embedstack.localaws.logs import ContainerLog, console_link

if TYPE_CHECKING:
    from embedstack.localaws.config import LocalAwsConfig
    from embedstack.localaws.metrics import VariantId
    from embedstack.localaws.pidfiles import PidFiles

#: Longest FailureReason of the API.
_MAX_REASON = 1024


class VariantThrottled(Exception):
    """As many requests as the variant may take are in flight."""


class VariantRetired(Exception):
    """The variant takes no more requests: its endpoint moved on to another deployment, or is going away."""


class VariantFailed(Exception):
    """The variant's container did not come up; the message is a FailureReason."""


@dataclass(frozen=True, slots=True)
class VariantSpec:
    """A production variant as its endpoint configuration describes it.

    Attributes:
        identity: Endpoint and variant.
        container: What to run.
        production_variant: The ProductionVariant of the API.
    """

    identity: "VariantId"
    container: ContainerDefinition
    production_variant: dict[str, Any]

    @property
    def serverless(self) -> dict[str, int] | None:
        """The ServerlessConfig, or None for an instance-based variant."""
        config: dict[str, int] | None = self.production_variant.get("ServerlessConfig")
        return config

    @property
    def max_concurrency(self) -> int | None:
        """Most requests in flight; None where there is no limit."""
        return self.serverless["MaxConcurrency"] if self.serverless else None

    @property
    def stays_warm(self) -> bool:
        """Whether a container always runs: instances, or provisioned concurrency."""
        return not self.serverless or bool(self.serverless.get("ProvisionedConcurrency"))


@dataclass(frozen=True, slots=True)
class Lease:
    """A container to send one request to.

    Attributes:
        container: The running container.
        setup_seconds: How long this request waited for the container to start; None when it was running.
        in_flight: Requests in flight in the variant, this one included.
    """

    container: ContainerProcess
    setup_seconds: float | None
    in_flight: int


class Variant:
    """Starts its container on demand and hands it out to requests."""

    def __init__(self, spec: VariantSpec, config: "LocalAwsConfig", pids: "PidFiles", work_dir: Path) -> None:
        """Prepare a variant; nothing runs yet.

        Args:
            spec: What the variant is.
            config: Limits and durations.
            pids: Where its process is recorded.
            work_dir: Where an artefact is unpacked.
        """
        self.spec = spec
        self._config = config
        self._pids = pids
        self._work_dir = work_dir
        self._changed = threading.Condition()
        self._retired = False
        self._cancelled = threading.Event()
        self._container: ContainerProcess | None = None
        self._plan: LaunchPlan | None = None
        self._starting = False
        self._in_flight = 0
        self._last_used = time.monotonic()
        self._failure: VariantFailed | None = None
        self._failures = 0
        self._next_start = 0.0

    def start(self) -> None:
        """Start the container and wait for its health check.

        Raises:
            VariantFailed: It did not come up; the message says why.
        """
        self._running_container()

    @contextlib.contextmanager
    def lease(self) -> Iterator[Lease]:
        """Reserve one unit of concurrency and a running container, starting it when there is none.

        Raises:
            VariantThrottled: The variant is at its concurrency limit.
            VariantRetired: The variant takes no requests any more.
            VariantFailed: The container does not start.
        """
        limit = self.spec.max_concurrency
        with self._changed:
            if self._retired:
                raise VariantRetired
            if limit is not None and self._in_flight >= limit:
                raise VariantThrottled
            self._in_flight += 1
            in_flight = self._in_flight
        try:
            container, setup_seconds = self._running_container()
            yield Lease(container, setup_seconds, in_flight)
        finally:
            with self._changed:
                self._in_flight -= 1
                self._last_used = time.monotonic()
                self._changed.notify_all()

    def tick(self) -> None:
        """Stop an idle container, or restart a dead one that has to stay warm. Called every so often."""
        with self._changed:
            if self._retired or self._starting:
                return
            idle = time.monotonic() - self._last_used > self._config.idle_seconds
            if self._container is None or not self._container.alive:
                restart, idle_container = self.spec.stays_warm and time.monotonic() >= self._next_start, None
            elif idle and not self._in_flight and not self.spec.stays_warm:
                restart, idle_container, self._container = False, self._container, None
            else:
                return
        if idle_container is not None:
            idle_container.stop()
        elif restart:
            threading.Thread(target=self._restart, name="restart", daemon=True).start()

    def retire(self, drain_timeout: float) -> None:
        """Take no more requests, let those in flight finish for ``drain_timeout`` seconds, stop the container."""
        with self._changed:
            self._retired = True
            self._changed.wait_for(lambda: self._in_flight == 0, drain_timeout)
            self._cancelled.set()
            self._changed.wait_for(lambda: not self._starting)
            container, self._container = self._container, None
        if container is not None:
            container.stop()

    def _restart(self) -> None:
        with contextlib.suppress(VariantFailed):
            self._running_container()

    def _running_container(self) -> tuple[ContainerProcess, float | None]:
        """The running container, and the seconds this caller waited for it to start (None when it was running).

        The first caller that finds none starts it; the others wait for that start, and share its failure.
        """
        began = time.monotonic()
        waited = False
        with self._changed:
            while True:
                if self._container is not None and self._container.alive:
                    return self._container, time.monotonic() - began if waited else None
                if not self._starting:
                    if self._failure is not None and (waited or time.monotonic() < self._next_start):
                        raise VariantFailed(str(self._failure))
                    self._starting, self._failure = True, None
                    dead, self._container = self._container, None
                    break
                waited = True
                self._changed.wait()
        if dead is not None:
            dead.stop()
        return self._start_container(), time.monotonic() - began

    def _start_container(self) -> ContainerProcess:
        """Start the container for all who wait for it; called by whoever set ``_starting``."""
        try:
            container = self._launch()
        except LaunchError as error:
            raise self._start_failed(str(error)) from error
        except ContainerStartError as error:
            raise self._start_failed(self._failure_reason(error)) from error
        except Exception as error:
            raise self._start_failed(f"The local AWS could not start the container: {error!r}") from error
        with self._changed:
            self._starting, self._container, self._failures = False, container, 0
            self._last_used = time.monotonic()
            self._changed.notify_all()
        return container

    def _start_failed(self, reason: str) -> VariantFailed:
        """Tell those who wait, and hold back the next start for a while."""
        with self._changed:
            self._starting, self._failure = False, VariantFailed(reason)
            pause = self._config.restart_backoff * 2 ** min(self._failures, 16)
            self._next_start = time.monotonic() + min(pause, self._config.restart_backoff_limit)
            self._failures += 1
            self._changed.notify_all()
        return VariantFailed(reason)

    def _launch(self) -> ContainerProcess:
        log = ContainerLog(self.spec.identity, self._config.log_events_per_stream)
        deadline = time.monotonic() + self._start_timeout
        if self._plan is None:
            try:
                self._plan = self._make_plan()
            except LaunchError as error:
                log.write(str(error))
                raise
        container = ContainerProcess(self._plan, self._config, self._pids, log.write)
        try:
            container.wait_until_ready(deadline, self._cancelled)
        except ContainerStartError:
            container.stop(grace=1.0)
            raise
        return container

    def _make_plan(self) -> LaunchPlan:
        container = self.spec.container
        source = model_source(container, self._config.models_dir)
        folder = source.folder
        if source.artefact_url is not None:
            folder = unpack_artefact(
                source.artefact_url, self.spec.identity.account_id, self._work_dir, self._config.artefact_bytes
            )
        if folder is None:
            raise LaunchError("the container has no model")
        return LaunchPlan(
            dialect=container.dialect,
            model_folder=folder,
            model_id=container.environment.get("HF_MODEL_ID") or source.artefact_url or folder.name,
            environment=container.environment,
            label=f"{self.spec.identity.endpoint}/{self.spec.identity.variant}",
        )

    @property
    def _start_timeout(self) -> float:
        if self.spec.serverless:
            return self._config.serverless_start_timeout
        asked = self.spec.production_variant.get("ContainerStartupHealthCheckTimeoutInSeconds")
        return float(asked or self._config.instance_start_timeout)

    def _failure_reason(self, error: ContainerStartError) -> str:
        """SageMaker's sentence, then what the container said last."""
        identity = self.spec.identity
        if not self.spec.serverless:
            reason = (
                f"The {self.spec.container.hostname} container for production variant {identity.variant} did not pass "
                "the ping health check. Please check CloudWatch logs for this endpoint."
            )
        elif error.timed_out:
            allotted = f"{self._config.serverless_start_timeout:g}"
            reason = (
                f"Unable to successfully stand up your model within the allotted {allotted} second timeout. Please "
                "ensure that downloading your model artifacts, starting your model container and passing the ping "
                f"health checks can be completed within {allotted} seconds."
            )
        else:
            reason = (
                'Received server error (0) from model with message "An error occurred while handling request as the '
                f'model process exited.". {console_link(identity)}'
            )
        return f"{reason} Last log lines: {error.tail}"[:_MAX_REASON] if error.tail else reason
