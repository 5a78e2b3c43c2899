"""The clock of metrics, alarms, schedules and cooldowns, which can run faster and be advanced.

``GET /_embedstack/time`` returns it; ``POST`` with ``{"speed": 60}`` makes it run faster, and with ``{"advance": 660}``
advances it, so that a test need not wait eleven minutes for an alarm. The duration of real work on this machine
(starting a container, handling a request) is measured with the machine's clock.
"""

import threading
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from localaws.core.wsgi import change_and_describe

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["SimulatedTime", "TimeControl"]

TIME_PATH = "/_embedstack/time"


class SimulatedTime:
    """A clock that starts at the machine's time, runs ``speed`` times as fast, and never goes back."""

    def __init__(self, speed: float = 1.0, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Start at the machine's time.

        Args:
            speed: Simulated seconds per real second; 0 stops the clock, for tests that advance it.
            clock: Real seconds from an arbitrary start.

        Raises:
            ValueError: The speed is negative.
        """
        self._clock = clock
        self._changed = threading.Condition()
        self._before_advance: list[Callable[[], object]] = []
        self._start = datetime.now(UTC)
        self._speed = _checked(speed)
        self._passed, self._since = 0.0, clock()

    @property
    def speed(self) -> float:
        """Simulated seconds per real second."""
        return self._speed

    def seconds(self) -> float:
        """Simulated seconds since the start."""
        with self._changed:
            return self._seconds()

    def now(self) -> datetime:
        """The simulated time, in UTC."""
        return self._start + timedelta(seconds=self.seconds())

    def resume(self, ahead: float, speed: float) -> None:
        """Continue another clock that was ahead of the machine's time by some seconds, at its speed."""
        self.advance(ahead)
        self.set_speed(speed)

    def set_speed(self, speed: float) -> None:
        """Run at another speed from now on.

        Raises:
            ValueError: The speed is negative.
        """
        with self._changed:
            self._passed, self._since = self._seconds(), self._clock()
            self._speed = _checked(speed)
            self._changed.notify_all()

    def before_advance(self, call: Callable[[], object]) -> None:
        """Call a function each time before the clock is advanced."""
        self._before_advance.append(call)

    def advance(self, seconds: float) -> None:
        """Advance the clock.

        Raises:
            ValueError: The number is negative.
        """
        _checked(seconds)
        if seconds:
            for call in self._before_advance:
                call()
        with self._changed:
            self._passed += seconds
            self._changed.notify_all()

    def wait(self, seconds: float, stopped: threading.Event, *, poll: float = 0.25) -> bool:
        """Wait until simulated seconds have passed, or the event is set.

        Args:
            seconds: Simulated seconds to wait.
            stopped: Ends the wait early.
            poll: Most real seconds until the event is noticed.

        Returns:
            Whether the event is set.
        """
        end = self.seconds() + seconds
        with self._changed:
            while not stopped.is_set() and (left := end - self._seconds()) > 0:
                self._changed.wait(min(poll, left / self._speed) if self._speed else poll)
        return stopped.is_set()

    def _seconds(self) -> float:
        return self._passed + (self._clock() - self._since) * self._speed


class TimeControl:
    """Serves ``/_embedstack/time``."""

    def __init__(self, application: "WSGIApplication", simulated: SimulatedTime) -> None:
        """Wrap an application.

        Args:
            application: Handles all other requests.
            simulated: The time to show and to change.
        """
        self._application = application
        self._time = simulated

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Handle one request."""
        if environ.get("PATH_INFO") != TIME_PATH:
            return self._application(environ, start_response)
        return change_and_describe(
            environ,
            start_response,
            change=self._change,
            describe=lambda: {"now": self._time.now().isoformat(), "speed": self._time.speed},
            usage='Send {"speed": x} or {"advance": seconds}',
        )

    def _change(self, changes: dict[str, Any]) -> None:
        unknown = changes.keys() - {"speed", "advance"}
        if unknown:
            raise ValueError(f"unknown member {min(unknown)}")
        if "speed" in changes:
            self._time.set_speed(float(changes["speed"]))
        self._time.advance(float(changes.get("advance", 0)))


def _checked(value: float) -> float:
    if not 0 <= value < float("inf"):
        raise ValueError(f"{value} is not a number of at least 0")
    return value
