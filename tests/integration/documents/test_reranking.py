"""Searches that rerank their candidates, in both stores."""

import io
from dataclasses import replace
from functools import partial

import pytest

from embedstack.documents import Ingestion, search
from embedstack.embedders import FakeEmbedder
from embedstack.errors import CollectionMismatch, EndpointUnavailable, InputError
from embedstack.rerankers import FakeReranker
from tests.integration.documents.conftest import FAKE

QUERY = "blue whale migration"
TEXT = "\n\n".join(
    f"Paragraph {number} tells of {'blue whale migration' if number == 33 else 'blue sky' if number == 17 else 'rain'}."
    for number in range(60)
)


@pytest.fixture
def filled(embedder, collection, chunker):
    Ingestion(embedder, collection, chunker).ingest("sea.txt", io.BytesIO(TEXT.encode()))
    return collection


def test_reranked_search_returns_the_most_relevant_of_the_candidates(filled, embedder):
    with FakeReranker() as reranker:
        hits = search(embedder, filled, QUERY, k=3, rerank=reranker, candidates=60)
    assert "Paragraph 33" in hits[0].text
    assert "Paragraph 17" in hits[1].text
    assert [hit.rerank_score for hit in hits] == pytest.approx([1, 1 / 3, 0])
    plain = {hit.position: hit for hit in search(embedder, filled, QUERY, k=60)}
    for hit in hits:
        assert hit.text == plain[hit.position].text
        assert hit.score == pytest.approx(plain[hit.position].score, abs=1e-6)
        assert plain[hit.position].rerank_score is None


@pytest.mark.parametrize(("k", "candidates", "expected"), [(1, None, 20), (10, None, 40), (5, 5, 5), (3, 50, 50)])
def test_search_reranks_the_nearest_candidates(filled, embedder, k, candidates, expected):
    with FakeReranker() as reranker:
        hits = search(embedder, filled, QUERY, k, rerank=reranker, candidates=candidates)
        sent = [text for _, texts in reranker.requests for text in texts]
    assert len(hits) == k
    assert sent == [hit.text for hit in search(embedder, filled, QUERY, expected)]


def test_threshold_and_filter_apply_before_the_reranker(filled, embedder):
    with FakeReranker() as reranker:
        find = partial(search, embedder, filled, QUERY, rerank=reranker, threshold=0.2, candidates=60)
        hits = find(60)
        assert all(hit.score >= 0.2 for hit in hits)
        assert 0 < len(hits) < 60
        assert find(5, filter={"source": "other.txt"}) == []


def test_candidates_are_checked_before_the_search(filled, embedder):
    with FakeReranker() as reranker, pytest.raises(InputError, match="candidates is 4, less than the 5 hits"):
        search(embedder, filled, QUERY, 5, rerank=reranker, candidates=4)
    with pytest.raises(InputError, match="Pass a reranker too"):
        search(embedder, filled, QUERY, 5, candidates=10)


def test_failing_reranker_fails_the_search(filled, embedder):
    def fail(_):
        return EndpointUnavailable("down")

    with FakeReranker(fault=fail) as reranker, pytest.raises(EndpointUnavailable):
        search(embedder, filled, QUERY, rerank=reranker)


def test_collection_of_another_model_is_rejected_before_the_reranker(filled):
    with (
        FakeReranker() as reranker,
        FakeEmbedder(replace(FAKE, model_id="a/other")) as other,
        pytest.raises(CollectionMismatch),
    ):
        search(other, filled, QUERY, rerank=reranker)
    assert reranker.requests == []
