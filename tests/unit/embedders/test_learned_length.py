"""The unknown length of a model's vectors is learned from the first response, and checked from then on."""

import multiprocessing
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from embedstack.cache.cached_embedder import CachedEmbedder, MemoryCache
from embedstack.embedders import FakeEmbedder, Limits
from embedstack.embedders.fake import fake_vector
from embedstack.embedders.learned_model import LearnedModel
from embedstack.errors import ConfigurationError, DimensionMismatch, EndpointUnavailable, NonFiniteVector
from embedstack.models import ModelInfo
from embedstack.resilience import DeadlineEmbedder, FallbackEmbedder, RetryingEmbedder
from embedstack.stores import CollectionInfo
from tests.support.twins import TWINS

UNKNOWN = ModelInfo("my-org/my-model", normalized=None)


@pytest.fixture(params=TWINS, ids=lambda twin: twin.name)
def twin(request):
    return request.param


def copied(value):
    return pickle.loads(pickle.dumps(value))  # noqa: S301 - our own


class Serving(FakeEmbedder):
    """Serves vectors of several lengths, one after the other."""

    def __init__(self, *lengths, info=UNKNOWN, **options):
        super().__init__(info, **options)
        self.lengths = list(lengths)

    def embed_batch(self, texts, kind):
        super().embed_batch(texts, kind)
        length = self.lengths.pop(0) if len(self.lengths) > 1 else self.lengths[0]
        return np.stack([fake_vector(text, length) for text in texts])


def test_first_response_determines_the_length(twin):
    with Serving(5) as embedder:
        assert embedder.info.dimensions is None
        assert twin.embed(embedder, ["x", "y"]).shape == (2, 5)
        assert embedder.info == replace(UNKNOWN, dimensions=5)
        assert twin.embed(embedder, []).shape == (0, 5)


def test_later_responses_of_another_length_are_rejected(twin):
    with Serving(5, 6) as embedder:
        twin.embed(embedder, ["x"])
        with pytest.raises(DimensionMismatch, match="vectors of 6 dimensions; my-org/my-model has 5"):
            twin.embed(embedder, ["y"])
        assert embedder.info.dimensions == 5


def test_invalid_first_response_teaches_nothing():
    class Broken(Serving):
        def embed_batch(self, texts, kind):
            vectors = super().embed_batch(texts, kind)
            return np.full_like(vectors, np.nan) if vectors.shape[1] == 4 else vectors

    with Broken(4, 5) as embedder:
        with pytest.raises(NonFiniteVector):
            embedder.embed(["x"])
        assert embedder.info.dimensions is None
        assert embedder.embed(["x"]).shape == (1, 5)


def test_unknown_normalization_is_not_checked():
    class Long(FakeEmbedder):
        def embed_batch(self, texts, kind):
            return 3 * super().embed_batch(texts, kind)

    with Long(UNKNOWN) as embedder:
        np.testing.assert_allclose(np.linalg.norm(embedder.embed(["x"])), 3, rtol=1e-6)
    with Long(replace(UNKNOWN, normalized=True)) as embedder, pytest.raises(NonFiniteVector):
        embedder.embed(["x"])


def test_learn_dimensions_sends_one_request_at_most():
    with FakeEmbedder(UNKNOWN) as embedder:
        assert [embedder.learn_dimensions() for _ in range(3)] == [8, 8, 8]
        assert len(embedder.requests) == 1
    with FakeEmbedder() as embedder:
        assert embedder.learn_dimensions() == 8
        assert embedder.requests == []


def test_texts_without_vectors_have_no_length(twin):
    with FakeEmbedder(UNKNOWN, fault=lambda texts: EndpointUnavailable("down")) as embedder:
        assert twin.embed(embedder, []).shape == (0, 0)
        result = embedder.embed(["x", "y"], on_error="collect")
        assert result.vectors.shape == (0, 0)
        assert [failure.index for failure in result.failures] == [0, 1]


def test_collected_failures_before_the_first_vector():
    with FakeEmbedder(
        UNKNOWN,
        limits=Limits(max_items=1),
        fault=lambda texts: EndpointUnavailable("down") if texts == ["bad"] else None,
    ) as embedder:
        result = embedder.embed(["bad", "x", "bad", "y"], on_error="collect")
        np.testing.assert_array_equal(result.vectors, [fake_vector("x", 8), fake_vector("y", 8)])
        assert [failure.index for failure in result.failures] == [0, 2]


