"""No more requests, texts or dollars than allowed."""

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

__all__ = ["RateLimit", "RateLimitedEmbedder", "TokenBucket"]

_Response = TypeVar("_Response")


class TokenBucket:
    """Fills at a steady rate up to its size; who takes more than is in it waits for the rest. Shared by threads."""

    def __init__(self, per_second: float, burst: float, *, clock: Clock | None = None) -> None:
        """Start full.

        Args:
            per_second: Tokens that are added per second.
            burst: Tokens that it holds.
            clock: What measures that.
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
        """Take tokens, waiting until they are there; who comes first is served first.

        Raises:
            DeadlineExceeded: They will not be there before the call's deadline; none are taken.
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
    # When it was filled last is a moment of one machine's clock, and so no part of a pickle.
    return TokenBucket(per_second, burst, clock=clock)


@dataclass(frozen=True, slots=True)
class RateLimit:
    """What is allowed to each process; None allows any.

    Attributes:
        requests_per_second: Requests.
        texts_per_second: Texts.
        budget_usd: US dollars in all, by the backend's price.
    """

    requests_per_second: float | None = None
    texts_per_second: float | None = None
    budget_usd: float | None = None


class RateLimitedEmbedder(EmbedderMiddleware):
    """Waits until a request is allowed, and refuses it when the budget is spent."""

    def __init__(self, inner: "Embedder", limit: RateLimit, *, clock: Clock | None = None) -> None:
        super().__init__(inner)
        self._limit = limit
        # A second's worth at once, and always at least one request.
        self._requests, self._texts = (
            TokenBucket(rate, max(1.0, rate), clock=clock) if rate is not None else None
            for rate in (limit.requests_per_second, limit.texts_per_second)
        )

    def dispatch(self, texts: Sequence[str], call_next: "Callable[[Embedder], _Response]") -> _Response:
        """One request, when it is allowed."""
        budget = self._limit.budget_usd
        if budget is not None:
            spent = sum(meter.cost_usd for meter in self.meters)
            if spent >= budget:
                raise BudgetExceeded(f"${spent:.2f} of the budget of ${budget:.2f} are spent: raise it to go on.")
        if self._requests is not None:
            self._requests.take(1)
        if self._texts is not None:
            self._texts.take(len(texts))
        return super().dispatch(texts, call_next)
