"""All wrappers together, over twenty thousand texts."""

import itertools
import threading

import numpy as np

from embedstack.embedders import FakeEmbedder, Limits
from embedstack.embedders.fake import fake_vector
from embedstack.errors import CountMismatch, ModelFailed, NonFiniteVector, Throttled
from embedstack.resilience import CircuitBreakerEmbedder, RateLimit, RateLimitedEmbedder
from tests.unit.resilience.scripted import DOWN, retrying

FAULTS = (
    DOWN,
    Throttled("many"),
    ModelFailed("424", retryable=True),
    NonFiniteVector("NaN"),
    CountMismatch("one short"),
)


def test_full_chain_loses_nothing_over_many_faults(twin, clock):
    lock = threading.Lock()
    counter = iter(range(10**9))
    faults = itertools.cycle(FAULTS)

    def one_in_ten(_):
        with lock:
            return next(faults) if next(counter) % 10 == 3 else None

    texts = [str(number) for number in range(20_000)]
    backend = FakeEmbedder(limits=Limits(max_items=32, concurrency=8), fault=one_in_ten)
    chain = CircuitBreakerEmbedder(
        RateLimitedEmbedder(retrying(backend, clock), RateLimit(texts_per_second=1e9), clock=clock)
    )
    with chain:
        result = twin.embed(chain, texts, on_error="collect")
    assert result.failures == ()
    np.testing.assert_array_equal(result.vectors[::997], [fake_vector(text, 8) for text in texts[::997]])
    assert chain.stats().texts == len(texts)
