"""Actions on vectors of S3 Vectors over HTTP."""

from itertools import chain

import numpy as np
import pytest

from tests.support.localaws.vector_calls import INDEX, create, error_text, put, query, refusal, vector


def test_put_vectors_stores_float32(index):
    put(index, vector("a", 0.1, 0.2, 0.3, 0.4, text="long", n=1), {"key": "b", "data": {"float32": [1, 0, 0, 0]}})
    assert index.get_vectors(**INDEX, keys=["b", "none", "a", "a"])["vectors"] == [{"key": "b"}, {"key": "a"}]
    stored = index.get_vectors(**INDEX, keys=["a", "b"], returnData=True, returnMetadata=True)["vectors"]
    assert stored[0]["data"]["float32"] == np.array([0.1, 0.2, 0.3, 0.4], np.float32).tolist()
    assert [record["metadata"] for record in stored] == [{"text": "long", "n": 1}, {}]
    put(index, vector("a", 1.0, 0.0, 0.0, 0.0))
    (again,) = index.get_vectors(**INDEX, keys=["a"], returnData=True, returnMetadata=True)["vectors"]
    assert again == {"key": "a", "data": {"float32": [1.0, 0.0, 0.0, 0.0]}, "metadata": {}}
    index.delete_vectors(**INDEX, keys=["a", "none"])
    assert [record["key"] for record in index.list_vectors(**INDEX)["vectors"]] == ["b"]


def test_list_vectors_returns_pages_and_segments(index):
    put(index, *(vector(f"v{number:03}", text="x" * 30_000) for number in range(100)))
    pages = list(index.get_paginator("list_vectors").paginate(**INDEX))
    assert len(pages) == 3  # a page ends with a megabyte
    assert [record["key"] for page in pages for record in page["vectors"]] == [f"v{number:03}" for number in range(100)]
    assert len(index.list_vectors(**INDEX, maxResults=7)["vectors"]) == 7
    listing = index.get_paginator("list_vectors")
    shares = [
        [
            record["key"]
            for page in listing.paginate(**INDEX, segmentCount=3, segmentIndex=share)
            for record in page["vectors"]
        ]
        for share in range(3)
    ]
    assert all(shares)
    assert sorted(chain.from_iterable(shares)) == [f"v{number:03}" for number in range(100)]
    # What is deleted or put between two pages shifts nothing.
    first = index.list_vectors(**INDEX, maxResults=10)
    index.delete_vectors(**INDEX, keys=[f"v{number:03}" for number in range(8, 80)])
    put(index, vector("v000"))
    rest = index.list_vectors(**INDEX, nextToken=first["nextToken"])["vectors"]
    assert [record["key"] for record in rest] == [f"v{number:03}" for number in range(80, 100)]
    assert error_text(index.list_vectors, **INDEX, nextToken="nonsense").startswith("ValidationException")
    assert error_text(index.list_vectors, **INDEX, segmentCount=2, segmentIndex=2).startswith("ValidationException")


def test_query_vectors_orders_by_cosine_distance(index):
    put(
        index,
        vector("far", -1.0, 0.0, 0.0, 0.0),
        vector("near", 2.0, 0.0, 0.0, 0.0),
        vector("side", 0.0, 0.5, 0.0, 0.0),
    )
    response = index.query_vectors(**INDEX, queryVector={"float32": [3.0, 0.0, 0.0, 0.0]}, topK=3, returnDistance=True)
    assert response["distanceMetric"] == "cosine"
    assert response["vectors"] == [
        {"key": "near", "distance": 0.0}, {"key": "side", "distance": 1.0}, {"key": "far", "distance": 2.0},
    ]  # fmt: skip
    assert query(index, k=1) == [{"key": "near"}]


def test_query_vectors_orders_by_euclidean_distance(vectors):
    arn = create(vectors, "euclidean", dimension=3, metric="euclidean")
    points = {"origin": (0.0, 0.0, 0.0), "ones": (1.0, 1.0, 1.0), "axis": (0.0, 0.0, 2.0)}
    vectors.put_vectors(
        indexArn=arn, vectors=[{"key": key, "data": {"float32": values}} for key, values in points.items()]
    )
    response = vectors.query_vectors(
        indexArn=arn, queryVector={"float32": [0.0, 0.0, 0.0]}, topK=10, returnDistance=True, returnMetadata=True
    )
    assert [record["key"] for record in response["vectors"]] == ["origin", "ones", "axis"]
    np.testing.assert_allclose([record["distance"] for record in response["vectors"]], [0, 3**0.5, 2], rtol=1e-6)
    assert [record["metadata"] for record in response["vectors"]] == [{}, {}, {}]
    vectors.delete_index(indexArn=arn)


