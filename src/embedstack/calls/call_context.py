"""One call of a user's: how long it may take, and whether anyone still waits for it.

The call travels as a context variable, so that whatever waits deep inside (a retry, a rate limit, a full endpoint)
knows of it without every signature in between carrying it.
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
        clock: What its deadline is measured by.
        deadline: When it has to be over, on that clock; None for never.
        cancelled: Set when nobody waits for the result any more.
    """

    clock: Clock = field(default_factory=SystemClock)
    deadline: float | None = None
    cancelled: threading.Event = field(default_factory=threading.Event)

    @classmethod
    def current(cls) -> "Call":
        """The call that this code runs for; one without a deadline where there is none."""
        return _current.get() or cls()

    def until(self, seconds: float, clock: Clock) -> "Call":
        """This call, to be over in so many seconds; a deadline that is earlier already stays."""
        remaining = self.remaining()
        if remaining is not None and remaining <= seconds:
            return self
        return Call(clock, clock.now() + seconds, self.cancelled)

    def context(self) -> Context:
        """The caller's context variables with this call as the current one."""
        context = copy_context()
        context.run(_current.set, self)
        return context

    def remaining(self) -> float | None:
        """Seconds that are left; None without a deadline.

        Raises:
            DeadlineExceeded: None are left.
        """
        if self.deadline is None:
            return None
        left = self.deadline - self.clock.now()
        if left <= 0:
            raise DeadlineExceeded("The call's deadline has passed: allow more seconds, or send fewer texts at once.")
        return left

    def check(self) -> None:
        """Stop here if the call is over.

        Raises:
            CancelledError: Nobody waits for it any more.
            DeadlineExceeded: Its time is up.
        """
        if self.cancelled.is_set():
            raise CancelledError
        self.remaining()

    def pause(self, seconds: float, clock: Clock) -> None:
        """Wait within the call.

        Raises:
            CancelledError: Nobody waits for the call any more.
            DeadlineExceeded: Its time would be up before the wait is.
        """
        left = self.remaining()
        if left is not None and left < seconds:
            raise DeadlineExceeded(f"The call would have to wait {seconds:.1f} s and has {left:.1f} s left.")
        clock.sleep(seconds, self.cancelled)
        self.check()
