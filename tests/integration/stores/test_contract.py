"""Records in every kind of store: upsert, search, filter, delete and validate."""

import dataclasses

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from embedstack.errors import (
    ConfigurationError,
    DimensionMismatch,
    FilterRefused,
    NonFiniteVector,
    RecordRefused,
)
from embedstack.stores import Record, Stored
from embedstack.stores.filters import matches, parse_filter
from tests.integration.stores.samples import records, unit_vectors


def test_upsert_writes_only_changed_records(empty):
    batch = records(7)
    assert empty.upsert(batch) == Stored(inserted=7)
    assert empty.upsert(batch) == Stored(unchanged=7)
    changed = [
        dataclasses.replace(batch[0], text="another", content_hash=b""),
        dataclasses.replace(batch[1], metadata={"number": -1}),
        dataclasses.replace(batch[2], context="business"),
        *batch[3:],
        *records(1, prefix="new"),
    ]
    assert empty.upsert(changed) == Stored(inserted=1, updated=3, unchanged=4)
    assert empty.count() == 8
    stored_records = empty.get([record.id for record in changed] + ["none"])
    assert len(stored_records) == 8
    for record in changed:
        stored = stored_records[record.id]
        assert (stored.text, stored.metadata, stored.context) == (record.text, record.metadata, record.context)
        assert stored.content_hash == record.content_hash
        np.testing.assert_array_equal(stored.vector, record.vector)


def test_upsert_stores_the_later_record_of_the_same_id(empty):
    first, second = records(2)
    empty.upsert([first, dataclasses.replace(second, id=first.id)])
    assert empty.get([first.id])[first.id].text == second.text
    assert empty.count() == 1


def test_unchanged_returns_records_with_the_same_hash(empty):
    batch = records(3)
    empty.upsert(batch[:2])
    hashes = {record.id: record.content_hash for record in batch} | {batch[1].id: b"another"}
    assert empty.unchanged(hashes) == {batch[0].id}
    assert empty.unchanged({}) == set()


def test_search_returns_the_nearest_with_cosine_similarity(filled):
    vectors = np.stack([record.vector for record in records(120)])
    for query in unit_vectors(5, seed=9):
        hits = filled.search(query, k=6)
        similarities = vectors @ query
        nearest = np.argsort(-similarities)[:6]
        assert [hit.record.id for hit in hits] == [f"r{index:05}" for index in nearest]
        np.testing.assert_allclose([hit.similarity for hit in hits], similarities[nearest], atol=1e-5)
        assert [hit.score for hit in hits] == [hit.similarity for hit in hits]
        assert hits[0].record.text == f"text {nearest[0]}"
        assert hits[0].record.metadata["number"] == nearest[0]
        above = filled.search(query, k=6, threshold=float(similarities[nearest[2]]) - 1e-4)
        assert [hit.record.id for hit in above] == [hit.record.id for hit in hits[:3]]


def test_search_with_large_k_returns_all_records(filled):
    assert len(filled.search(unit_vectors(1)[0], k=500)) == 120


@pytest.mark.parametrize(
    ("where", "count"),
    [
        ({"parity": "even"}, 60),
        ({"number": 7}, 1),
        ({"number": 7.0}, 1),
        ({"kept": True}, 40),
        ({"kept": 1}, 0),
        ({"tags": "t2"}, 24),
        ({"tags": {"$in": ["t2", "t3"]}}, 48),
        ({"context": "docs"}, 40),
        ({"context": {"$in": ["docs", "code"]}}, 80),
        ({"context": 3}, 0),
        ({"parity": {"$ne": "even"}}, 60),
        ({"tags": {"$ne": "t2"}}, 96),
        ({"context": {"$ne": "docs"}}, 40),
        ({"absent": {"$ne": "x"}}, 0),
        ({"number": {"$gte": 10, "$lt": 20}}, 10),
        ({"number": {"$gt": 10, "$lte": 20}, "parity": "odd"}, 5),
        ({"parity": {"$gt": 3}}, 0),
        ({"absent": "x"}, 0),
        ({"quo\"te'; DROP TABLE x; --": "%s"}, 0),
    ],
)
def test_filter_matches_expected_records(filled, where, count):
    assert filled.count(where) == count
    hits = filled.search(unit_vectors(1)[0], k=10, filter=where)
    assert len(hits) == min(10, count)
    assert all(matches(hit.record, parse_filter(where)) for hit in hits)


_SCALARS = st.one_of(
    st.booleans(), st.integers(-3, 3), st.sampled_from(["a", "b", "true", "1", "ä'\"\\%"]), st.floats(-2, 2)
)
_CONDITIONS = st.one_of(
    _SCALARS,
    st.fixed_dictionaries({"$ne": _SCALARS}),
    st.fixed_dictionaries({"$in": st.lists(_SCALARS, min_size=1, max_size=3)}),
    st.dictionaries(st.sampled_from(["$gt", "$gte", "$lt", "$lte"]), st.integers(-3, 3), min_size=1, max_size=2),
)
_FILTERS = st.dictionaries(st.sampled_from(["x", "y y", "context"]), _CONDITIONS, min_size=1, max_size=2)
# S3 Vectors supports lists of strings, or of numbers.
_LISTS = st.lists(st.sampled_from(["a", "b", "1"]), min_size=1, max_size=3) | st.lists(
    st.integers(-3, 3) | st.floats(-2, 2), min_size=1, max_size=3
)
_METADATA = st.dictionaries(st.sampled_from(["x", "y y"]), _SCALARS | _LISTS, max_size=2)


