"""Limits for requests, texts and US dollars."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from embedstack.calls.call_context import Call
from embedstack.calls.clock import Clock, SystemClock
from embedstack.calls.process_local import Lock
from embedstack.embedders.middleware import EmbedderMiddleware
from embedstack.errors import BudgetExceeded

if TYPE_CHECKING:
    from embedstack.embedders.base import Embedder

__all__ = ["RateLimit", "RateLimitedEmbedder", "RateLimiter", "TokenBucket"]

_Response = TypeVar("_Response")


class TokenBucket:
    """Refills at a steady rate up to its size; taking more than it contains waits for the rest. Shared by threads."""

    def __init__(self, per_second: float, burst: float, *, clock: Clock | None = None) -> None:
        """Start full.

        Args:
            per_second: Tokens added per second.
            burst: Size of the bucket, in tokens.
            clock: Measures the time.
        """
        self._per_second = per_second
        self._burst = burst
        self._clock = clock or SystemClock()
        self._level = burst
        self._filled = self._clock.now()
        self._lock = Lock()

    def __reduce__(self) -> "tuple[Callable[..., TokenBucket], tuple[float, float, Clock]]":
        return _full, (self._per_second, self._burst, self._clock)

    def take(self, tokens: float) -> None:
        """Take tokens, waiting until they are available; first come, first served.

        Raises:
            DeadlineExceeded: They are not available before the call's deadline; none are taken.
        """
        with self._lock:
            now = self._clock.now()
            self._level = min(self._burst, self._level + (now - self._filled) * self._per_second)
            self._filled = now
            self._level -= tokens
            seconds = max(0.0, -self._level / self._per_second)
        if seconds == 0:
            return
        try:
            Call.current().pause(seconds, self._clock)
        except BaseException:
            with self._lock:
                self._level += tokens
            raise


def _full(per_second: float, burst: float, clock: Clock) -> TokenBucket:
    # The time of the last refill belongs to one machine's clock, so a pickle does not contain it.
    return TokenBucket(per_second, burst, clock=clock)


@dataclass(frozen=True, slots=True)
class RateLimit:
    """Limits of each process; None for no limit.

    Attributes:
        requests_per_second: Requests per second.
        texts_per_second: Texts per second.
        budget_usd: Total cost in US dollars, by the backend's price.
    """

    requests_per_second: float | None = None
    texts_per_second: float | None = None
    budget_usd: float | None = None


class RateLimiter:
    """Delays requests to the allowed rate, and rejects them when the budget is spent. Shared by threads."""

    def __init__(self, limit: RateLimit, *, clock: Clock | None = None) -> None:
        self._budget = limit.budget_usd
        # A burst of one second, and always at least one request.
        self._requests, self._texts = (
            TokenBucket(rate, max(1.0, rate), clock=clock) if rate is not None else None
            for rate in (limit.requests_per_second, limit.texts_per_second)
        )

    def admit(self, texts: int, spent_usd: float) -> None:
        """Wait until the limits allow a request.

        Args:
            texts: Texts of the request.
            spent_usd: Cost so far, in US dollars.

        Raises:
            BudgetExceeded: The budget is spent.
            DeadlineExceeded: The limits do not allow the request before the call's deadline.
        """
        if self._budget is not None and spent_usd >= self._budget:
            raise BudgetExceeded(
                f"${spent_usd:.2f} of the budget of ${self._budget:.2f} is spent. Raise it to continue."
            )
        if self._requests is not None:
            self._requests.take(1)
        if self._texts is not None:
            self._texts.take(texts)


class RateLimitedEmbedder(EmbedderMiddleware):
    """Sends requests within the limits; see :class:`RateLimiter`."""

    def __init__(self, inner: "Embedder", limit: RateLimit, *, clock: Clock | None = None) -> None:
        super().__init__(inner)
        self._limiter = RateLimiter(limit, clock=clock)

    def dispatch(self, texts: Sequence[str], call_next: "Callable[[Embedder], _Response]") -> _Response:
        """Send one request, as soon as the limits allow it."""
        self._limiter.admit(len(texts), sum(meter.cost_usd for meter in self.meters))
        return super().dispatch(texts, call_next)