def test_query_vectors_pages_are_not_changed_by_writes(index):
    directions = [(1.0, number / 100, 0.0, 0.0) for number in range(250)]
    put(index, *(vector(f"v{number:03}", *values) for number, values in enumerate(directions)))
    request = {**INDEX, "queryVector": {"float32": [1.0, 0.0, 0.0, 0.0]}, "topK": 220}
    first = index.query_vectors(**request)
    assert len(first["vectors"]) == 100
    index.delete_vectors(**INDEX, keys=[f"v{number:03}" for number in range(100)])
    second = index.query_vectors(**request, nextToken=first["nextToken"])
    third = index.query_vectors(**request, nextToken=second["nextToken"])
    assert "nextToken" not in third
    stored = [record["key"] for page in (first, second, third) for record in page["vectors"]]
    assert stored == [f"v{number:03}" for number in range(220)]
    assert error_text(index.query_vectors, **{**request, "topK": 9}, nextToken=first["nextToken"]).startswith(
        "ValidationException"
    )
    assert "between 1 and 10000" in error_text(index.query_vectors, **{**request, "topK": 10_001})


def test_query_vectors_filters_by_metadata(index):
    put(index, vector("a", n=1, tags=["x", "y"]), vector("b", n=2, kept=True), vector("c", n=3.5, path="/docs/c"))
    for where, keys in (
        ({"n": 1}, "a"),
        ({"n": {"$gte": 2, "$lt": 3}}, "b"),
        ({"$or": [{"n": {"$eq": 1}}, {"$and": [{"path": {"$startsWith": "/docs"}}, {"n": {"$gt": 3}}]}]}, "ac"),
        ({"kept": {"$ne": True}}, "ac"),
        ({"tags": {"$nin": ["y"]}}, "bc"),
        ({"tags": {"$in": ["y", 7]}}, "a"),
        ({"path": {"$exists": False}}, "ab"),
        ({"kept": {"$eq": "true"}}, ""),
        ({"kept": 1}, ""),
    ):
        assert sorted(record["key"] for record in query(index, filter=where)) == list(keys), where
    response = refusal(query, index, filter={"text": "x"})
    assert response["Error"]["Message"] == "Invalid use of non-filterable metadata in filter"
    response = refusal(query, index, filter={"n": 1, "kept": True})
    assert response["fieldList"] == [{"path": "filter", "message": "Invalid filter"}]


@pytest.mark.parametrize(
    ("record", "problem"),
    [
        (vector("v", 1.0, 2.0), "vector must have length 4, but has length 2"),
        (vector("v", 0.0, 0.0, 0.0, 0.0), "cosine distance does not support vectors with zero norm"),
        (vector("v", 1e-46, 0.0, 0.0, 0.0), "cosine distance does not support vectors with zero norm"),
        (vector("v", 1e39, 0.0, 0.0, 0.0), "vector contains NaNs or Infs"),
        (vector("v", text="x" * 40_945), "Metadata object must have at most 40960 bytes"),
        (vector("v", note="x" * 2033), "Filterable metadata must have at most 2048 bytes"),
        (vector("v", **{str(number): True for number in range(51)}), "Metadata object must have at most 50 keys"),
        (vector("v", tags=[]), "Empty arrays are not allowed in metadata"),
        (vector("v", tags=[True]), "Metadata array values must be strings or numbers"),
        (vector("v", none=None), "Metadata values must be strings, numbers, booleans, or arrays"),
    ],
)
def test_put_vectors_rejects_the_whole_request(index, record, problem):
    response = refusal(put, index, vector("good"), record)
    assert response["Error"]["Code"] == "ValidationException"
    assert response["Error"]["Message"] == f"Invalid record for key 'v': {problem}"
    (field,) = response["fieldList"]
    assert field["path"].startswith("vectors[1]")
    assert index.list_vectors(**INDEX)["vectors"] == []


def test_query_vectors_rejects_invalid_queries(index):
    for values in ((1.0,), (0.0, 0.0, 0.0, 0.0), (1e39, 0.0, 0.0, 0.0)):
        message = "ValidationException: Query vector contains invalid values or is invalid for this index"
        assert error_text(query, index, *values) == message
    assert error_text(query, index, queryMode="CLASSIC").startswith("ValidationException")
    assert query(index, queryMode="ENHANCED") == []
    assert error_text(index.query_vectors, **INDEX, topK=1).startswith("ValidationException")


def test_requests_have_size_limits(index):
    assert "'/vectors' failed" in error_text(put, index, *(vector(str(number)) for number in range(501)))
    for call, size in ((index.delete_vectors, 501), (index.get_vectors, 101)):
        assert f"Value with length {size} at '/keys'" in error_text(
            call, **INDEX, keys=[str(number) for number in range(size)]
        )
    assert "'/vectors/0/key'" in error_text(put, index, vector("x" * 1025))
    assert error_text(put, index, vector("v", text="x" * (21 << 20))) == (
        "ValidationException: Request body exceeds max allowed size"
    )
    assert error_text(put, index, vector("v", text="\ud800")) == "SerializationException: UnknownError"
    put(index, vector("v", text="😀 \\ud800"))