@given(
    metadata=st.lists(st.tuples(_METADATA, st.sampled_from(["a", "b", None])), min_size=1, max_size=6), where=_FILTERS
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_stores_agree_with_the_filter_definition(empty, metadata, where):
    vectors = unit_vectors(len(metadata))
    batch = [
        Record(str(index), "t", vectors[index], values, context) for index, (values, context) in enumerate(metadata)
    ]
    empty.delete([str(index) for index in range(6)])
    empty.upsert(batch)
    expected = {record.id for record in batch if matches(record, parse_filter(where))}
    assert {hit.record.id for hit in empty.search(vectors[0], k=6, filter=where)} == expected


@pytest.mark.parametrize(
    "where",
    [{"x": {"$gte": "2020"}}, {"x": {"$in": []}}, {"x": {"$like": "a"}}, {"x": None}, {"x": {}}, {"$or": [{}]},
     {"x": {"$ne": [1]}}, {"x": {"$in": "abc"}}, {"x": {"$lt": True}},
     {"x": {"$gt": float("nan")}}, {"": 1}, {"x": ["a"]}, {"x": {"$gt": 10**400}}, {"x": 10**400}, {"x": "a\0b"},
     {"x\0": 1}, {"x": "\ud800"}, {"\udfff": 1}, {"x": {"$in": ["a", "\ud800"]}}, {"x": {"$in": [1] * 1001}},
     {"x": "a" * 10_001}, {"x": {"$eq": {"y": {"z": [1]}}}}, {"x": {"$gt": "2026-02-30"}}, {"x": {"$prefix": ""}},
     {"x": {"$contains": 1}}, {"x": {1: 2}}, {1: 2}, [], "x", 0, [{"x": 1}]],
)  # fmt: skip
def test_search_rejects_invalid_filters(filled, where):
    with pytest.raises(FilterRefused):
        filled.search(unit_vectors(1)[0], filter=where)


def test_delete_by_id_and_by_filter(empty):
    empty.upsert(records(10))
    assert empty.delete(["r00000", "r00001", "none"]) == 2
    assert empty.delete_where({"parity": "even"}) == 4
    assert {record.id for record in empty.scan()} == {f"r{index:05}" for index in (3, 5, 7, 9)}
    with pytest.raises(FilterRefused, match="every record"):
        empty.delete_where({})


def test_replace_deletes_a_documents_old_chunks(empty):
    def chunks(document, *texts):
        return [
            Record(f"{document}#{text}", text, vector, {"document": document})
            for text, vector in zip(texts, unit_vectors(len(texts)), strict=True)
        ]

    empty.upsert(chunks("one", "a", "b", "c") + chunks("two", "a", "b"))
    stored = empty.replace({"document": "one"}, chunks("one", "b", "d"))
    assert stored == Stored(inserted=1, unchanged=1)
    assert sorted(record.id for record in empty.scan()) == ["one#b", "one#d", "two#a", "two#b"]


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"vector": np.ones(9, np.float32)}, DimensionMismatch, "8 dimensions"),
        ({"vector": np.full(8, np.nan, np.float32)}, NonFiniteVector, "NaN"),
        ({"vector": np.zeros(8, np.float32)}, RecordRefused, "cosine distance is undefined"),
        ({"id": ""}, RecordRefused, "0 characters"),
        ({"id": "x" * 1025}, RecordRefused, "1025"),
        ({"text": "a\0b"}, RecordRefused, "NUL"),
        ({"text": "\ud800"}, RecordRefused, "Unicode"),
        ({"metadata": {"x": "\0"}}, RecordRefused, "NUL"),
        ({"metadata": {"x": float("nan")}}, RecordRefused, "not JSON"),
        ({"metadata": {"x": object()}}, RecordRefused, "not JSON"),
        ({"sparse": {1: 0.5}}, RecordRefused, "sparse"),
    ],
)
def test_upsert_rejects_the_batch_of_an_invalid_record(empty, change, error, message):
    good, bad = records(2)
    with pytest.raises(error, match=message):
        empty.upsert([good, dataclasses.replace(bad, **change)])
    assert empty.count() == 0


def test_search_rejects_invalid_arguments(filled):
    with pytest.raises(DimensionMismatch, match="8 dimensions"):
        filled.search(np.ones(384, np.float32))
    for k in (0, -1, 10**400, "3", 2.5, True, None):
        with pytest.raises(FilterRefused, match="integer"):
            filled.search(unit_vectors(1)[0], k=k)
    for threshold in (float("nan"), "0.5", True):
        with pytest.raises(FilterRefused, match="finite"):
            filled.search(unit_vectors(1)[0], threshold=threshold)
    with pytest.raises(FilterRefused, match="surrogate"):
        filled.search(unit_vectors(1)[0], mode="hybrid", text="\ud800")
    with pytest.raises(ConfigurationError, match="vector"):
        filled.search(None)
    with pytest.raises(ConfigurationError):
        filled.search(unit_vectors(1)[0], mode="fuzzy")
