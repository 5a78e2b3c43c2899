"""Splitting, order, concurrency and the checks on every vector, over a backend whose faults are chosen."""

import threading
import time

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from embedstack.embedders import Embedder, Limits
from embedstack.errors import (
    CountMismatch,
    DimensionMismatch,
    InputError,
    NonFiniteVector,
    PayloadTooLarge,
    Throttled,
)
from embedstack.models.model_info import ModelInfo

MODEL = ModelInfo("test/angle", dimensions=2, max_tokens=100, pooling="mean")


class AngleEmbedder(Embedder):
    """Embeds a text as the angle of its number, so that a row tells which text it is of."""

    def __init__(self, limits=None, spoil=lambda vectors: vectors):
        super().__init__(MODEL, limits or Limits())
        self.requests = []
        self.spoil = spoil
        self.busy = self.most_busy = 0
        self._lock = threading.Lock()

    def embed_batch(self, texts, kind):
        with self._lock:
            self.requests.append(list(texts))
            self.busy += 1
            self.most_busy = max(self.most_busy, self.busy)
        time.sleep(0.001)
        with self._lock:
            self.busy -= 1
        angles = np.array([float(len(text)) for text in texts])
        return self.spoil(np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32))


def expected(texts):
    angles = np.array([float(len(text)) for text in texts])
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


@settings(max_examples=60, deadline=None)
@given(
    texts=st.lists(st.text(st.characters(codec="utf-8"), min_size=1, max_size=20), max_size=40),
    items=st.integers(1, 7),
    size=st.integers(80, 200),
    concurrency=st.integers(1, 4),
)
def test_embed_keeps_order_for_any_split(texts, items, size, concurrency):
    embedder = AngleEmbedder(Limits(max_items=items, max_bytes=size, concurrency=concurrency))
    np.testing.assert_allclose(embedder.embed(texts), expected(texts).reshape(-1, 2), atol=1e-6)
    assert all(len(request) <= items for request in embedder.requests)
    assert all(sum(len(text.encode()) for text in request) <= size for request in embedder.requests)
    assert sum(map(len, embedder.requests)) == len(texts)
    assert embedder.most_busy <= concurrency
    assert embedder.stats().texts == len(texts)


def test_embed_of_no_texts_returns_no_vectors():
    assert AngleEmbedder().embed([]).shape == (0, 2)


def test_embed_query_and_documents_shapes():
    embedder = AngleEmbedder()
    assert embedder.embed_query("abc").shape == (2,)
    assert embedder.embed_documents(["a", "b"]).shape == (2, 2)


@pytest.mark.parametrize(
    ("texts", "error", "message", "index"),
    [
        (["a", ""], InputError, "Text 1 is empty", 1),
        (["a", None], InputError, "Text 1 is a NoneType", 1),
        (["a", float("nan")], InputError, "Text 1 is a float", 1),
        (["a", "b\ud800"], InputError, "Text 1 contains an unpaired surrogate at index 1", 1),
        (["a", "x" * 101], PayloadTooLarge, "Text 1 takes 101 bytes; the limit of a request is 100", 1),
        ("one text", InputError, "takes a list of texts", None),
        (iter(["a"]), InputError, "not list_iterator. Call embed_stream", None),
        (map(str, [1]), InputError, "not map. Call embed_stream", None),
        ({"a", "b"}, InputError, "not set. Pass a list", None),
        ({"a": 1}, InputError, "not dict. Pass a list", None),
        (b"ab", InputError, "not bytes. Pass a list", None),
        (None, InputError, "not NoneType. Pass a list", None),
    ],
)
def test_invalid_texts_are_rejected_before_any_request(texts, error, message, index):
    embedder = AngleEmbedder(Limits(max_bytes=100))
    with pytest.raises(error, match=message) as caught:
        embedder.embed(texts)
    assert caught.value.index == index
    assert embedder.requests == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "passage"}, "Unknown kind of text 'passage'"),
        ({"context": "general"}, "Unknown context 'general'. Contexts: code, docs, business"),
    ],
)
def test_unknown_kind_and_context_are_rejected(options, message):
    embedder = AngleEmbedder()
    with pytest.raises(InputError, match=message):
        embedder.embed(["a"], **options)
    with pytest.raises(InputError, match=message):
        list(embedder.embed_stream(["a"], **options))
    assert embedder.requests == []


def _with_nan(vectors):
    vectors[-1, 0] = np.nan
    return vectors


@pytest.mark.parametrize(
    ("spoil", "error", "message"),
    [
        (lambda vectors: vectors[:-1], CountMismatch, "The response to 2 texts has 1 vectors"),
        (lambda vectors: vectors[:, :1], DimensionMismatch, "1 dimensions; test/angle has 2"),
        (_with_nan, NonFiniteVector, "Text 1: The vector contains NaN"),
        (lambda vectors: vectors * 2, NonFiniteVector, "Text 0: The vector does not have unit length"),
    ],
)
def test_invalid_vectors_raise(spoil, error, message):
    with pytest.raises(error, match=message):
        AngleEmbedder(Limits(max_items=2), spoil).embed(["a", "b"])


def test_failed_request_stops_the_call():
    class Overloaded(AngleEmbedder):
        def embed_batch(self, texts, kind):
            super().embed_batch(texts, kind)
            raise Throttled("too many")

    embedder = Overloaded(Limits(max_items=1, concurrency=2))
    with pytest.raises(Throttled):
        embedder.embed(["a"] * 200)
    assert len(embedder.requests) < 200