def test_concurrent_first_responses_agree_on_one_length():
    gate = threading.Barrier(8)

    class Racing(FakeEmbedder):
        def embed_batch(self, texts, kind):
            gate.wait(30)
            length = 5 + int(texts[0]) % 2
            return np.stack([fake_vector(text, length) for text in texts])

    with Racing(UNKNOWN, limits=Limits(concurrency=8)) as embedder, ThreadPoolExecutor(8) as pool:

        def embed(number):
            try:
                return embedder.embed([str(number)]).shape[1]
            except DimensionMismatch:
                return None

        lengths = set(pool.map(embed, range(8)))
        learned = embedder.info.dimensions
    assert learned in (5, 6)
    assert lengths == {learned, None}


def test_middleware_shares_what_the_backend_learned(twin):
    backend = FakeEmbedder(UNKNOWN)
    with DeadlineEmbedder(CachedEmbedder(RetryingEmbedder(backend)), 30) as embedder:
        assert embedder.info.dimensions is None
        twin.embed(embedder, ["x"])
        assert embedder.info.dimensions == embedder.inner.info.dimensions == backend.info.dimensions == 8


def test_fallbacks_learn_one_length(twin):
    down = EndpointUnavailable("down")
    first = Serving(8, fault=lambda texts: down if texts == ["x"] else None)
    with FallbackEmbedder(first, Serving(5)) as embedder:
        assert twin.embed(embedder, ["x"]).shape == (1, 5)
        with pytest.raises(DimensionMismatch, match="vectors of 8 dimensions; my-org/my-model has 5"):
            first.embed(["y"])


def test_fallback_with_a_known_length_teaches_it():
    known = replace(UNKNOWN, dimensions=5)
    with FallbackEmbedder(FakeEmbedder(UNKNOWN), FakeEmbedder(known)) as embedder:
        assert embedder.info.dimensions == 5
    with pytest.raises(ConfigurationError, match="cannot be a fallback"):
        FallbackEmbedder(FakeEmbedder(known), FakeEmbedder(replace(UNKNOWN, dimensions=6)))


def test_copies_keep_what_was_learned():
    model = LearnedModel(UNKNOWN)
    before = copied(model)
    model.check(np.eye(2, 5, dtype=np.float32), 2)
    after = copied(model)
    assert (before.info.dimensions, after.info.dimensions) == (None, 5)
    before.check(np.eye(2, 6, dtype=np.float32), 2)
    assert (before.info.dimensions, model.info.dimensions) == (6, 5)


def test_forked_child_keeps_what_was_learned():
    model = LearnedModel(UNKNOWN)
    model._learned._lock.acquire()  # as a thread of the parent may hold it
    try:
        with multiprocessing.get_context("fork").Pool(1) as pool:
            child = pool.apply_async(_learn, (model,)).get(30)
    finally:
        model._learned._lock.release()
    assert child == 5
    assert model.info.dimensions is None


def _learn(model):
    model.check(np.eye(2, 5, dtype=np.float32), 2)
    return model.info.dimensions


def test_cache_stores_nothing_by_an_unknown_length(twin):
    cache = MemoryCache()
    embedder = CachedEmbedder(FakeEmbedder(UNKNOWN), cache)
    provisional = embedder.key("x", "document")
    twin.embed(embedder, ["x", "x", "y"])
    assert embedder.stats().cache_hits == 1
    assert not cache.get([provisional])
    assert cache.get([embedder.key("x", "document")])
    twin.embed(embedder, ["x", "y"])
    assert embedder.stats().cache_hits == 3
    known = CachedEmbedder(FakeEmbedder(replace(UNKNOWN, dimensions=8)), cache)
    twin.embed(known, ["x", "y"])
    assert known.stats().cache_hits == 2
    other = CachedEmbedder(FakeEmbedder(replace(UNKNOWN, dimensions=4)), cache)
    np.testing.assert_array_equal(twin.embed(other, ["x"]), [fake_vector("x", 4)])
    for opened in (embedder, known, other):
        opened.close()


def test_cache_learns_within_a_call(twin):
    backend = FakeEmbedder(UNKNOWN, limits=Limits(max_items=2, concurrency=1))
    texts = [str(number % 50) for number in range(400)]
    with CachedEmbedder(backend, MemoryCache()) as embedder:
        np.testing.assert_array_equal(twin.embed(embedder, texts), [fake_vector(text, 8) for text in texts])
        assert sorted(text for request in backend.requests for text in request) == sorted(map(str, range(50)))


def test_collection_needs_a_learned_length():
    with FakeEmbedder(UNKNOWN) as embedder:
        with pytest.raises(ConfigurationError, match=r"learn_dimensions\(\), or set EMBEDDING_DIMENSIONS"):
            CollectionInfo.for_model("documents", embedder.info)
        embedder.learn_dimensions()
        assert CollectionInfo.for_model("documents", embedder.info).dimensions == 8
