"""What every store does with records: puts, finds, filters, deletes and refuses them."""

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


def test_what_is_put_again_is_left_alone_and_what_changed_is_not(fresh):
    batch = records(7)
    assert fresh.upsert(batch) == Stored(inserted=7)
    assert fresh.upsert(batch) == Stored(unchanged=7)
    changed = [
        dataclasses.replace(batch[0], text="another", content_hash=b""),
        dataclasses.replace(batch[1], metadata={"number": -1}),
        dataclasses.replace(batch[2], context="business"),
        *batch[3:],
        *records(1, prefix="new"),
    ]
    assert fresh.upsert(changed) == Stored(inserted=1, updated=3, unchanged=4)
    assert fresh.count() == 8
    found = fresh.get([record.id for record in changed] + ["none"])
    assert len(found) == 8
    for record in changed:
        stored = found[record.id]
        assert (stored.text, stored.metadata, stored.context) == (record.text, record.metadata, record.context)
        assert stored.content_hash == record.content_hash
        np.testing.assert_array_equal(stored.vector, record.vector)


def test_of_two_records_with_an_id_the_later_holds(fresh):
    first, second = records(2)
    fresh.upsert([first, dataclasses.replace(second, id=first.id)])
    assert fresh.get([first.id])[first.id].text == second.text
    assert fresh.count() == 1


def test_nothing_is_embedded_again_that_is_stored_with_the_same_hash(fresh):
    batch = records(3)
    fresh.upsert(batch[:2])
    hashes = {record.id: record.content_hash for record in batch} | {batch[1].id: b"another"}
    assert fresh.unchanged(hashes) == {batch[0].id}
    assert fresh.unchanged({}) == set()


def test_search_gives_the_nearest_with_their_cosine_similarity(filled):
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


def test_more_hits_than_there_are_records(filled):
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
        ({"number": {"$gte": 10, "$lt": 20}}, 10),
        ({"number": {"$gt": 10, "$lte": 20}, "parity": "odd"}, 5),
        ({"parity": {"$gt": 3}}, 0),
        ({"absent": "x"}, 0),
        ({"quo\"te'; DROP TABLE x; --": "%s"}, 0),
    ],
)
def test_a_filter_finds_what_fulfils_it(filled, where, count):
    assert filled.count(where) == count
    hits = filled.search(unit_vectors(1)[0], k=10, filter=where)
    assert len(hits) == min(10, count)
    assert all(matches(hit.record, parse_filter(where)) for hit in hits)


_SCALARS = st.one_of(
    st.booleans(), st.integers(-3, 3), st.sampled_from(["a", "b", "true", "1", "ä'\"\\%"]), st.floats(-2, 2)
)
_WANTED = st.one_of(
    _SCALARS,
    st.fixed_dictionaries({"$in": st.lists(_SCALARS, min_size=1, max_size=3)}),
    st.dictionaries(st.sampled_from(["$gt", "$gte", "$lt", "$lte"]), st.integers(-3, 3), min_size=1, max_size=2),
)
_FILTERS = st.dictionaries(st.sampled_from(["x", "y y", "context"]), _WANTED, min_size=1, max_size=2)
# S3 Vectors takes lists of strings, or of numbers.
_LISTS = st.lists(st.sampled_from(["a", "b", "1"]), min_size=1, max_size=3) | st.lists(
    st.integers(-3, 3) | st.floats(-2, 2), min_size=1, max_size=3
)
_METADATA = st.dictionaries(st.sampled_from(["x", "y y"]), _SCALARS | _LISTS, max_size=2)


@given(
    metadata=st.lists(st.tuples(_METADATA, st.sampled_from(["a", "b", None])), min_size=1, max_size=6), where=_FILTERS
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_stores_agree_with_the_definition_of_a_filter(fresh, metadata, where):
    vectors = unit_vectors(len(metadata))
    batch = [Record(str(index), "t", vectors[index], facts, context) for index, (facts, context) in enumerate(metadata)]
    fresh.delete([str(index) for index in range(6)])
    fresh.upsert(batch)
    wanted = {record.id for record in batch if matches(record, parse_filter(where))}
    assert {hit.record.id for hit in fresh.search(vectors[0], k=6, filter=where)} == wanted


@pytest.mark.parametrize(
    "where",
    [{"x": {"$gte": "2020"}}, {"x": {"$in": []}}, {"x": {"$like": "a"}}, {"x": None}, {"x": {}}, {"$or": [{}]},
     {"x": {"$in": "abc"}}, {"x": {"$lt": True}}, {"x": {"$gt": float("nan")}}, {"": 1}, {"x": ["a"]}],
)  # fmt: skip
def test_what_is_no_filter_is_refused(filled, where):
    with pytest.raises(FilterRefused):
        filled.search(unit_vectors(1)[0], filter=where)


def test_records_are_deleted_by_id_and_by_filter(fresh):
    fresh.upsert(records(10))
    assert fresh.delete(["r00000", "r00001", "none"]) == 2
    assert fresh.delete_where({"parity": "even"}) == 4
    assert {record.id for record in fresh.scan()} == {f"r{index:05}" for index in (3, 5, 7, 9)}
    with pytest.raises(FilterRefused, match="every record"):
        fresh.delete_where({})


def test_a_document_is_replaced_by_its_new_chunks(fresh):
    def chunks(document, *texts):
        return [
            Record(f"{document}#{text}", text, vector, {"document": document})
            for text, vector in zip(texts, unit_vectors(len(texts)), strict=True)
        ]

    fresh.upsert(chunks("one", "a", "b", "c") + chunks("two", "a", "b"))
    stored = fresh.replace({"document": "one"}, chunks("one", "b", "d"))
    assert stored == Stored(inserted=1, unchanged=1)
    assert sorted(record.id for record in fresh.scan()) == ["one#b", "one#d", "two#a", "two#b"]


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"vector": np.ones(9, np.float32)}, DimensionMismatch, "8 dimensions"),
        ({"vector": np.full(8, np.nan, np.float32)}, NonFiniteVector, "NaN"),
        ({"vector": np.zeros(8, np.float32)}, RecordRefused, "no direction"),
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
def test_a_record_that_cannot_be_held_is_refused_with_its_batch(fresh, change, error, said):
    good, bad = records(2)
    with pytest.raises(error, match=said):
        fresh.upsert([good, dataclasses.replace(bad, **change)])
    assert fresh.count() == 0


def test_a_query_of_another_length_is_refused(filled):
    with pytest.raises(DimensionMismatch, match="8 dimensions"):
        filled.search(np.ones(384, np.float32))
    with pytest.raises(ConfigurationError):
        filled.search(unit_vectors(1)[0], k=0)
    with pytest.raises(ConfigurationError):
        filled.search(unit_vectors(1)[0], mode="fuzzy")
