"""Wakes an endpoint that is scaled to zero, and waits for its first answer."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from embedstack.errors import EndpointAsleep

__all__ = ["Waking"]


@dataclass(frozen=True, slots=True)
class Waking:
    """How long to wait for an endpoint that a request wakes.

    Attributes:
        seconds: At most so long; 0 wakes nothing.
        capacity: Asks how many instances or copies run now; None where there are none to count.
        pause_seconds: Between two looks.
    """

    seconds: float
    capacity: Callable[[], int | None]
    pause_seconds: float = 5.0

    def first_answer(self, ask: Callable[[], object]) -> None:
        """Ask until there is an answer.

        While nothing runs it is only looked at: each further request would be a reason to scale out further.

        Raises:
            EndpointAsleep: Nothing runs, and may not be woken or did not wake in time.
            EmbedStackError: Whatever else ``ask`` raises.
        """
        deadline = time.monotonic() + self.seconds
        while True:
            try:
                ask()
            except EndpointAsleep:
                if self.seconds <= 0:
                    raise
                self._wait(deadline)
            else:
                return

    def _wait(self, deadline: float) -> None:
        """Until something runs."""
        while True:
            if time.monotonic() >= deadline:
                raise EndpointAsleep(
                    f"A request did not wake the endpoint within {self.seconds / 60:g} minutes: see whether auto "
                    "scaling is set up, and whether there is capacity for the instance type; or wait for longer, "
                    "by --wake-minutes."
                )
            time.sleep(self.pause_seconds)
            if self.capacity() != 0:
                return
