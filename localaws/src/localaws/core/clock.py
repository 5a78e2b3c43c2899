"""The local AWS's own time: what metrics are stamped with, and what alarms, schedules and cooldowns wait by.

``GET /_embedstack/time`` tells it, ``POST`` with ``{"speed": 60}`` lets it run faster and with ``{"advance": 660}``
moves it on, so that eleven idle minutes take as long as a test has. What really takes time on this machine (starting
a container, answering a request) goes by the machine's clock.
"""

import json
import threading
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["SimulatedTime", "TimeControl"]

TIME_PATH = "/_embedstack/time"


class SimulatedTime:
    """Time that starts at the machine's, and runs ``speed`` times as fast. Never goes back."""

    def __init__(self, speed: float = 1.0, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Start at the machine's time.

        Args:
            speed: Simulated seconds per real second; 0 stands still, for a test that moves time itself.
            clock: Real seconds from an arbitrary start.

        Raises:
            ValueError: The speed is negative.
        """
        self._clock = clock
        self._changed = threading.Condition()
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
        """The simulated moment, in UTC."""
        return self._start + timedelta(seconds=self.seconds())

    def set_speed(self, speed: float) -> None:
        """Run at another speed from now on.

        Raises:
            ValueError: The speed is negative.
        """
        with self._changed:
            self._passed, self._since = self._seconds(), self._clock()
            self._speed = _checked(speed)
            self._changed.notify_all()

    def advance(self, seconds: float) -> None:
        """Let simulated seconds pass at once.

        Raises:
            ValueError: They are negative.
        """
        with self._changed:
            self._passed += _checked(seconds)
            self._changed.notify_all()

    def wait(self, seconds: float, stopped: threading.Event, *, poll: float = 0.25) -> bool:
        """Wait until simulated seconds have passed, or the event is set.

        Args:
            seconds: How long.
            stopped: Ends the wait early.
            poll: Real seconds within which the event is noticed.

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
    """Answers ``/_embedstack/time`` in front of an application."""

    def __init__(self, application: "WSGIApplication", simulated: SimulatedTime) -> None:
        """Wrap an application."""
        self._application = application
        self._time = simulated

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answer a request about time; hand on any other."""
        if environ.get("PATH_INFO") != TIME_PATH:
            return self._application(environ, start_response)
        try:
            if environ["REQUEST_METHOD"] == "POST":
                self._change(json.loads(environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))))
            status, answer = "200 OK", {"now": self._time.now().isoformat(), "speed": self._time.speed}
        except (ValueError, TypeError, AttributeError) as error:
            status, answer = "400 Bad Request", {"error": f'Send {{"speed": x}} or {{"advance": seconds}}: {error}'}
        body = json.dumps(answer).encode()
        start_response(status, [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
        return [body]

    def _change(self, wanted: dict[str, Any]) -> None:
        unknown = wanted.keys() - {"speed", "advance"}
        if unknown:
            raise ValueError(f"unknown member {min(unknown)}")
        if "speed" in wanted:
            self._time.set_speed(float(wanted["speed"]))
        self._time.advance(float(wanted.get("advance", 0)))


def _checked(value: float) -> float:
    if not 0 <= value < float("inf"):
        raise ValueError(f"{value} is not a number of at least 0")
    return value
