"""Limits that adapt to the backend: texts per request, and concurrent requests."""

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from embedstack.calls.call_context import Call
from embedstack.calls.process_local import Lock
from embedstack.errors import Throttled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["AdaptiveConcurrency", "BatchSizer", "FixedBatchSizer", "Slot"]

# Mean characters of the texts → initial texts per request: short texts go into larger requests.
_STARTS = ((100, 64), (300, 32))
_START_FOR_LONG_TEXTS = 16
# A slower request is too large: it gains nothing from its size, and holds its slot.
_SLOW_SECONDS = 2.0
_LARGEST_SCALE = 64.0
_CANCELLATION_POLL_SECONDS = 0.2


class BatchSizer:
    """Chooses the texts per request by their length, and by the latency of earlier requests."""

    def __init__(self, max_items: int) -> None:
        self._max_items = max_items
        self._scale = 1.0
        self._lock = Lock()

    def items(self, mean_characters: float) -> int:
        """Texts for a request, by their average length in characters."""
        start = next((items for below, items in _STARTS if mean_characters < below), _START_FOR_LONG_TEXTS)
        return max(1, min(self._max_items, round(start * self._scale)))

    def record_latency(self, seconds: float) -> None:
        """Shrink after a slow response, grow a little after a fast one."""
        with self._lock:
            if seconds > _SLOW_SECONDS:
                self._scale *= 0.75
            elif seconds < _SLOW_SECONDS / 4:
                self._scale = min(_LARGEST_SCALE, self._scale * 1.05)

    def too_large(self) -> None:
        """Halve after a request was rejected for its size."""
        with self._lock:
            self._scale /= 2


class FixedBatchSizer(BatchSizer):
    """Always allows as many texts per request as the limit."""

    def items(self, mean_characters: float) -> int:
        """The limit."""
        del mean_characters
        return self._max_items


class AdaptiveConcurrency:
    """Limits concurrent requests: one more after as many successes, half as many after a throttled request.

    Additive increase, multiplicative decrease, as in TCP (Chiu and Jain, 1989,
    https://doi.org/10.1016/0169-7552(89)90019-6). An endpoint with a fixed concurrency throttles every request beyond
    it. So a single throttled request among successes takes back the last step only, and the next step follows after
    many more successes.
    """

    def __init__(self, maximum: int) -> None:
        self._maximum = float(maximum)
        self._limit = float(maximum)
        # The limit at which the last step was throttled: beyond it the limit grows slowly.
        self._ceiling = float(maximum)
        self._successes = 0
        self._in_flight = 0
        self._last_cut = float("-inf")
        self._changed = threading.Condition()

    @property
    def limit(self) -> int:
        """Requests that may be in flight now."""
        return int(self._limit)

    @contextmanager
    def slot(self) -> "Iterator[Slot]":
        """Hold a slot while the block runs: wait for a free one, and learn from how the block ends.

        Yields:
            The slot, which the block may free before it ends.

        Raises:
            CancelledError: The call was cancelled.
            DeadlineExceeded: The call's deadline passed before a slot was free.
        """
        slot = Slot(self._release, self._acquire())
        try:
            yield slot
        except Throttled:
            slot.free(throttled=True)
            raise
        except BaseException:
            slot.free(throttled=None)
            raise
        slot.free(throttled=False)

    def _acquire(self) -> int:
        """Wait for a slot; returns the requests in flight, this one included."""
        with self._changed:
            if self._in_flight >= self.limit:
                call = Call.current()
                while self._in_flight >= self.limit:
                    call.check()
                    self._changed.wait(_CANCELLATION_POLL_SECONDS)
            self._in_flight += 1
            return self._in_flight

    def _release(self, slot: "Slot", throttled: bool | None) -> None:
        with self._changed:
            self._in_flight -= 1
            # Requests that were in flight together are throttled together: that is one signal, not many.
            if throttled and slot.started > self._last_cut:
                self._cut(slot.in_flight)
            elif throttled is False:
                self._successes += 1
                step = 1 / self._limit
                self._limit = min(self._maximum, self._limit + (step if self._limit < self._ceiling else step * step))
            self._changed.notify_all()

    def _cut(self, in_flight: int) -> None:
        if self._successes >= self._limit / 2:
            self._limit = self._ceiling = float(max(1, min(in_flight, self.limit) - 1))
        else:
            self._ceiling = self._maximum
            self._limit = max(1.0, self._limit / 2)
        self._successes = 0
        self._last_cut = time.monotonic()


class Slot:
    """Held by a request while it is in flight.

    Attributes:
        started: When it was acquired, on the monotonic clock.
        in_flight: Requests in flight at that time, this one included.
    """

    def __init__(self, release: "Callable[[Slot, bool | None], None]", in_flight: int) -> None:
        self._release = release
        self._held = True
        self.started = time.monotonic()
        self.in_flight = in_flight

    def free(self, *, throttled: bool | None = False) -> None:
        """Let the next request start. Only the first call has an effect.

        Args:
            throttled: Whether the request was throttled; None if its end says nothing about the endpoint's load.
        """
        if self._held:
            self._held = False
            self._release(self, throttled)
