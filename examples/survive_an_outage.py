"""Retries, a circuit breaker and a fallback, composed by hand."""

from embedstack.embedders import FakeEmbedder
from embedstack.errors import EndpointUnavailable
from embedstack.resilience import (
    CircuitBreaker,
    CircuitBreakerEmbedder,
    FallbackEmbedder,
    Retry,
    RetryingEmbedder,
    RetryPolicy,
)

broken = FakeEmbedder(fault=lambda _: EndpointUnavailable("the endpoint is down"))
patient = RetryingEmbedder(broken, Retry(RetryPolicy(attempts=2, initial=0.01)))
guarded = CircuitBreakerEmbedder(patient, CircuitBreaker(failures=5, seconds=300))

with FallbackEmbedder(guarded, FakeEmbedder()) as embedder:
    for _ in range(6):
        embedder.embed(["a text"])
    print(f"Circuit: {guarded.breaker.state}; {embedder.stats().requests} texts embedded by the fallback")
