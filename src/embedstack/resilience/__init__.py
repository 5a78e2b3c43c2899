"""Middleware for resilience: retry, rate limit, circuit breaker, fallback, deadline. Each policy also works alone.

:func:`embedstack.load_embedder` composes, from the outside in: deadline, cache, fallback, circuit breaker, rate limit,
retry, backend.
"""

from embedstack.resilience.breaker import CircuitBreaker, CircuitBreakerEmbedder
from embedstack.resilience.deadline import DeadlineEmbedder
from embedstack.resilience.fallback import FallbackEmbedder
from embedstack.resilience.rate_limit import RateLimit, RateLimitedEmbedder, RateLimiter, TokenBucket
from embedstack.resilience.retry import Retry, RetryEvent, RetryingEmbedder, RetryPolicy

__all__ = [
    "CircuitBreaker",
    "CircuitBreakerEmbedder",
    "DeadlineEmbedder",
    "FallbackEmbedder",
    "RateLimit",
    "RateLimitedEmbedder",
    "RateLimiter",
    "Retry",
    "RetryEvent",
    "RetryPolicy",
    "RetryingEmbedder",
    "TokenBucket",
]
