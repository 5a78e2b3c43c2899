"""What S3 Vectors in the local AWS is made of: sizes as AWS counts them, filters, rates, and the search itself."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from localaws.services.s3vectors.filters import parse_filter
from localaws.services.s3vectors.metadata import metadata_problem, metadata_size
from localaws.services.s3vectors.paging import Searches
from localaws.services.s3vectors.refusals import Refusal
from localaws.services.s3vectors.vector_table import VectorTable
from localaws.services.s3vectors.write_rates import WriteRates


@pytest.mark.parametrize(
    ("beside", "longest"),
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
def test_metadata_is_as_long_as_the_service_counts_it(beside, longest):
    """The figures were measured on the service: the longest text that fits beside other metadata."""
    assert metadata_size({"f": "x" * longest, **beside}) == 2048
    assert metadata_problem({"f": "x" * longest, **beside}, ()) is None
    assert metadata_problem({"f": "x" * (longest + 1), **beside}, ()) == (
        "Filterable metadata must have at most 2048 bytes"
    )


def test_bytes_are_counted_and_not_characters_or_escapes():
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
def test_what_the_service_takes_for_no_filter_is_refused(document):
    with pytest.raises(Refusal, match="Invalid filter"):
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
def test_a_filter_holds_or_not(document, holds):
    assert parse_filter(document, ())({"a": 1, "a.b": 0.5, "list": [1, 2, 3]}) == holds


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    writes=st.lists(st.tuples(st.booleans(), st.integers(0, 150), st.integers(1, 90)), min_size=1, max_size=12),
    count=st.integers(1, 200),
    metric=st.sampled_from(["cosine", "euclidean"]),
)
def test_a_table_finds_what_comparing_one_by_one_finds(seed: int, writes: Any, count: int, metric: Any) -> None:
    random = np.random.default_rng(seed)
    table = VectorTable(3, metric)
    known: dict[str, Any] = {}
    for is_put, first, size in writes:
        keys = [str(number) for number in range(first, first + size)]
        if is_put:
            values = random.normal(size=(size, 3)).astype(np.float32)
            table.put(keys, values, [{"n": number} for number in range(size)])
            known |= dict(zip(keys, values, strict=True))
        else:
            table.delete(keys)
            known = {key: value for key, value in known.items() if key not in keys}
    query = random.normal(size=3).astype(np.float32)
    wanted = sorted(_distance(query, value, metric) for value in known.values())[:count]
    found = table.search(query, count, None)
    np.testing.assert_allclose([one.distance for one in found], wanted, atol=1e-5)
    for one in found:
        np.testing.assert_allclose(one.distance, _distance(query, known[one.key], metric), atol=1e-6)
    assert len(table) == len(known)
    assert {one.key for one in table.scan()} == known.keys()
    half = table.search(query, 1000, lambda metadata: metadata["n"] % 2 == 0)
    assert all(one.metadata["n"] % 2 == 0 for one in half)


def _distance(one: Any, other: Any, metric: str) -> float:
    first, second = one.astype(float), other.astype(float)
    if metric == "euclidean":
        return float(np.linalg.norm(first - second))
    return float(1 - first @ second / np.linalg.norm(first) / np.linalg.norm(second))


def test_an_allowance_fills_up_with_time():
    now = [0.0]
    rates = WriteRates(2, 10, clock=lambda: now[0])
    rates.take(8)
    with pytest.raises(Refusal, match="reduce your request rate"):
        rates.take(3)
    rates.take(2)
    with pytest.raises(Refusal):
        rates.take(0)
    now[0] = 0.5
    rates.take(5)
    now[0] = 100
    rates.take(10)
    with pytest.raises(Refusal):
        rates.take(1)


def test_what_a_search_found_is_forgotten_after_minutes():
    now = [0.0]
    searches = Searches(clock=lambda: now[0])
    name = searches.keep("question", [])
    assert searches.recall(name, "question") == []
    with pytest.raises(Refusal, match="nextToken"):
        searches.recall(name, "another")
    now[0] = 301
    with pytest.raises(Refusal, match="nextToken"):
        searches.recall(name, "question")
