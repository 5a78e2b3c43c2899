"""A group of equal containers, which is scaled and whose containers are leased to requests."""

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
    """The group is at its concurrency limit."""


class GroupRetired(Exception):
    """The group accepts no more requests: its endpoint has another deployment, or is being deleted."""


class NoCapacity(Exception):
    """The group was scaled to zero containers."""


@dataclass(frozen=True, slots=True)
class Lease:
    """A container to send one request to.

    Attributes:
        container: The running container.
        setup_seconds: Time that this request waited for the container to start; None if it was running.
        in_flight: Requests in flight in the group, including this one.
        size: Number of containers in the group.
    """

    container: ContainerProcess
    setup_seconds: float | None
    in_flight: int
    size: int


class ContainerGroup:
    """The containers of a production variant or of an inference component.

    Attributes:
        max_concurrency: Most requests in flight in the group; None for no limit.
        stays_warm: Whether containers always run. Otherwise an idle one is stopped until the next request.
        least_outstanding: Whether a request goes to the container with the fewest in flight, or to a random one.
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
            template: What each container runs.
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
        """Containers that accept requests."""
        return len(self._members)

    @property
    def desired(self) -> int:
        """The desired number of containers. The difference to ``current`` is starting or being drained."""
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
            ContainerFailed: A container did not start; the caller retires the group.
        """
        _start_all(self._members)

    def announce(self, size: int) -> None:
        """Set ``desired`` before another thread calls :meth:`scale`."""
        self._desired = size

    def scale(self, size: int) -> None:
        """Start more containers, or drain and stop those with the fewest requests. Blocks until that is done.

        New containers accept requests once all of them have passed the health check. A removed container finishes its
        requests in flight, for up to ``drain_timeout``.

        Raises:
            ContainerFailed: A new container did not start; the group keeps its old size.
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
        """Reserve one unit of concurrency and a running container, which is started if necessary.

        Raises:
            GroupThrottled: The group is at its concurrency limit.
            GroupRetired: The group accepts no more requests.
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
        """Stop idle containers and restart dead ones. Called periodically."""
        with self._lock:
            members = [] if self._retired else list(self._members)
        for member in members:
            member.tick(stays_warm=self.stays_warm)

    def retire(self, drain_timeout: float) -> None:
        """Accept no more requests, let those in flight finish for ``drain_timeout`` seconds, stop all containers."""
        with self._lock:
            self._retired = True
            members = [*self._members, *self._joining]
        _retire_all(members, drain_timeout)

    def _choose(self) -> ModelContainer:
        """The container for one request, preferably a running one."""
        candidates = [member for member in self._members if member.ready] or self._members
        if self.least_outstanding:
            fewest = min(member.in_flight for member in candidates)
            candidates = [member for member in candidates if member.in_flight == fewest]
        return random.choice(candidates)  # noqa: S311 - traffic, no secret

    def _add(self, count: int) -> None:
        if count <= 0:
            return
        if self._retired:
            raise ContainerFailed("The endpoint is being deleted.")
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
                raise ContainerFailed("The endpoint is being deleted.")
            self._members = [*self._members, *joining]

    def _remove(self, count: int) -> None:
        if count <= 0:
            return
        with self._lock:
            # Containers that do not run are removed first.
            by_load = sorted(self._members, key=lambda member: (member.ready, member.in_flight))
            removed = by_load[:count]
            self._members = [member for member in self._members if member not in removed]
        _retire_all(removed, self._config.drain_timeout)

    def _new_members(self, count: int) -> list[ModelContainer]:
        return [ModelContainer(self._template, self._shared_plan, self._config, self._pids) for _ in range(count)]

    def _shared_plan(self) -> LaunchPlan:
        """How to run the containers, determined once for all of them."""
        with self._planning:
            if self._plan is None:
                self._plan = self._template.plan(self._config, self._work_dir)
            return self._plan


def _start_all(members: Sequence[ModelContainer]) -> None:
    """Start containers concurrently; raises the first failure once all starts have ended."""
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
