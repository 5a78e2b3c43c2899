"""How much to send at once: learned from what the backend does with it."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from embedstack.embedders.call import Call
from embedstack.errors import Throttled

__all__ = ["AdaptiveConcurrency", "BatchSizer"]

# Mean characters of the texts → texts per request to start with: short texts in larger requests.
_STARTS = ((100, 64), (300, 32))
_START_FOR_LONG_TEXTS = 16
# A request that takes longer than this gains nothing from being so large and holds its slot.
_SLOW_SECONDS = 2.0
_LARGEST_SCALE = 64.0
_CANCELLATION_POLL_SECONDS = 0.2


class BatchSizer:
    """Texts per request, by their length, then by how the backend took the last requests."""

    def __init__(self, max_items: int) -> None:
        self._max_items = max_items
        self._scale = 1.0
        self._lock = threading.Lock()

    def items(self, mean_characters: float) -> int:
        """Texts for a request whose texts are so long on average."""
        start = next((items for below, items in _STARTS if mean_characters < below), _START_FOR_LONG_TEXTS)
        return max(1, min(self._max_items, round(start * self._scale)))

    def answered(self, seconds: float) -> None:
        """Shrink after a slow answer, grow a little after a fast one."""
        with self._lock:
            if seconds > _SLOW_SECONDS:
                self._scale *= 0.75
            elif seconds < _SLOW_SECONDS / 4:
                self._scale = min(_LARGEST_SCALE, self._scale * 1.05)

    def too_large(self) -> None:
        """Halve after a request was refused for its size."""
        with self._lock:
            self._scale /= 2


class AdaptiveConcurrency:
    """Requests in flight at once: one more after as many good answers, half as many after a throttled one.

    Additive increase, multiplicative decrease, as TCP does it (Chiu and Jain, 1989,
    https://doi.org/10.1016/0169-7552(89)90019-6).
    """

    def __init__(self, maximum: int) -> None:
        self._maximum = float(maximum)
        self._limit = float(maximum)
        self._in_flight = 0
        self._last_cut = float("-inf")
        self._changed = threading.Condition()

    @property
    def limit(self) -> int:
        """Requests that may be in flight now."""
        return int(self._limit)

    @contextmanager
    def slot(self) -> Iterator[None]:
        """Hold one of the places; waits for a free one, and learns from how the block ends.

        Raises:
            CancelledError: Nobody waits for the call any more.
            DeadlineExceeded: The call's time was up before a place was free.
        """
        self._acquire()
        started = time.monotonic()
        try:
            yield
        except Throttled:
            self._release(started, throttled=True)
            raise
        except BaseException:
            self._release(started, throttled=None)
            raise
        self._release(started, throttled=False)

    def _acquire(self) -> None:
        with self._changed:
            if self._in_flight < self.limit:
                self._in_flight += 1
                return
            call = Call.current()
            while self._in_flight >= self.limit:
                call.check()
                self._changed.wait(_CANCELLATION_POLL_SECONDS)
            self._in_flight += 1

    def _release(self, started: float, *, throttled: bool | None) -> None:
        with self._changed:
            self._in_flight -= 1
            # Requests that were under way together are throttled together: that is one signal, not many.
            if throttled and started > self._last_cut:
                self._limit = max(1.0, self._limit / 2)
                self._last_cut = time.monotonic()
            elif throttled is False:
                self._limit = min(self._maximum, self._limit + 1 / self._limit)
            self._changed.notify_all()
