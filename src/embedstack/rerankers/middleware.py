"""Middleware: a reranker that wraps another one, with retries, limits, a deadline or a fallback."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from embedstack.calls.call_context import Call
from embedstack.calls.clock import Clock, SystemClock
from embedstack.embedders.batching import Limits, TextSizes
from embedstack.errors import ConfigurationError
from embedstack.rerankers.base import Reranker
from embedstack.resilience import CircuitBreaker, RateLimit, RateLimiter, Retry
from embedstack.resilience.fallback import first_success

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from embedstack.models.model_info import ModelInfo

    Scores = NDArray[np.float32]

__all__ = ["DeadlineReranker", "FallbackReranker", "RerankerMiddleware", "ResilientReranker"]


class RerankerMiddleware(Reranker):
    """Delegates to the reranker that it wraps; a subclass overrides :meth:`request_scores` to act on every request.

    The outermost reranker groups texts into requests. Every request passes through the middleware to the backend,
    which has the threads, checks the scores and counts.

    Attributes:
        inner: The wrapped reranker.
    """

    def __init__(self, inner: Reranker, limits: Limits | None = None) -> None:
        """Wrap a reranker.

        Args:
            inner: The reranker.
            limits: Limits of one request; those of the wrapped reranker by default.
        """
        # Not super().__init__(), which would make threads and counters.
        self.inner = inner
        self.info = inner.info
        self.limits = limits or inner.limits
        self.runner = inner.runner
        self.meters = inner.meters

    def request_scores(self, query: str, texts: Sequence[str]) -> "Scores":
        """Send one request of the wrapped reranker."""
        return self.inner.request_scores(query, texts)

    def score_batch(self, query: str, texts: Sequence[str]) -> "Scores":
        """As :meth:`request_scores`."""
        return self.request_scores(query, texts)

    def text_sizes(self, query: str) -> TextSizes:
        """Bytes that texts take in a request of the wrapped reranker."""
        return self.inner.text_sizes(query)

    def score_identity(self) -> Mapping[str, Any]:
        """That of the wrapped reranker."""
        return self.inner.score_identity()

    def disable_retries(self) -> None:
        """Disable those of the wrapped reranker."""
        self.inner.disable_retries()

    def start_call(self) -> Call:
        """A call of the wrapped reranker, which may have a deadline."""
        return self.inner.start_call()

    def close(self) -> None:
        """Close the wrapped reranker."""
        self.inner.close()


class ResilientReranker(RerankerMiddleware):
    """Sends every request through a circuit breaker, a rate limit and retries, from the outside in.

    The backend's own retries are disabled, since retries have exactly one owner.
    """

    def __init__(
        self,
        inner: Reranker,
        *,
        retry: Retry | None = None,
        limit: RateLimit | None = None,
        breaker: CircuitBreaker | None = None,
        clock: Clock | None = None,
    ) -> None:
        """Wrap a backend.

        Args:
            inner: The backend.
            retry: Retries temporary failures.
            limit: Limits requests and texts per second, and the cost; unlimited by default.
            breaker: Stops requests after repeated failures.
            clock: Measures the time for the rate limit.
        """
        super().__init__(inner)
        self.breaker = breaker or CircuitBreaker()
        self._retry = retry or Retry()
        self._limiter = RateLimiter(limit or RateLimit(), clock=clock)
        inner.disable_retries()

    def request_scores(self, query: str, texts: Sequence[str]) -> "Scores":
        """Send one request, as soon as the limits allow it, with retries."""
        with self.breaker.guard():
            self._limiter.admit(len(texts), sum(meter.cost_usd for meter in self.meters))
            return self._retry.call(
                lambda: self.inner.request_scores(query, texts), on_retry=lambda: self.meters[0].count("retries")
            )


class FallbackReranker(RerankerMiddleware):
    """Calls the next reranker of the same model when one fails.

    Scores of two models cannot be compared, and the requests of one call may reach different rerankers.
    """

    def __init__(self, first: Reranker, *others: Reranker) -> None:
        """Combine rerankers.

        Args:
            first: Called first.
            others: Called in this order when those before have failed.

        Raises:
            ConfigurationError: A reranker has another model or revision than the first.
        """
        for other in others:
            _check_same_model(first.info, other.info)
        self._chain = (first, *others)
        super().__init__(
            first,
            Limits(
                max_items=min(reranker.limits.max_items for reranker in self._chain),
                max_bytes=min(reranker.limits.max_bytes for reranker in self._chain),
                concurrency=first.limits.concurrency,
            ),
        )
        self.meters = tuple(meter for reranker in self._chain for meter in reranker.meters)

    def request_scores(self, query: str, texts: Sequence[str]) -> "Scores":
        """Send one request to the first reranker that succeeds."""
        return first_success(self._chain, lambda reranker: reranker.request_scores(query, texts))

    def score_identity(self) -> Mapping[str, Any]:
        """Those of all rerankers, since any of them may compute a score."""
        return {"any_of": [reranker.score_identity() for reranker in self._chain]}

    def disable_retries(self) -> None:
        """Disable those of all rerankers."""
        for reranker in self._chain:
            reranker.disable_retries()

    def close(self) -> None:
        """Close all rerankers."""
        for reranker in self._chain:
            reranker.close()


class DeadlineReranker(RerankerMiddleware):
    """Limits the time of every call, including its waits and retries; see ``DeadlineEmbedder``."""

    def __init__(self, inner: Reranker, seconds: float, *, clock: Clock | None = None) -> None:
        super().__init__(inner)
        self._seconds = seconds
        self._clock = clock or SystemClock()

    def start_call(self) -> Call:
        """The call that a method of this reranker runs in, with its deadline."""
        return super().start_call().until(self._seconds, self._clock)

    def score_texts(self, query: str, texts: Sequence[str], call: Call) -> "Scores":
        """As the wrapped reranker, within the deadline."""
        return self.inner.score_texts(query, texts, call)

    async def ascore_texts(self, query: str, texts: Sequence[str], call: Call) -> "Scores":
        """As :meth:`score_texts`."""
        return await self.inner.ascore_texts(query, texts, call)


def _check_same_model(first: "ModelInfo", other: "ModelInfo") -> None:
    revisions = {first.revision, other.revision} - {None}
    if first.model_id != other.model_id or len(revisions) > 1:
        raise ConfigurationError(
            f"{other.model_id} cannot be a fallback for {first.model_id}: scores of two models or revisions cannot be "
            "compared. Use a backend of the same model."
        )
