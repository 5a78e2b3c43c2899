"""Which execution environments run, and how many invocations are under way."""

import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from localaws.core.threads import at_the_same_time

if TYPE_CHECKING:
    from localaws.services.lambda_.environment import ExecutionEnvironment
    from localaws.services.lambda_.function_log import FunctionLog
    from localaws.services.lambda_.records import FunctionRecord

__all__ = ["ACCOUNT_CONCURRENCY", "UNRESERVED_MINIMUM", "EnvironmentPool", "Lease", "Throttled"]

#: "Concurrent executions" in the Lambda developer guide's quotas, and what functions cannot reserve of it.
ACCOUNT_CONCURRENCY = 1000
UNRESERVED_MINIMUM = 100


class Throttled(Exception):
    """An invocation was not admitted.

    Attributes:
        reason: The API's ThrottleReason.
    """

    def __init__(self, reason: str) -> None:
        super().__init__("Rate Exceeded.")
        self.reason = reason


@dataclass(eq=False, slots=True)
class Lease:
    """A place for one environment.

    Attributes:
        function: The function's ARN without a version.
        key: ARN, version and revision: what its environments have in common.
        environment: None until it was started.
        log: Where its lines go; None until it was started.
        retired: Whether it ends with its invocation.
        released: When it became idle, on ``time.monotonic``'s scale; None while it is busy.
    """

    function: str
    key: tuple[str, str, str]
    environment: "ExecutionEnvironment | None" = None
    log: "FunctionLog | None" = None
    retired: bool = False
    released: float | None = None


class EnvironmentPool:
    """Environments of all functions; each serves one invocation at a time, and is kept warm for the next."""

    def __init__(self, limit: int, idle_seconds: float) -> None:
        """Prepare an empty pool.

        Args:
            limit: Processes at the same time. An invocation that AWS would start another one for waits for one.
            idle_seconds: After so long without an invocation an environment ends.
        """
        self._limit = limit
        self._idle_seconds = idle_seconds
        self._changed = threading.Condition()
        self._leases: list[Lease] = []
        self._running: Counter[str] = Counter()
        self._unreserved = 0
        self._closed = False

    @contextmanager
    def admitted(self, function: "FunctionRecord", reserved_elsewhere: int) -> Iterator[int]:
        """Count an invocation as one that is under way, for as long as the context lasts.

        Args:
            function: The function that is invoked; its reservation is looked up now.
            reserved_elsewhere: Concurrency that the account's functions have reserved.

        Yields:
            How many of the function's are under way, with this one.

        Raises:
            Throttled: There are as many as there may be.
        """
        arn = function.unqualified_arn
        reserved = function.reserved_concurrency
        with self._changed:
            if reserved is not None and self._running[arn] >= int(reserved):
                raise Throttled("ReservedFunctionConcurrentInvocationLimitExceeded")
            if reserved is None and self._unreserved >= ACCOUNT_CONCURRENCY - reserved_elsewhere:
                raise Throttled("ConcurrentInvocationLimitExceeded")
            self._running[arn] += 1
            self._unreserved += reserved is None
            count = self._running[arn]
        try:
            yield count
        finally:
            with self._changed:
                self._running[arn] -= 1
                self._unreserved -= reserved is None

    def take(self, function: "FunctionRecord") -> Lease:
        """A warm environment of the function, or room for a new one.

        Raises:
            InterruptedError: The local AWS goes down.
        """
        key = (function.unqualified_arn, str(function.version), function.revision)
        while True:
            with self._changed:
                if self._closed:
                    raise InterruptedError
                idle = [lease for lease in self._leases if lease.released is not None]
                # The one used last is the warmest, and the others may end.
                warm = max((lease for lease in idle if lease.key == key), key=_since, default=None)
                if warm is not None and warm.environment is not None and warm.environment.is_usable():
                    warm.released = None
                    return warm
                leaving = warm
                if leaving is None and len(self._leases) >= self._limit:
                    leaving = min(idle, key=_since, default=None)
                    if leaving is None:
                        self._changed.wait(1)
                        continue
                if leaving is None:
                    lease = Lease(key[0], key)
                    self._leases.append(lease)
                    return lease
                self._leases.remove(leaving)
            _end(leaving)

    def release(self, lease: Lease, *, usable: bool) -> None:
        """Give an environment back; one that is not usable, or was retired, ends."""
        with self._changed:
            keep = usable and not lease.retired and not self._closed
            if keep:
                lease.released = time.monotonic()
            elif lease in self._leases:
                self._leases.remove(lease)
            self._changed.notify_all()
        if not keep:
            _end(lease)

    def retire(self, function_arn: str, kept_revisions: set[str]) -> None:
        """End a function's environments of other revisions; those at work end when they are done."""
        with self._changed:
            stale = [
                lease for lease in self._leases if lease.function == function_arn and lease.key[2] not in kept_revisions
            ]
            idle = [lease for lease in stale if lease.released is not None]
            for lease in stale:
                lease.retired = True
            self._leases = [lease for lease in self._leases if lease not in idle]
        _end_all(idle)

    def tick(self) -> None:
        """Hold the busy ones to their memory, and end the idle ones."""
        now = time.monotonic()
        with self._changed:
            idle = [
                lease
                for lease in self._leases
                if lease.released is not None and now - lease.released > self._idle_seconds
            ]
            self._leases = [lease for lease in self._leases if lease not in idle]
            busy = [lease.environment for lease in self._leases if lease.released is None]
        for environment in busy:
            if environment is not None:
                environment.limit_memory()
        _end_all(idle)

    def close(self) -> None:
        """End every environment; invocations that wait or run end with errors."""
        with self._changed:
            self._closed = True
            idle = [lease for lease in self._leases if lease.released is not None]
            busy = [lease.environment for lease in self._leases if lease.released is None]
            self._leases = [lease for lease in self._leases if lease not in idle]
            self._changed.notify_all()
        for environment in busy:
            if environment is not None:
                environment.kill()
        _end_all(idle)
        with self._changed:
            # Whoever leased one sees its process die and gives it back.
            self._changed.wait_for(lambda: not self._leases, timeout=10)


def _since(lease: Lease) -> float:
    return lease.released or 0.0


def _end(lease: Lease) -> None:
    if lease.environment is not None:
        lease.environment.stop()


def _end_all(leases: Iterable[Lease]) -> None:
    at_the_same_time([partial(_end, lease) for lease in leases])
