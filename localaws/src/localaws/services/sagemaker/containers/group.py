"""Several containers of one kind: scaled out and in, and handed out to requests one by one."""

import contextlib
import random
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from localaws.core.threads import at_the_same_time
from localaws.services.sagemaker.containers.container import ContainerFailed, ModelContainer
from localaws.services.sagemaker.containers.process import ContainerProcess, LaunchPlan

if TYPE_CHECKING:
    from localaws.config import LocalAwsConfig
    from localaws.process.pid_files import PidFiles
    from localaws.services.sagemaker.containers.launch import LaunchTemplate

__all__ = ["ContainerGroup", "GroupRetired", "GroupThrottled", "Lease", "NoCapacity"]


class GroupThrottled(Exception):
    """As many requests as the group may take are in flight."""


class GroupRetired(Exception):
    """The group takes no more requests: its endpoint moved on to another deployment, or is going away."""


class NoCapacity(Exception):
    """The group has no containers: it was scaled to 0."""


@dataclass(frozen=True, slots=True)
class Lease:
    """A container to send one request to.

    Attributes:
        container: The running container.
        setup_seconds: How long this request waited for the container to start; None when it was running.
        in_flight: Requests in flight in the group, this one included.
        size: Containers of the group.
    """

    container: ContainerProcess
    setup_seconds: float | None
    in_flight: int
    size: int


