"""Scores from caches: hits per pair, keys, damaged entries and failing caches."""

import numpy as np
import pytest

from embedstack.cache import MemoryCache, SqliteCache
from embedstack.embedders import Limits
from embedstack.errors import TextTooLong
from embedstack.models.model_info import ModelInfo
from embedstack.rerankers import CachedReranker, DeadlineReranker, FakeReranker

MODELS = (("a/b", None), ("a/c", None), ("a/b", "1" * 40))
QUERY = "red apple"
TEXTS = [f"{'red ' * (number % 2)}{'apple ' * (number % 3 == 0)}{number}" for number in range(50)]


@pytest.fixture(params=["memory", "file"])
def cache(request, tmp_path):
    made = MemoryCache() if request.param == "memory" else SqliteCache(tmp_path / "cache.db")
    yield made
    made.close()


def sent(backend):
    return [text for _, texts in backend.requests for text in texts]


def test_repeated_call_sends_no_request(twin, cache):
    backend = FakeReranker(limits=Limits(max_items=8))
    with CachedReranker(backend, cache) as reranker, FakeReranker() as plain:
        for _ in range(2):
            assert twin.rerank(reranker, QUERY, TEXTS) == plain.rerank(QUERY, TEXTS)
        assert len(sent(backend)) == len(TEXTS)
        assert reranker.stats().cache_hits == len(TEXTS)


def test_hits_count_per_pair_and_misses_fill_whole_requests(twin, cache):
    backend = FakeReranker(limits=Limits(max_items=8))
    with CachedReranker(backend, cache) as reranker, FakeReranker() as plain:
        twin.rerank(reranker, QUERY, TEXTS[::2])
        backend.requests.clear()
        np.testing.assert_array_equal(twin.score(reranker, QUERY, TEXTS), plain.score(QUERY, TEXTS))
    assert sorted(sent(backend)) == sorted(TEXTS[1::2])
    assert len(backend.requests) == 4
    assert backend.stats().cache_hits == 25


def test_text_of_a_call_is_scored_once(twin, cache):
    backend = FakeReranker()
    with CachedReranker(backend, cache) as reranker:
        rankings = twin.rerank(reranker, QUERY, ["red", "apple", "red", "red"])
    assert sorted(sent(backend)) == ["apple", "red"]
    assert sorted(ranking.index for ranking in rankings) == [0, 1, 2, 3]


def test_query_and_text_are_not_confused(twin, cache):
    backend = FakeReranker()
    with CachedReranker(backend, cache) as reranker:
        for query, text in [("ab", "c"), ("a", "bc"), ("c", "ab")]:
            twin.rerank(reranker, query, [text])
    assert len(backend.requests) == 3


def test_models_and_revisions_do_not_share_scores(cache):
    backends = [FakeReranker(ModelInfo(name, revision=revision)) for name, revision in MODELS]
    for backend in backends:
        CachedReranker(backend, cache).rerank(QUERY, ["red"])
        assert len(backend.requests) == 1


def test_error_has_the_index_in_the_call(twin, cache):
    def refuse(texts):
        return TextTooLong("too long", index=texts.index("bad")) if "bad" in texts else None

    backend = FakeReranker(fault=refuse, limits=Limits(max_items=4))
    with CachedReranker(backend, cache) as reranker:
        twin.rerank(reranker, QUERY, TEXTS[:30])
        with pytest.raises(TextTooLong, match="Text 31") as caught:
            twin.rerank(reranker, QUERY, [*TEXTS[:31], "bad", *TEXTS[31:]])
    assert caught.value.index == 31


@pytest.mark.parametrize("damaged", [[np.nan], [np.inf], [1, 2], 3])
def test_damaged_entry_is_a_cache_miss(twin, damaged):
    class Damaged(MemoryCache):
        def get(self, keys):
            return dict.fromkeys(super().get(keys), np.asarray(damaged, np.float32))

    backend = FakeReranker()
    with CachedReranker(backend, Damaged()) as reranker:
        for _ in range(2):
            assert twin.rerank(reranker, QUERY, ["red"]) == [(0, 0.5)]
    assert len(backend.requests) == 2


def test_failing_cache_causes_misses_only(twin):
    class Broken(MemoryCache):
        def get(self, keys):
            raise OSError("gone")

        put = get

    with CachedReranker(FakeReranker(), Broken()) as reranker:
        assert twin.rerank(reranker, QUERY, ["red"]) == [(0, 0.5)]


def test_cache_inside_a_deadline_is_used(twin, cache):
    backend = FakeReranker()
    with DeadlineReranker(CachedReranker(backend, cache), 60) as reranker:
        for _ in range(2):
            twin.rerank(reranker, QUERY, TEXTS)
    assert len(sent(backend)) == len(TEXTS)
