"""A call of the user: its deadline and its cancellation.

The call is a context variable, so that nested waits (a retry, a rate limit, a full endpoint) respect it without passing
it through every signature.
"""

import threading
from concurrent.futures import CancelledError
from contextvars import Context, ContextVar, copy_context
from dataclasses import dataclass, field

from embedstack.calls.clock import Clock, SystemClock
from embedstack.errors import DeadlineExceeded

__all__ = ["Call"]

_current: ContextVar["Call | None"] = ContextVar("embedstack_call", default=None)


@dataclass(frozen=True, slots=True)
class Call:
    """A running call.

    Attributes:
        clock: Measures the deadline.
        deadline: Time on that clock at which the call ends; None for never.
        cancelled: Set when the caller no longer waits for the result.
    """

    clock: Clock = field(default_factory=SystemClock)
    deadline: float | None = None
    cancelled: threading.Event = field(default_factory=threading.Event)

    @classmethod
    def current(cls) -> "Call":
        """The call that this code runs in; outside of a call, one without a deadline."""
        return _current.get() or cls()

    def until(self, seconds: float, clock: Clock) -> "Call":
        """This call with a deadline in so many seconds; an earlier deadline stays."""
        remaining = self.remaining()
        if remaining is not None and remaining <= seconds:
            return self
        return Call(clock, clock.now() + seconds, self.cancelled)

    def context(self) -> Context:
        """A copy of the context variables with this call as the current one."""
        context = copy_context()
        context.run(_current.set, self)
        return context

    def remaining(self) -> float | None:
        """Seconds until the deadline; None without one.

        Raises:
            DeadlineExceeded: The deadline has passed.
        """
        if self.deadline is None:
            return None
        left = self.deadline - self.clock.now()
        if left <= 0:
            raise DeadlineExceeded("The call's deadline has passed. Allow more seconds, or send fewer texts.")
        return left

    def check(self) -> None:
        """Raise an error if the call has ended.

        Raises:
            CancelledError: The call was cancelled.
            DeadlineExceeded: The deadline has passed.
        """
        if self.cancelled.is_set():
            raise CancelledError
        self.remaining()

    def pause(self, seconds: float, clock: Clock) -> None:
        """Wait within the call.

        Raises:
            CancelledError: The call was cancelled.
            DeadlineExceeded: The wait would pass the deadline.
        """
        left = self.remaining()
        if left is not None and left < seconds:
            raise DeadlineExceeded(
                f"The call needs to wait {seconds:.1f} s, but only {left:.1f} s are left until its deadline. Allow "
                "more seconds."
            )
        clock.sleep(seconds, self.cancelled)
        self.check()
