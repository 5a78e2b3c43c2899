"""Texts in every kind of store: keyword and hybrid searches, and filters by strings and dates."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from embedstack.stores import Record
from embedstack.stores.filters import matches, parse_filter
from tests.integration.stores.samples import collection, unit_vectors

TEXTS = {
    "a": "Error E-4711 of the pump", "b": "The pump was replaced", "c": "Valves of the pump leak: one valve, then all",
    "d": "Annual report",
}  # fmt: skip
ANGLES = {"a": 1.5, "b": 0.2, "c": 0.4, "d": 0.0}
NEAR_D = np.array([1, 0], np.float32)


@pytest.fixture(scope="module")
def articles(store):
    opened = store.open(collection("articles", 2, language="en"))
    opened.upsert(
        Record(key, text, np.array([np.cos(ANGLES[key]), np.sin(ANGLES[key])], np.float32), {"key": key})
        for key, text in TEXTS.items()
    )
    return opened


def ids(hits):
    return [hit.record.id for hit in hits]


def test_keyword_search_ranks_stemmed_words_by_rarity(articles):
    hits = articles.search(None, mode="keyword", text="pumps and a valve")
    assert ids(hits)[0] == "c"
    assert set(ids(hits)) == {"a", "b", "c"}
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    assert all(hit.score > 0 and hit.similarity is None for hit in hits)
    assert ids(articles.search(None, 1, mode="keyword", text="pumps and a valve")) == ["c"]
    assert ids(articles.search(None, mode="keyword", text="error E-4711")) == ["a"]
    for nothing in ("the", "", "?!", "tractor"):
        assert articles.search(None, mode="keyword", text=nothing) == []


def test_keyword_search_compares_similarities_with_a_vector(articles):
    hits = articles.search(NEAR_D, mode="keyword", text="pump")
    similarities = {hit.record.id: hit.similarity for hit in hits}
    assert similarities == pytest.approx({key: np.cos(ANGLES[key]) for key in "abc"}, abs=1e-6)
    assert set(ids(articles.search(NEAR_D, mode="keyword", text="pump", threshold=0.9))) == {"b", "c"}


def test_hybrid_search_finds_by_words_and_by_vector(articles):
    hits = articles.search(NEAR_D, mode="hybrid", text="E-4711")
    assert ids(hits)[0] == "a"
    assert set(ids(hits)) == set("abcd")
    assert {hit.record.id: hit.similarity for hit in hits} == pytest.approx(
        {key: np.cos(angle) for key, angle in ANGLES.items()}, abs=1e-6
    )
    assert ids(articles.search(NEAR_D, mode="hybrid", text="E-4711", filter={"key": {"$in": ["b", "d"]}})) == ["d", "b"]
    assert set(ids(articles.search(NEAR_D, mode="hybrid", text="E-4711", threshold=0.95))) == {"b", "d"}


_STRINGS = st.sampled_from(
    ["docs/a", "docs/", "Docs", "a%_", "ä\\", "2026-03-01", "2026-03-01T10:00:00+02:00", "2026-02-30", "2026-3-1"]
)
_BOUNDS = st.sampled_from(["2026-03-01", "2026-03-01T08:00:00Z", "2026-03-01 09:00", "2025-12-31"]) | st.integers(0, 3)
_CONDITIONS = st.one_of(
    st.fixed_dictionaries({"$prefix": st.sampled_from(["docs", "docs/", "d", "a%", "ä", "2026-"])}),
    st.fixed_dictionaries({"$contains": st.sampled_from(["ocs", "%", "_", "\\", "03", "A"])}),
    st.dictionaries(st.sampled_from(["$gt", "$gte", "$lt", "$lte"]), _BOUNDS, min_size=1, max_size=2),
)
_VALUES = _STRINGS | st.integers(0, 3) | st.booleans() | st.lists(_STRINGS, min_size=1, max_size=3)


@given(
    metadata=st.lists(st.dictionaries(st.sampled_from(["x", "y"]), _VALUES, max_size=2), min_size=1, max_size=6),
    where=st.dictionaries(st.sampled_from(["x", "y", "context"]), _CONDITIONS, min_size=1, max_size=2),
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_stores_agree_on_filters_by_strings_and_dates(empty, metadata, where):
    vectors = unit_vectors(len(metadata))
    batch = [Record(str(index), "text", vectors[index], values, "docs/code") for index, values in enumerate(metadata)]
    empty.delete([str(index) for index in range(6)])
    empty.upsert(batch)
    expected = {record.id for record in batch if matches(record, parse_filter(where))}
    assert set(ids(empty.search(vectors[0], k=6, filter=where))) == expected
    assert set(ids(empty.search(None, 6, mode="keyword", text="text", filter=where))) == expected
    assert set(ids(empty.search(vectors[0], 6, mode="hybrid", text="text", filter=where))) == expected
    assert empty.count(where) == len(expected)
