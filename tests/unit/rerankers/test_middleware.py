"""Retries, limits, circuit breaker, deadline and fallback around a reranker."""

import itertools
import threading

import pytest

from embedstack.embedders import Limits, Price
from embedstack.errors import (
    BudgetExceeded,
    CircuitOpen,
    ConfigurationError,
    CountMismatch,
    DeadlineExceeded,
    EndpointUnavailable,
    InputError,
    InvalidScores,
    ModelFailed,
    Throttled,
)
from embedstack.models.model_info import ModelInfo
from embedstack.rerankers import DeadlineReranker, FakeReranker, FallbackReranker, ResilientReranker
from embedstack.resilience import CircuitBreaker, RateLimit, Retry, RetryPolicy

QUERY = "red apple"
TEXTS = [f"{'red ' * (number % 3)}apple {number}" for number in range(20)]
DOWN = EndpointUnavailable("down")


def failing(*errors, **options):
    """A reranker that raises the errors one after the other, then returns scores."""
    script = list(errors)
    return FakeReranker(fault=lambda _: script.pop(0) if script else None, **options)


def resilient(inner, clock, policy=None, **options):
    return ResilientReranker(inner, retry=Retry(policy, clock=clock, draw=lambda: 1.0), clock=clock, **options)


@pytest.mark.parametrize(
    "error", [DOWN, Throttled("many"), ModelFailed("424", retryable=True), InvalidScores("NaN"), CountMismatch("short")]
)
def test_temporary_failure_is_retried(twin, clock, error):
    with resilient(failing(error, error), clock) as reranker:
        assert len(twin.rerank(reranker, QUERY, TEXTS[:3])) == 3
        assert reranker.stats().retries == 2
    assert clock.slept == [pytest.approx(0.2), pytest.approx(0.4)]


def test_rejected_request_is_not_retried(twin, clock):
    with resilient(failing(InputError("no")), clock) as reranker, pytest.raises(InputError):
        twin.rerank(reranker, QUERY, ["x"])
    assert clock.slept == []


def test_circuit_opens_after_repeated_failures(twin, clock):
    backend = failing(*[DOWN] * 50)
    breaker = CircuitBreaker(failures=3, seconds=60, clock=clock)
    with resilient(backend, clock, RetryPolicy(attempts=1), breaker=breaker) as reranker:
        for _ in range(3):
            with pytest.raises(EndpointUnavailable):
                twin.rerank(reranker, QUERY, ["x"])
        with pytest.raises(CircuitOpen):
            twin.rerank(reranker, QUERY, ["x"])
    assert len(backend.requests) == 3


def test_rate_limit_delays_requests(twin, clock):
    with resilient(FakeReranker(limits=Limits(max_items=5)), clock, limit=RateLimit(texts_per_second=10)) as reranker:
        twin.rerank(reranker, QUERY, TEXTS)
    assert sum(clock.slept) >= 1, "20 texts at 10 per second, after a burst of 10"


def test_budget_ends_reranking(twin, clock):
    backend = FakeReranker(price=Price(per_request=0.6))
    with resilient(backend, clock, limit=RateLimit(budget_usd=1.0)) as reranker:
        twin.rerank(reranker, QUERY, ["x"])
        twin.rerank(reranker, QUERY, ["x"])
        with pytest.raises(BudgetExceeded):
            twin.rerank(reranker, QUERY, ["x"])


def test_deadline_ends_waits_for_retries(twin, clock):
    with (
        DeadlineReranker(resilient(failing(*[DOWN] * 9), clock), 0.5, clock=clock) as reranker,
        pytest.raises(DeadlineExceeded),
    ):
        twin.rerank(reranker, QUERY, ["x"])
    assert clock.slept == [pytest.approx(0.2)]


def test_fallback_of_the_same_model_answers_when_the_first_fails(twin):
    first, second = failing(*[DOWN] * 99), FakeReranker(limits=Limits(max_items=4))
    with FakeReranker() as plain, FallbackReranker(first, second) as reranker:
        assert twin.rerank(reranker, QUERY, TEXTS) == plain.rerank(QUERY, TEXTS)
        assert reranker.stats().failures == len(first.requests)
    assert max(len(sent) for _, sent in second.requests) <= 4


def test_fallback_does_not_hide_a_rejected_text(twin):
    with FallbackReranker(failing(InputError("no")), FakeReranker()) as reranker, pytest.raises(InputError):
        twin.rerank(reranker, QUERY, ["x"])


@pytest.mark.parametrize("other", [ModelInfo("b/other"), ModelInfo("a/model", revision="2" * 40)])
def test_fallback_of_another_model_is_rejected(other):
    first = FakeReranker(ModelInfo("a/model", revision="1" * 40))
    with pytest.raises(ConfigurationError, match="cannot be a fallback"):
        FallbackReranker(first, FakeReranker(other))


def test_full_chain_returns_every_score_over_many_faults(twin, clock):
    lock, counter = threading.Lock(), itertools.count()
    faults = itertools.cycle([DOWN, Throttled("many"), InvalidScores("NaN"), CountMismatch("short")])

    def one_in_ten(_):
        with lock:
            return next(faults) if next(counter) % 10 == 3 else None

    texts = [f"{'red ' * (number % 2)}{'apple ' * (number % 3 == 0)}{number}" for number in range(3000)]
    with FakeReranker() as plain:
        expected = plain.rerank(QUERY, texts)
    backend = FakeReranker(limits=Limits(max_items=16, concurrency=8), fault=one_in_ten)
    with DeadlineReranker(resilient(backend, clock), 1e6, clock=clock) as reranker:
        assert twin.rerank(reranker, QUERY, texts) == expected
        assert reranker.stats().texts == len(texts)
        assert reranker.stats().retries > 0
