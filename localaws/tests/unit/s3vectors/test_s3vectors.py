"""S3 Vectors: metadata sizes, filters, write rates, stored results and the search."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from localaws.services.s3vectors.errors import S3VectorsError
from localaws.services.s3vectors.filters import parse_filter
from localaws.services.s3vectors.metadata import metadata_problem, metadata_size
from localaws.services.s3vectors.paging import QueryResults
from localaws.services.s3vectors.vector_table import VectorTable
from localaws.services.s3vectors.write_rates import WriteRates


@pytest.mark.parametrize(
    ("other_metadata", "longest"),
    [
        ({}, 2035),
        ({f"k{number:02}": "y" for number in range(19)}, 1807),
        ({f"n{number}": 0.1234567890123456 for number in range(10)}, 1895),
        ({f"b{number}": True for number in range(10)}, 1935),
        ({"a": [1.5] * 50}, 1626),
        ({"s": ["ab"] * 50}, 1726),
        ({"a": "", "b": "", "n": [1], "t": ["z"]}, 1986),
    ],
)
def test_metadata_size_is_counted_like_the_service(other_metadata, longest):
    """The lengths were measured on the service: the longest text that fits with other metadata."""
    assert metadata_size({"f": "x" * longest, **other_metadata}) == 2048
    assert metadata_problem({"f": "x" * longest, **other_metadata}, ()) is None
    assert metadata_problem({"f": "x" * (longest + 1), **other_metadata}, ()) == (
        "Filterable metadata must have at most 2048 bytes"
    )


def test_metadata_size_counts_bytes_of_unescaped_text():
    assert metadata_problem({"f": "é" * 1017}, ()) is None
    assert metadata_problem({"f": "é" * 1018}, ()) is not None
    assert metadata_problem({"f": "\n" * 2035}, ()) is None
    assert metadata_problem({"text": "x" * 40_944}, ["text"]) is None
    assert metadata_problem({"text": "x" * 40_945}, ["text"]) is not None


@pytest.mark.parametrize(
    "document",
    [
        {}, [], "x", {"a": {}}, {"a": None}, {"a": [1]}, {"a": {"$eg": 1}}, {"a": {"x": 1}}, {"a": {"$eq": 1, "x": 1}},
        {"a": {"$eq": [1]}}, {"a": {"$gt": "1"}}, {"a": {"$gte": True}}, {"a": {"$in": []}}, {"a": {"$in": "x"}},
        {"a": {"$in": [None]}}, {"a": {"$exists": 1}}, {"a": {"$startsWith": 1}}, {"a": 1, "b": 2}, {"$and": []},
        {"$and": [{}]}, {"$and": ["x"]}, {"$or": {"a": 1}}, {"$and": [{"a": 1}], "b": 1}, {"$not": [{"a": 1}]},
        {"a": {"$and": [{"a": 1}]}}, {"a": {"$in": list(range(101))}}, {"$or": [{"a": 1}] * 101},
    ],
)  # fmt: skip
def test_filter_rejects_invalid_documents(document):
    with pytest.raises(S3VectorsError, match="Invalid filter"):
        parse_filter(document, ())


@pytest.mark.parametrize(
    ("document", "holds"),
    [
        ({"a": {"$in": [1, "x", True]}}, True),
        ({"": "x"}, False),
        ({"a.b": {"$gte": 0}}, True),
        ({"none": {"$ne": 1}}, True),
        ({"none": {"$gt": 1}}, False),
        ({"list": {"$gt": 2}}, True),
        ({"list": {"$ne": 2}}, False),
        ({"a": {"$in": list(range(100))}}, True),
    ],
)
def test_filter_matches_metadata(document, holds):
    assert parse_filter(document, ())({"a": 1, "a.b": 0.5, "list": [1, 2, 3]}) == holds


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    writes=st.lists(st.tuples(st.booleans(), st.integers(0, 150), st.integers(1, 90)), min_size=1, max_size=12),
    count=st.integers(1, 200),
    metric=st.sampled_from(["cosine", "euclidean"]),
)
def test_vector_table_agrees_with_brute_force(seed: int, writes: Any, count: int, metric: Any) -> None:
    random = np.random.default_rng(seed)
    table = VectorTable(3, metric)
    expected: dict[str, Any] = {}
    for is_put, first, size in writes:
        keys = [str(number) for number in range(first, first + size)]
        if is_put:
            values = random.normal(size=(size, 3)).astype(np.float32)
            table.put(keys, values, [{"n": number} for number in range(size)])
            expected |= dict(zip(keys, values, strict=True))
        else:
            table.delete(keys)
            expected = {key: value for key, value in expected.items() if key not in keys}
    query = random.normal(size=3).astype(np.float32)
    distances = sorted(_distance(query, value, metric) for value in expected.values())[:count]
    neighbours = table.search(query, count, None)
    np.testing.assert_allclose([neighbour.distance for neighbour in neighbours], distances, atol=1e-5)
    for neighbour in neighbours:
        distance = _distance(query, expected[neighbour.key], metric)
        np.testing.assert_allclose(neighbour.distance, distance, atol=1e-6)
    assert len(table) == len(expected)
    assert {vector.key for vector in table.scan()} == expected.keys()
    half = table.search(query, 1000, lambda metadata: metadata["n"] % 2 == 0)
    assert all(table.metadata(neighbour.key)["n"] % 2 == 0 for neighbour in half)


def _distance(one: Any, other: Any, metric: str) -> float:
    first, second = one.astype(float), other.astype(float)
    if metric == "euclidean":
        return float(np.linalg.norm(first - second))
    return float(1 - first @ second / np.linalg.norm(first) / np.linalg.norm(second))


def test_write_rates_refill_over_time():
    now = [0.0]
    rates = WriteRates(2, 10, clock=lambda: now[0])
    rates.take(8)
    with pytest.raises(S3VectorsError, match="reduce your request rate"):
        rates.take(3)
    rates.take(2)
    with pytest.raises(S3VectorsError):
        rates.take(0)
    now[0] = 0.5
    rates.take(5)
    now[0] = 100
    rates.take(10)
    with pytest.raises(S3VectorsError):
        rates.take(1)


def test_query_results_expire():
    now = [0.0]
    results = QueryResults(clock=lambda: now[0])
    name = results.add("query", [])
    assert results.get(name, "query") == []
    with pytest.raises(S3VectorsError, match="nextToken"):
        results.get(name, "another")
    now[0] = 301
    with pytest.raises(S3VectorsError, match="nextToken"):
        results.get(name, "query")
