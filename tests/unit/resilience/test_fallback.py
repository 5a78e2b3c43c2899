"""Who takes over, and who must not."""

import numpy as np
import pytest

from embedstack.embedders import FakeEmbedder
from embedstack.embedders.fake import fake_vector
from embedstack.errors import BudgetExceeded, ConfigurationError, InputError
from embedstack.models.model_info import ModelInfo
from embedstack.resilience import CircuitBreakerEmbedder, FallbackEmbedder, Retry, RetryingEmbedder
from tests.unit.resilience.scripted import DOWN, Scripted


def test_fallback_replaces_a_failing_embedder(twin):
    first, second = Scripted(*[DOWN] * 3), FakeEmbedder()
    with FallbackEmbedder(first, second) as embedder:
        np.testing.assert_array_equal(twin.embed(embedder, ["x"])[0], fake_vector("x", 8))
        assert second.requests == [["x"]]
        first.script = [InputError("bad")]
        with pytest.raises(InputError):
            twin.embed(embedder, ["x"])
        assert embedder.stats().requests == 1
        assert embedder.stats().failures == 2


@pytest.mark.parametrize(
    "other",
    [
        ModelInfo("another", dimensions=8, max_tokens=512, pooling=None),
        ModelInfo("embedstack/fake", dimensions=4, max_tokens=512, pooling=None),
        ModelInfo("embedstack/fake", dimensions=8, max_tokens=512, pooling=None, normalized=False),
    ],
)
def test_fallback_rejects_another_vector_space(other):
    with pytest.raises(ConfigurationError, match="cannot be a fallback"):
        FallbackEmbedder(FakeEmbedder(), FakeEmbedder(other))


def test_fallback_accepts_another_model_on_request():
    other = ModelInfo("another", dimensions=8, max_tokens=512, pooling=None)
    FallbackEmbedder(FakeEmbedder(), FakeEmbedder(other), allow_other_model=True).close()


def test_spent_budget_makes_one_attempt_without_backoff(twin, clock):
    first, second = Scripted(*[BudgetExceeded("spent")] * 3), FakeEmbedder()
    retrying = CircuitBreakerEmbedder(RetryingEmbedder(first, Retry(clock=clock)))
    with FallbackEmbedder(retrying, second) as embedder, pytest.raises(BudgetExceeded):
        twin.embed(embedder, ["x"])
    assert (len(first.requests), second.requests, clock.slept) == (1, [], [])
