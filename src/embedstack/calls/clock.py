"""Clocks: the system's, and a manual one for tests that do not wait."""

import threading
import time
from typing import Protocol

from embedstack.calls.process_local import Lock

__all__ = ["Clock", "ManualClock", "SystemClock"]


class Clock(Protocol):
    """Measures time in seconds."""

    def now(self) -> float:
        """Seconds since an arbitrary start; monotonic."""

    def sleep(self, seconds: float, cancelled: threading.Event) -> None:
        """Wait; return early when the event is set."""


class SystemClock:
    """The system's monotonic clock."""

    def now(self) -> float:
        """Seconds of the monotonic clock."""
        return time.monotonic()

    def sleep(self, seconds: float, cancelled: threading.Event) -> None:
        """Wait; return early when the event is set."""
        cancelled.wait(seconds)


class ManualClock:
    """A clock for tests: time passes only by sleeping or by :meth:`advance`.

    Attributes:
        slept: All waits so far, in seconds.
    """

    def __init__(self, start: float = 0.0) -> None:
        self._now = start
        self._lock = Lock()
        self.slept: list[float] = []

    def now(self) -> float:
        """Seconds since the start."""
        return self._now

    def sleep(self, seconds: float, cancelled: threading.Event) -> None:
        """Advance the time immediately."""
        del cancelled
        self.slept.append(seconds)
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        """Advance the time."""
        with self._lock:
            self._now += seconds
