"""A circuit breaker: after repeated failures no request is sent for a while, then a single one probes the service."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal, TypeVar

from embedstack.calls.clock import Clock, SystemClock
from embedstack.calls.process_local import Lock, renew_after_fork
from embedstack.embedders.middleware import EmbedderMiddleware
from embedstack.errors import BudgetExceeded, CircuitOpen, EmbedStackError, EndpointAsleep, EndpointError, Throttled

if TYPE_CHECKING:
    from embedstack.embedders.base import Embedder

__all__ = ["CircuitBreaker", "CircuitBreakerEmbedder"]

_Response = TypeVar("_Response")

State = Literal["closed", "open", "half-open"]


class CircuitBreaker:
    """Counts consecutive failures. Shared by threads and tasks."""

    def __init__(self, *, failures: int = 5, seconds: float = 300.0, clock: Clock | None = None) -> None:
        """Start closed.

        Args:
            failures: Consecutive failures after which it opens.
            seconds: Time that it stays open.
            clock: Measures the time.
        """
        self._threshold = failures
        self._seconds = seconds
        self._clock = clock or SystemClock()
        self._failures = 0
        self._opened: float | None = None
        self._probing = False
        self._lock = Lock()
        renew_after_fork(self)

    def after_fork(self) -> None:
        """Forget a probe of another thread of the parent; the state of the circuit stays."""
        self._probing = False

    def __reduce__(self) -> "tuple[Callable[..., CircuitBreaker], tuple[int, float, Clock]]":
        return _closed, (self._threshold, self._seconds, self._clock)

    @property
    def state(self) -> State:
        """``closed``: requests pass. ``open``: none is sent. ``half-open``: one may probe the service."""
        with self._lock:
            if self._opened is None:
                return "closed"
            return "open" if self._seconds_left() > 0 else "half-open"

    def open(self) -> None:
        """Open it now, for example because a health check received wrong vectors."""
        with self._lock:
            self._failures = max(self._failures, 1)
            self._opened = self._clock.now()
            self._probing = False

    def close(self) -> None:
        """Close it now, for example because a health check received correct vectors."""
        self._succeeded()

    @contextmanager
    def guard(self) -> Iterator[None]:
        """Run the block and learn from how it ends; a rejected or throttled request is not an outage.

        Raises:
            CircuitOpen: The circuit is open; ``retry_after`` says for how long.
        """
        self._enter()
        try:
            yield
        except BudgetExceeded:
            # No request was sent, which says nothing about the service.
            self._not_sent()
            raise
        except EmbedStackError as error:
            if isinstance(error, EndpointError) and not isinstance(error, (EndpointAsleep, Throttled)):
                self._failed()
            else:
                self._succeeded()
            raise
        except BaseException:
            # Cancelled, which says nothing about the service.
            self._not_sent()
            raise
        self._succeeded()

    def _enter(self) -> None:
        with self._lock:
            if self._opened is None:
                return
            left = self._seconds_left()
            if left > 0 or self._probing:
                raise CircuitOpen(
                    f"The last {self._failures} requests failed, so no request is sent for another "
                    f"{max(left, 0):.0f} s. Check the endpoint, or wait.",
                    retry_after=max(left, 0.0),
                )
            self._probing = True

    def _not_sent(self) -> None:
        with self._lock:
            self._probing = False

    def _succeeded(self) -> None:
        with self._lock:
            self._failures = 0
            self._opened = None
            self._probing = False

    def _failed(self) -> None:
        with self._lock:
            self._failures += 1
            self._probing = False
            if self._failures >= self._threshold:
                self._opened = self._clock.now()

    def _seconds_left(self) -> float:
        return self._seconds - (self._clock.now() - (self._opened or 0.0))


def _closed(failures: int, seconds: float, clock: Clock) -> CircuitBreaker:
    # The time at which it opened belongs to one machine's clock, so a pickle does not contain it.
    return CircuitBreaker(failures=failures, seconds=seconds, clock=clock)


class CircuitBreakerEmbedder(EmbedderMiddleware):
    """Sends no requests while the circuit is open."""

    def __init__(self, inner: "Embedder", breaker: CircuitBreaker | None = None) -> None:
        super().__init__(inner)
        self.breaker = breaker or CircuitBreaker()

    def dispatch(self, texts: Sequence[str], call_next: "Callable[[Embedder], _Response]") -> _Response:
        """Send one request, unless the circuit is open."""
        with self.breaker.guard():
            return super().dispatch(texts, call_next)
