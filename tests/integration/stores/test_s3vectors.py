"""What S3 Vectors does beside what every store does: limits, and errors in the product's words."""

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
    """Lets the next requests to S3 Vectors fail."""

    def fail(kind, count):
        wanted = {"service": "s3vectors", "kind": kind, "rate": 1, "count": count}
        urllib.request.urlopen(local_aws.url + FAULTS_PATH, json.dumps(wanted).encode()).close()

    return fail


def test_requests_stay_within_the_service_s_limits(s3vectors, s3vectors_calls):
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


def test_long_texts_go_in_requests_that_are_not_too_large(s3vectors, s3vectors_calls):
    opened = s3vectors.open(collection("long-texts"))
    # 40 KB in UTF-8, and three times as much in a request.
    batch = [dataclasses.replace(record, text="é" * 20_000) for record in records(200)]
    s3vectors_calls.clear()
    assert opened.upsert(batch).inserted == 200
    assert s3vectors_calls.count("PutVectors") == 2
    s3vectors.drop("long-texts")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"metadata": {"x": None}}, "'x'"),
        ({"metadata": {"x": {"nested": 1}}}, "'x'"),
        ({"metadata": {"x": []}}, "not empty"),
        ({"metadata": {"x": [1, "a"]}}, "list of strings or of numbers"),
        ({"metadata": {"x": [True]}}, "list of strings or of numbers"),
        ({"metadata": {"context": "a"}}, "'context'"),
        ({"metadata": {"x": "y" * 2048}}, "2048"),
        ({"text": "x" * 41_000}, "40960"),
        ({"metadata": {str(number): 1 for number in range(50)}}, "50 names"),
    ],
)
def test_what_the_service_cannot_hold_is_refused_before_it_is_sent(s3vectors, s3vectors_calls, change, said):
    opened = s3vectors.open(collection("held"))
    s3vectors_calls.clear()
    with pytest.raises(RecordRefused, match=said):
        opened.upsert([dataclasses.replace(records(1)[0], **change)])
    assert "PutVectors" not in s3vectors_calls


@pytest.mark.parametrize(
    "beside", [{}, {f"k{number}": 0.1 for number in range(30)}, {"tags": ["é"] * 40}, {"kept": True}]
)
def test_what_is_just_short_enough_is_held(s3vectors, beside):
    """The service and the store count alike, to the byte."""
    opened = s3vectors.open(collection("bytes"))
    record = dataclasses.replace(records(1)[0], context=None)
    low, high = 0, 2048
    while low < high:  # the longest note that the store sends
        note = (low + high + 1) // 2
        try:
            opened.upsert([dataclasses.replace(record, metadata={**beside, "note": "x" * note})])
            low = note
        except RecordRefused:
            high = note - 1
    vector = {"key": "v", "data": {"float32": np.ones(8).tolist()}, "metadata": {**beside, "note": "x" * (low + 1)}}
    with pytest.raises(StoreError, match="at most 2048 bytes"):
        opened._call("put_vectors", vectors=[vector])


def test_a_filter_that_compares_too_often_is_refused(s3vectors):
    opened = s3vectors.open(collection("compared"))
    assert opened.search(unit_vectors(1)[0], filter={"x": {"$in": list(range(100))}}) == []
    with pytest.raises(FilterRefused, match="101 values"):
        opened.search(unit_vectors(1)[0], filter={"x": {"$in": list(range(100))}, "y": 1})


@pytest.mark.parametrize("mode", ["exact", "hybrid"])
def test_there_is_one_way_to_search(s3vectors, mode):
    with pytest.raises(ConfigurationError, match=mode):
        s3vectors.open(collection("modes")).search(unit_vectors(1)[0], mode=mode)
    with pytest.raises(ConfigurationError, match="4096"):
        s3vectors.open(collection("long", 4097))
    with pytest.raises(ConfigurationError, match="10000"):
        s3vectors.open(collection("modes")).search(unit_vectors(1)[0], k=10_001)


def test_errors_are_in_the_product_s_words(s3vectors, s3vectors_settings, fail):
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
        assert opened.count() == 0  # sent again
    with pytest.raises(CollectionNotFound, match="no-such-bucket"):
        S3VectorsStore("no-such-bucket", settings=s3vectors_settings).describe("errors")
    nowhere = s3vectors_settings.model_copy(update={"aws_endpoint_url": "http://127.0.0.1:9"})
    with pytest.raises(StoreUnavailable, match="cannot be reached"):
        S3VectorsStore(BUCKET, settings=nowhere).describe("errors")


def test_it_is_chosen_by_configuration(s3vectors_settings: Settings):
    with load_store(s3vectors_settings, vector_store="s3vectors", vector_bucket=BUCKET) as store:
        assert isinstance(store, S3VectorsStore)
        assert store.open(collection("configured")).count() == 0
    with pytest.raises(ConfigurationError, match="VECTOR_BUCKET"):
        load_store(s3vectors_settings, vector_store="s3vectors", vector_bucket=None)
