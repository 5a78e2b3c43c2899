"""The running execution environments, and the limits of concurrency."""

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

#: "Concurrent executions" in the quotas of the Lambda developer guide, and the part that cannot be reserved.
ACCOUNT_CONCURRENCY = 1000
UNRESERVED_MINIMUM = 100


class Throttled(Exception):
    """An invocation exceeds a limit of concurrency.

    Attributes:
        reason: The API's ThrottleReason.
    """

    def __init__(self, reason: str) -> None:
        super().__init__("Rate Exceeded.")
        self.reason = reason


@dataclass(eq=False, slots=True)
class Lease:
    """A slot for one environment.

    Attributes:
        function: The function's ARN without a version.
        key: ARN, version and revision, which equal environments share.
        environment: None before it is started.
        log: Its log; None before it is started.
        retired: Whether it ends after its invocation.
        released: When it became idle, on the scale of ``time.monotonic``; None while it is busy.
    """

    function: str
    key: tuple[str, str, str]
    environment: "ExecutionEnvironment | None" = None
    log: "FunctionLog | None" = None
    retired: bool = False
    released: float | None = None


class EnvironmentPool:
    """The environments of all functions; each runs one invocation at a time and stays warm for the next."""

    def __init__(self, limit: int, idle_seconds: float) -> None:
        """Prepare an empty pool.

        Args:
            limit: Maximum number of processes. Invocations that need another process wait for one.
            idle_seconds: Time without invocations after which an environment ends.
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
        """Count an invocation as running while the context lasts.

        Args:
            function: The function, with its reserved concurrency.
            reserved_elsewhere: Concurrency reserved by the account's functions.

        Yields:
            Number of running invocations of the function, including this one.

        Raises:
            Throttled: A limit of concurrency is reached.
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
        """A warm environment of the function, or a slot for a new one.

        Raises:
            InterruptedError: The local AWS is shutting down.
        """
        key = (function.unqualified_arn, str(function.version), function.revision)
        while True:
            with self._changed:
                if self._closed:
                    raise InterruptedError
                idle = [lease for lease in self._leases if lease.released is not None]
                # Use the most recent one, so that the others can end.
                warm = max((lease for lease in idle if lease.key == key), key=_since, default=None)
                if warm is not None and warm.environment is not None and warm.environment.is_usable():
                    warm.released = None
                    return warm
                replaced = warm
                if replaced is None and len(self._leases) >= self._limit:
                    replaced = min(idle, key=_since, default=None)
                    if replaced is None:
                        self._changed.wait(1)
                        continue
                if replaced is None:
                    lease = Lease(key[0], key)
                    self._leases.append(lease)
                    return lease
                self._leases.remove(replaced)
            _end(replaced)

    def release(self, lease: Lease, *, usable: bool) -> None:
        """Return an environment; it ends if it is not usable or is retired."""
        with self._changed:
            keep = usable and not lease.retired and not self._closed
            if keep:
                lease.released = time.monotonic()
            elif lease in self._leases:
                self._leases.remove(lease)
            self._changed.notify_all()
        if not keep:
            _end(lease)

    def retire(self, function_arn: str, current_revisions: set[str]) -> None:
        """End a function's environments of other revisions; busy ones end after their invocation."""
        with self._changed:
            stale = [
                lease
                for lease in self._leases
                if lease.function == function_arn and lease.key[2] not in current_revisions
            ]
            idle = [lease for lease in stale if lease.released is not None]
            for lease in stale:
                lease.retired = True
            self._leases = [lease for lease in self._leases if lease not in idle]
        _end_all(idle)

    def tick(self) -> None:
        """Enforce the memory limit of busy environments, and end idle ones."""
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
        """End all environments; waiting and running invocations fail."""
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
            # Running invocations see their process die and release the lease.
            self._changed.wait_for(lambda: not self._leases, timeout=10)


def _since(lease: Lease) -> float:
    return lease.released or 0.0


def _end(lease: Lease) -> None:
    if lease.environment is not None:
        lease.environment.stop()


def _end_all(leases: Iterable[Lease]) -> None:
    at_the_same_time([partial(_end, lease) for lease in leases])
