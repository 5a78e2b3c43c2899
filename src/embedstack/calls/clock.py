"""Time that can be replaced, so that what waits can be tested without waiting."""

import threading
import time
from typing import Protocol

from embedstack.calls.process_local import Lock

__all__ = ["Clock", "ManualClock", "SystemClock"]


class Clock(Protocol):
    """Seconds that pass."""

    def now(self) -> float:
        """Seconds since an arbitrary start; never goes back."""

    def sleep(self, seconds: float, cancelled: threading.Event) -> None:
        """Wait; return early when the event is set."""


class SystemClock:
    """The machine's own time."""

    def now(self) -> float:
        """Seconds of the monotonic clock."""
        return time.monotonic()

    def sleep(self, seconds: float, cancelled: threading.Event) -> None:
        """Wait; return early when the event is set."""
        cancelled.wait(seconds)


class ManualClock:
    """Time that passes only when someone sleeps or moves it on: for tests, yours included.

    Attributes:
        slept: Every wait so far, in seconds.
    """

    def __init__(self, start: float = 0.0) -> None:
        self._now = start
        self._lock = Lock()
        self.slept: list[float] = []

    def now(self) -> float:
        """Seconds since the start."""
        return self._now

    def sleep(self, seconds: float, cancelled: threading.Event) -> None:
        """Move the time on at once."""
        del cancelled
        self.slept.append(seconds)
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        """Let seconds pass."""
        with self._lock:
            self._now += seconds
