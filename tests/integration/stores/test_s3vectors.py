"""Behaviour of the S3 Vectors store only: service limits and errors."""

import dataclasses
import json
import urllib.request

import numpy as np
import pytest

from embedstack.errors import (
    CollectionNotFound,
    ConfigurationError,
    FilterRefused,
    RecordRefused,
    StoreError,
    StoreUnavailable,
)
from embedstack.settings.settings import Settings
from embedstack.stores import Stored, load_store
from embedstack.stores.s3vectors import S3VectorsStore
from localaws.faults.injector import FAULTS_PATH
from tests.integration.stores.samples import BUCKET, collection, records, unit_vectors


@pytest.fixture
def fail(local_aws):
    """Make the next requests to S3 Vectors fail."""

    def fail(kind, count):
        fault = {"service": "s3vectors", "kind": kind, "rate": 1, "count": count}
        urllib.request.urlopen(local_aws.url + FAULTS_PATH, json.dumps(fault).encode()).close()

    return fail


def test_requests_stay_within_the_service_limits(s3vectors, s3vectors_calls):
    opened = s3vectors.open(collection("many"))
    batch = records(1003)
    s3vectors_calls.clear()
    assert opened.upsert(batch).inserted == 1003
    assert s3vectors_calls.count("PutVectors") == 3
    assert opened.upsert(batch) == Stored(unchanged=1003)
    assert s3vectors_calls.count("PutVectors") == 3
    assert len(opened.search(unit_vectors(1)[0], k=150)) == 150
    assert opened.delete([record.id for record in batch]) == 1003
    assert opened.count() == 0
    s3vectors.drop("many")


def test_upsert_splits_requests_by_size(s3vectors, s3vectors_calls):
    opened = s3vectors.open(collection("long-texts"))
    # 40 KB in UTF-8, and three times as much in a request.
    batch = [dataclasses.replace(record, text="é" * 20_000) for record in records(200)]
    s3vectors_calls.clear()
    assert opened.upsert(batch).inserted == 200
    assert s3vectors_calls.count("PutVectors") == 2
    s3vectors.drop("long-texts")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"metadata": {"x": None}}, "'x'"),
        ({"metadata": {"x": {"nested": 1}}}, "'x'"),
        ({"metadata": {"x": []}}, "non-empty"),
        ({"metadata": {"x": [1, "a"]}}, "list of strings or numbers"),
        ({"metadata": {"x": [True]}}, "list of strings or numbers"),
        ({"metadata": {"context": "a"}}, "'context'"),
        ({"metadata": {"x": "y" * 2048}}, "2048"),
        (
            {"metadata": {"short": 1, "long": "y" * 2000, "longer": "y" * 2100}},
            "Longest values: 'longer', 'long'",
        ),
        ({"text": "x" * 41_000}, "40960"),
        ({"metadata": {str(number): 1 for number in range(50)}}, "50 names"),
    ],
)
def test_upsert_rejects_unsupported_records_before_sending(s3vectors, s3vectors_calls, change, message):
    opened = s3vectors.open(collection("held"))
    s3vectors_calls.clear()
    with pytest.raises(RecordRefused, match=message):
        opened.upsert([dataclasses.replace(records(1)[0], **change)])
    assert "PutVectors" not in s3vectors_calls


@pytest.mark.parametrize(
    "other_metadata", [{}, {f"k{number}": 0.1 for number in range(30)}, {"tags": ["é"] * 40}, {"kept": True}]
)
def test_upsert_accepts_metadata_up_to_the_exact_limit(s3vectors, other_metadata):
    """The service and the store count metadata bytes identically."""
    opened = s3vectors.open(collection("bytes"))
    record = dataclasses.replace(records(1)[0], context=None)
    low, high = 0, 2048
    while low < high:  # find the longest note that the store accepts
        note = (low + high + 1) // 2
        try:
            opened.upsert([dataclasses.replace(record, metadata={**other_metadata, "note": "x" * note})])
            low = note
        except RecordRefused:
            high = note - 1
    vector = {
        "key": "v",
        "data": {"float32": np.ones(8).tolist()},
        "metadata": {**other_metadata, "note": "x" * (low + 1)},
    }
    with pytest.raises(StoreError, match="at most 2048 bytes"):
        opened._call("put_vectors", vectors=[vector])


def test_search_rejects_filters_with_too_many_values(s3vectors):
    opened = s3vectors.open(collection("compared"))
    assert opened.search(unit_vectors(1)[0], filter={"x": {"$in": list(range(100))}}) == []
    with pytest.raises(FilterRefused, match="101 values"):
        opened.search(unit_vectors(1)[0], filter={"x": {"$in": list(range(100))}, "y": 1})
    # $ne is sent with a second condition.
    assert opened.search(unit_vectors(1)[0], filter={str(number): {"$ne": 1} for number in range(50)}) == []
    with pytest.raises(FilterRefused, match="102 values"):
        opened.search(unit_vectors(1)[0], filter={str(number): {"$ne": 1} for number in range(51)})


@pytest.mark.parametrize("name", ["embedstack-text", "embedstack-hash", "embedstack-chunks"])
def test_search_rejects_filters_on_reserved_names(s3vectors, name):
    with pytest.raises(FilterRefused, match="reserved"):
        s3vectors.open(collection("compared")).search(unit_vectors(1)[0], filter={name: "x"})


def test_search_rejects_unsupported_arguments(s3vectors):
    with pytest.raises(ConfigurationError, match="exact"):
        s3vectors.open(collection("modes")).search(unit_vectors(1)[0], mode="exact")
    with pytest.raises(ConfigurationError, match="sparse"):
        s3vectors.open(collection("modes")).search(unit_vectors(1)[0], mode="hybrid", text="x", sparse={1: 1.0})
    with pytest.raises(ConfigurationError, match="4096"):
        s3vectors.open(collection("long", 4097))


def test_service_errors_are_translated(s3vectors, s3vectors_settings, fail):
    opened = s3vectors.open(collection("errors"))
    fail("unavailable", 3)
    with pytest.raises(StoreUnavailable, match="ServiceUnavailableException") as raised:
        opened.count()
    assert raised.value.retryable
    fail("quota", 1)
    with pytest.raises(StoreError, match="ServiceQuotaExceededException"):
        opened.count()
    fail("denied", 1)
    with pytest.raises(ConfigurationError, match="credentials"):
        opened.count()
    for kind in ("throttle", "unavailable", "internal"):
        fail(kind, 1)
        assert opened.count() == 0  # retried
    with pytest.raises(CollectionNotFound, match="no-such-bucket"):
        S3VectorsStore("no-such-bucket", settings=s3vectors_settings).describe("errors")
    nowhere = s3vectors_settings.model_copy(update={"aws_endpoint_url": "http://127.0.0.1:9"})
    with pytest.raises(StoreUnavailable, match="cannot be reached"):
        S3VectorsStore(BUCKET, settings=nowhere).describe("errors")


def test_load_store_opens_s3_vectors_by_settings(s3vectors_settings: Settings):
    with load_store(s3vectors_settings, vector_store="s3vectors", vector_bucket=BUCKET) as store:
        assert isinstance(store, S3VectorsStore)
        assert store.open(collection("configured")).count() == 0
    with pytest.raises(ConfigurationError, match="VECTOR_BUCKET"):
        load_store(s3vectors_settings, vector_store="s3vectors", vector_bucket=None)
