"""No more requests, texts or dollars than allowed."""

import pytest

from embedstack.embedders import FakeEmbedder, Price
from embedstack.errors import BudgetExceeded
from embedstack.resilience import RateLimit, RateLimitedEmbedder


def test_rate_limit_by_requests_and_by_texts(twin, clock):
    by_requests = RateLimitedEmbedder(FakeEmbedder(), RateLimit(requests_per_second=2), clock=clock)
    with by_requests:
        for _ in range(6):
            twin.embed(by_requests, ["x"])
    assert clock.now() == pytest.approx(2.0)
    by_texts = RateLimitedEmbedder(FakeEmbedder(), RateLimit(texts_per_second=10), clock=clock)
    with by_texts:
        twin.embed(by_texts, ["x"] * 10)
        twin.embed(by_texts, ["x"] * 30)
    assert clock.now() == pytest.approx(2.0 + 3.0)


def test_rate_limit_stops_at_the_budget(twin):
    priced = FakeEmbedder(price=Price(per_request=1))
    with RateLimitedEmbedder(priced, RateLimit(budget_usd=2)) as embedder:
        twin.embed(embedder, ["x"])
        twin.embed(embedder, ["x"])
        with pytest.raises(BudgetExceeded, match=r"\$2.00 of the budget of \$2.00"):
            twin.embed(embedder, ["x"])
