"""Rankings from one or many requests, and what is checked before and after them."""

import pickle

import numpy as np
import pytest

from embedstack.embedders import Limits
from embedstack.errors import CountMismatch, InputError, InvalidScores, PayloadTooLarge, TextTooLong
from embedstack.rerankers import FakeReranker, Ranking

QUERY = "red apple pie"
TEXTS = ["a green pear", "red apple", "the sky", "an apple pie, red", "apple"]


class Returning(FakeReranker):
    """Returns the given scores, whatever the texts are."""

    def __init__(self, scores, **options):
        super().__init__(**options)
        self.scores = scores

    def score_batch(self, query, texts):
        super().score_batch(query, texts)
        return np.asarray(self.scores, np.float32)


def test_rerank_orders_texts_by_descending_score(twin):
    with FakeReranker() as reranker:
        rankings = twin.rerank(reranker, QUERY, TEXTS)
    assert [ranking.index for ranking in rankings] == [3, 1, 4, 0, 2]
    assert [ranking.score for ranking in rankings] == pytest.approx([1, 2 / 3, 1 / 3, 0, 0])
    assert all(type(ranking.index) is int and type(ranking.score) is float for ranking in rankings)


def test_score_keeps_the_order_of_texts(twin):
    with FakeReranker() as reranker:
        scores = twin.score(reranker, QUERY, TEXTS)
    assert scores.dtype == np.float32
    assert scores.tolist() == pytest.approx([0, 2 / 3, 0, 1, 1 / 3])


@pytest.mark.parametrize(("top_n", "expected"), [(1, 1), (3, 3), (5, 5), (50, 5), (None, 5)])
def test_top_n_returns_the_first_of_the_ranking(twin, top_n, expected):
    with FakeReranker() as reranker:
        complete = twin.rerank(reranker, QUERY, TEXTS)
        assert twin.rerank(reranker, QUERY, TEXTS, top_n) == complete[:expected]


@pytest.mark.parametrize("top_n", [0, -1, True, 1.5, "2"])
def test_invalid_top_n_is_rejected_before_any_request(twin, top_n):
    with FakeReranker() as reranker, pytest.raises(InputError, match="top_n is"):
        twin.rerank(reranker, QUERY, TEXTS, top_n)
    assert reranker.requests == []


def test_rerank_of_no_texts_sends_no_request(twin):
    with FakeReranker() as reranker:
        assert twin.rerank(reranker, QUERY, []) == []
        assert twin.score(reranker, QUERY, []).shape == (0,)
    assert reranker.requests == []


@pytest.mark.parametrize("query", ["", "  \n", None, 3, "\ud800"])
def test_invalid_query_is_rejected(twin, query):
    with FakeReranker() as reranker, pytest.raises(InputError, match="The query"):
        twin.rerank(reranker, query, TEXTS)
    assert reranker.requests == []


@pytest.mark.parametrize("text", ["", None, 3, "\ud800"])
def test_invalid_text_is_rejected_with_its_index(twin, text):
    with FakeReranker() as reranker, pytest.raises(InputError, match="Text 40") as caught:
        twin.rerank(reranker, QUERY, [*["x"] * 40, text])
    assert caught.value.index == 40
    assert reranker.requests == []


def test_string_instead_of_texts_is_rejected(twin):
    with FakeReranker() as reranker, pytest.raises(InputError, match="a list of texts"):
        twin.rerank(reranker, QUERY, "red apple")


def test_texts_are_split_into_requests_and_merged(twin):
    texts = [f"{'red ' * (number % 3 == 0)}{'apple ' * (number % 2 == 0)}number {number}" for number in range(100)]
    with FakeReranker(limits=Limits(max_items=100)) as whole:
        expected = whole.rerank(QUERY, texts)
    with FakeReranker(limits=Limits(max_items=7, concurrency=3)) as split:
        assert twin.rerank(split, QUERY, texts) == expected
    assert max(len(sent) for _, sent in split.requests) <= 7
    assert {query for query, _ in split.requests} == {QUERY}
    assert sorted(text for _, sent in split.requests for text in sent) == sorted(texts)


def test_query_counts_towards_the_bytes_of_a_request(twin):
    with FakeReranker(limits=Limits(max_bytes=1000)) as reranker:
        assert len(twin.rerank(reranker, "q" * 500, ["x" * 100] * 6)) == 6
        assert max(len(sent) for _, sent in reranker.requests) == 2
        with pytest.raises(PayloadTooLarge, match="Text 1 takes"):
            twin.rerank(reranker, "q" * 500, ["x", "x" * 400])
        with pytest.raises(PayloadTooLarge, match="Shorten the query"):
            twin.rerank(reranker, "q" * 900, ["x"])


def test_ties_keep_the_order_of_texts(twin):
    with FakeReranker(limits=Limits(max_items=2)) as reranker:
        rankings = twin.rerank(reranker, QUERY, ["sky"] * 9)
    assert rankings == [Ranking(index, 0.0) for index in range(9)]


@pytest.mark.parametrize("scores", [[1, 2], [1, 2, 3, 4], [[1], [2], [3]], []])
def test_wrong_number_of_scores_is_rejected(twin, scores):
    with Returning(scores) as reranker, pytest.raises(CountMismatch):
        twin.rerank(reranker, QUERY, ["a", "b", "c"])
    assert reranker.stats().failures > 0
    assert reranker.stats().requests == 0


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_score_that_is_not_finite_is_rejected_with_its_index(twin, value):
    with Returning([1, value, 2]) as reranker, pytest.raises(InvalidScores, match="Text 1") as caught:
        twin.rerank(reranker, QUERY, ["a", "b", "c"])
    assert caught.value.index == 1


def test_error_of_a_text_has_its_index_in_the_call(twin):
    def refuse(texts):
        return TextTooLong("too long", index=texts.index("bad")) if "bad" in texts else None

    with FakeReranker(limits=Limits(max_items=4), fault=refuse) as reranker, pytest.raises(TextTooLong) as caught:
        twin.rerank(reranker, QUERY, [*["x"] * 10, "bad", *["x"] * 5])
    assert caught.value.index == 10


def test_too_large_request_is_halved(twin):
    def refuse(texts):
        return PayloadTooLarge("too large") if len(texts) > 3 else None

    with FakeReranker(fault=refuse) as reranker:
        assert len(twin.rerank(reranker, QUERY, TEXTS * 4)) == 20
    assert min(len(sent) for _, sent in reranker.requests) <= 3


def test_stats_count_requests_texts_and_estimated_tokens(twin):
    with FakeReranker(limits=Limits(max_items=2)) as reranker:
        twin.rerank(reranker, "q" * 400, ["x" * 40] * 5)
        stats = reranker.stats()
    assert (stats.requests, stats.texts, stats.failures) == (3, 5, 0)
    assert stats.tokens >= 5 * 100, "the model reads the query with every text"


def test_reranker_can_be_pickled_and_reused_after_close():
    with FakeReranker() as reranker:
        expected = reranker.rerank(QUERY, TEXTS)
    assert reranker.rerank(QUERY, TEXTS) == expected
    assert pickle.loads(pickle.dumps(reranker)).rerank(QUERY, TEXTS) == expected  # noqa: S301 - its own pickle
