"""Vectors for parts of texts: checked as any others, through every wrapper, and by who can."""

import numpy as np
import pytest

from embedstack.cache.cached_embedder import CachedEmbedder
from embedstack.calls.clock import ManualClock
from embedstack.embedders import Embedder, FakeEmbedder, Limits, SpannedText
from embedstack.embedders.fake import fake_vector
from embedstack.embedders.sagemaker.responses import read_spans
from embedstack.errors import ConfigurationError, CountMismatch, EndpointUnavailable, IntegrityError, Throttled
from embedstack.models.catalogue import known_model
from embedstack.models.model_info import ModelInfo
from embedstack.resilience import (
    CircuitBreakerEmbedder,
    DeadlineEmbedder,
    FallbackEmbedder,
    RateLimit,
    RateLimitedEmbedder,
    Retry,
    RetryingEmbedder,
)

MODEL = ModelInfo("embedstack/fake", dimensions=8, max_tokens=64, pooling="mean")
TEXTS = [SpannedText(f"text number {number}", ((0, 4), (5, 11))[: 1 + number % 2]) for number in range(50)]
WANTED = [[fake_vector(f"{start}-{end} of {text}", 8) for start, end in spans] for text, spans in TEXTS]


def assert_wanted(all_responses):
    for response, expected in zip(all_responses, WANTED, strict=True):
        np.testing.assert_array_equal(response, expected)


def test_embed_spans_keeps_the_order_of_texts_and_spans():
    with FakeEmbedder(MODEL, limits=Limits(max_items=7, concurrency=3)) as embedder:
        assert_wanted(embedder.embed_spans(iter(TEXTS)))
        assert max(map(len, embedder.requests)) <= 7
        assert embedder.stats().texts == len(TEXTS)


def test_middleware_passes_spans_on():
    failures = iter([Throttled("busy")])
    backend = FakeEmbedder(MODEL, limits=Limits(max_items=10), fault=lambda _: next(failures, None))
    clock = ManualClock()
    embedder = DeadlineEmbedder(
        CachedEmbedder(
            FallbackEmbedder(
                CircuitBreakerEmbedder(
                    RateLimitedEmbedder(
                        RetryingEmbedder(backend, Retry(clock=clock)), RateLimit(texts_per_second=40), clock=clock
                    )
                ),
                FakeEmbedder(MODEL),
            )
        ),
        seconds=60,
        clock=clock,
    )
    with embedder:
        assert_wanted(embedder.embed_spans(TEXTS))
        assert embedder.stats().retries == 1
    assert clock.slept


def test_fallback_embeds_spans():
    def broken(_):
        return EndpointUnavailable("out of order")

    with FallbackEmbedder(FakeEmbedder(MODEL, fault=broken), FakeEmbedder(MODEL)) as embedder:
        assert_wanted(embedder.embed_spans(TEXTS))


def test_missing_span_vector_is_an_error():
    class Forgetful(FakeEmbedder):
        def embed_span_batch(self, texts, spans, kind):
            return [vectors[:1] for vectors in super().embed_span_batch(texts, spans, kind)]

    with Forgetful(MODEL) as embedder, pytest.raises(CountMismatch):
        list(embedder.embed_spans(TEXTS))


def test_embed_spans_rejects_unsupported_backends():
    class Plain(FakeEmbedder):
        embed_span_batch = Embedder.embed_span_batch

    for embedder, message in (
        (Plain(MODEL), "Plain cannot pool parts of a text"),
        (FakeEmbedder(known_model("BAAI/bge-m3")), "mean pooling"),
    ):
        with embedder, pytest.raises(ConfigurationError, match=message):
            list(embedder.embed_spans(TEXTS))


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b'{"spans": [["AACAPw==", "AAAA"]]}', IntegrityError),
        (b'{"spans": [[1.0]]}', IntegrityError),
        (b'{"spans": [["!"]]}', IntegrityError),
        (b'{"spans": [[', EndpointUnavailable),
        (b"[[1.0]]", ConfigurationError),
        (b'{"embeddings": []}', ConfigurationError),
    ],
)
def test_span_response_without_vectors_is_an_error(content, error):
    with pytest.raises(error):
        read_spans(content, "e")
