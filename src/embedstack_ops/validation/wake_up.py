"""Wakes up an endpoint that is scaled to zero and waits for its first response."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from embedstack.errors import EndpointAsleep

__all__ = ["ScaleFromZero"]


@dataclass(frozen=True, slots=True)
class ScaleFromZero:
    """How long to wait for an endpoint that scales from zero.

    Attributes:
        seconds: Maximum wait; 0 does not wake the endpoint.
        capacity: Returns the number of running instances or copies; None for a serverless endpoint.
        pause_seconds: Interval between two calls of ``capacity``.
    """

    seconds: float
    capacity: Callable[[], int | None]
    pause_seconds: float = 5.0

    def first_response(self, send: Callable[[], object]) -> None:
        """Send a request until it succeeds.

        While no instance is running, only its capacity is polled: further requests would scale it out further.

        Raises:
            EndpointAsleep: No instance is running, and none may be woken up or became ready in time.
            EmbedStackError: Any other error of ``send``.
        """
        deadline = time.monotonic() + self.seconds
        while True:
            try:
                send()
            except EndpointAsleep:
                if self.seconds <= 0:
                    raise
                self._wait(deadline)
            else:
                return

    def _wait(self, deadline: float) -> None:
        """Wait until an instance or copy is running."""
        while True:
            if time.monotonic() >= deadline:
                raise EndpointAsleep(
                    f"The endpoint did not wake up within {self.seconds / 60:g} minutes. Check that auto scaling is "
                    "configured and that the instance type has capacity, or wait longer with --wake-minutes."
                )
            time.sleep(self.pause_seconds)
            if self.capacity() != 0:
                return