class ContainerGroup:
    """Keeps ``desired`` containers, in the name of a production variant or of an inference component.

    Attributes:
        max_concurrency: Most requests in flight in all containers together; None where there is no limit.
        stays_warm: Whether containers always run; without it one that is idle is stopped until the next request.
        least_outstanding: Whether a request goes to the container with the fewest in flight, or to any at random.
    """

    def __init__(
        self,
        template: "LaunchTemplate",
        config: "LocalAwsConfig",
        pids: "PidFiles",
        work_dir: Path,
        *,
        size: int,
        max_concurrency: int | None = None,
        stays_warm: bool = True,
        least_outstanding: bool = True,
    ) -> None:
        """Prepare a group of ``size`` containers, possibly none; nothing runs before :meth:`start`.

        Args:
            template: What each container is.
            config: Limits and durations.
            pids: Where the containers' processes are recorded.
            work_dir: Where an artifact is unpacked.
            size: How many containers.
            max_concurrency: Most requests in flight; None for no limit.
            stays_warm: Whether containers run without requests.
            least_outstanding: How a container is chosen.
        """
        self.max_concurrency = max_concurrency
        self.stays_warm = stays_warm
        self.least_outstanding = least_outstanding
        self._template = template
        self._config = config
        self._pids = pids
        self._work_dir = work_dir
        self._lock = threading.Lock()
        self._scaling = threading.Lock()
        self._planning = threading.Lock()
        self._plan: LaunchPlan | None = None
        self._retired = False
        self._in_flight = 0
        self._members = self._new_members(size)
        self._joining: list[ModelContainer] = []
        self._desired = size

    @property
    def current(self) -> int:
        """Containers that take requests."""
        return len(self._members)

    @property
    def desired(self) -> int:
        """Containers that shall run; what differs from ``current`` is starting or being drained."""
        return self._desired

    @property
    def in_flight(self) -> int:
        """Requests that have not ended."""
        return self._in_flight

    @property
    def loads(self) -> list[int]:
        """Requests in flight in each container."""
        return [member.in_flight for member in list(self._members)]

    @property
    def pids(self) -> list[int]:
        """Process ids of the containers that run."""
        return [member.pid for member in list(self._members) if member.pid is not None]

    def start(self) -> None:
        """Start all containers at the same time and wait for their health checks.

        Raises:
            ContainerFailed: One did not come up; the message says why, and the caller retires the group.
        """
        _start_all(self._members)

    def announce(self, size: int) -> None:
        """Say what :meth:`scale` will be asked for, before the thread that does it gets to it."""
        self._desired = size

    def scale(self, size: int) -> None:
        """Start more containers, or drain and stop those with the fewest requests. Blocks until that is done.

        New containers take requests once all of them passed the health check; until then, and if one does not, the
        old ones do. Requests in flight on a container that goes are finished, for up to ``drain_timeout``.

        Raises:
            ContainerFailed: A new container did not come up; the group has its old size.
        """
        with self._scaling:
            self._desired = size
            try:
                self._add(size - self.current)
            except ContainerFailed:
                self._desired = self.current
                raise
            self._remove(self.current - size)

    @contextlib.contextmanager
    def lease(self) -> Iterator[Lease]:
        """Reserve one unit of concurrency and a running container, starting one when none runs.

        Raises:
            GroupThrottled: The group is at its concurrency limit.
            GroupRetired: The group takes no requests any more.
            NoCapacity: The group has no containers.
            ContainerFailed: The container does not start.
        """
        with self._lock:
            if self._retired:
                raise GroupRetired
            if not self._members:
                raise NoCapacity
            if self.max_concurrency is not None and self._in_flight >= self.max_concurrency:
                raise GroupThrottled
            member = self._choose()
            member.enter()
            self._in_flight += 1
            in_flight, size = self._in_flight, len(self._members)
        try:
            container, setup_seconds = member.running()
            yield Lease(container, setup_seconds, in_flight, size)
        finally:
            with self._lock:
                self._in_flight -= 1
            member.leave()

    def tick(self) -> None:
        """Let every container look after itself. Called every so often."""
        with self._lock:
            members = [] if self._retired else list(self._members)
        for member in members:
            member.tick(stays_warm=self.stays_warm)

    def retire(self, drain_timeout: float) -> None:
        """Take no more requests, let those in flight finish for ``drain_timeout`` seconds, stop every container."""
        with self._lock:
            self._retired = True
            members = [*self._members, *self._joining]
        _retire_all(members, drain_timeout)

    def _choose(self) -> ModelContainer:
        """The container for one request: among those that run, if any does."""
        candidates = [member for member in self._members if member.ready] or self._members
        if self.least_outstanding:
            fewest = min(member.in_flight for member in candidates)
            candidates = [member for member in candidates if member.in_flight == fewest]
        return random.choice(candidates)  # noqa: S311 - traffic, no secret

    def _add(self, count: int) -> None:
        if count <= 0:
            return
        if self._retired:
            raise ContainerFailed("The endpoint is going away.")
        self._joining = joining = self._new_members(count)
        try:
            _start_all(joining)
            self._admit(joining)
        except ContainerFailed:
            _retire_all(joining, 0)
            raise
        finally:
            self._joining = []

    def _admit(self, joining: list[ModelContainer]) -> None:
        with self._lock:
            if self._retired:
                raise ContainerFailed("The endpoint is going away.")
            self._members = [*self._members, *joining]

    def _remove(self, count: int) -> None:
        if count <= 0:
            return
        with self._lock:
            # One that does not run at the moment goes before one that does.
            by_load = sorted(self._members, key=lambda member: (member.ready, member.in_flight))
            going = by_load[:count]
            self._members = [member for member in self._members if member not in going]
        _retire_all(going, self._config.drain_timeout)

    def _new_members(self, count: int) -> list[ModelContainer]:
        return [ModelContainer(self._template, self._shared_plan, self._config, self._pids) for _ in range(count)]

    def _shared_plan(self) -> LaunchPlan:
        """What to run, found once for all containers."""
        with self._planning:
            if self._plan is None:
                self._plan = self._template.plan(self._config, self._work_dir)
            return self._plan


def _start_all(members: Sequence[ModelContainer]) -> None:
    """Start containers at the same time; raises the first failure once all are decided."""
    failures: list[ContainerFailed] = []

    def start(member: ModelContainer) -> None:
        try:
            member.running()
        except ContainerFailed as error:
            failures.append(error)

    at_the_same_time([partial(start, member) for member in members])
    if failures:
        raise failures[0]


def _retire_all(members: Sequence[ModelContainer], drain_timeout: float) -> None:
    at_the_same_time([partial(member.retire, drain_timeout) for member in members])
