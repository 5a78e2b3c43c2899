"""What S3 Vectors does beside what every store does: limits, and errors in the product's words."""

import dataclasses

import pytest

from embedstack.errors import CollectionNotFound, ConfigurationError, RecordRefused, StoreError, StoreUnavailable
from embedstack.settings import Settings
from embedstack.stores import Stored, load_store
from embedstack.stores.s3vectors import S3VectorsStore
from tests.integration.stores.s3vectors_service import BUCKET
from tests.integration.stores.samples import collection, records, unit_vectors


def test_requests_stay_within_the_service_s_limits(s3vectors, s3vectors_service):
    opened = s3vectors.open(collection("many"))
    batch = records(1203)
    s3vectors_service.calls.clear()
    assert opened.upsert(batch).inserted == 1203
    puts = s3vectors_service.calls.count("PutVectors")
    assert puts == 4  # by 319, which could fill a request of 20 MB with 64 KB of metadata each
    assert opened.upsert(batch) == Stored(unchanged=1203)
    assert s3vectors_service.calls.count("PutVectors") == puts
    assert opened.delete([record.id for record in batch]) == 1203
    assert opened.count() == 0
    s3vectors.drop("many")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"metadata": {"x": None}}, "'x'"),
        ({"metadata": {"x": {"nested": 1}}}, "'x'"),
        ({"metadata": {"context": "a"}}, "'context'"),
        ({"metadata": {"x": "y" * 2048}}, "2048"),
        ({"text": "x" * 41_000}, "40960"),
        ({"metadata": {str(number): 1 for number in range(50)}}, "50 names"),
    ],
)
def test_what_the_service_cannot_hold_is_refused_before_it_is_sent(s3vectors, s3vectors_service, change, said):
    opened = s3vectors.open(collection("held"))
    s3vectors_service.calls.clear()
    with pytest.raises(RecordRefused, match=said):
        opened.upsert([dataclasses.replace(records(1)[0], **change)])
    assert "PutVectors" not in s3vectors_service.calls


@pytest.mark.parametrize("mode", ["exact", "hybrid"])
def test_there_is_one_way_to_search(s3vectors, mode):
    with pytest.raises(ConfigurationError, match=mode):
        s3vectors.open(collection("modes")).search(unit_vectors(1)[0], mode=mode)
    with pytest.raises(ConfigurationError, match="4096"):
        s3vectors.open(collection("long", 4097))


def test_errors_are_in_the_product_s_words(s3vectors, s3vectors_service, s3vectors_settings):
    opened = s3vectors.open(collection("errors"))
    s3vectors_service.failures[:] = [(503, "ServiceUnavailableException")] * 3
    with pytest.raises(StoreUnavailable, match="ServiceUnavailableException") as raised:
        opened.count()
    assert raised.value.retryable
    s3vectors_service.failures[:] = [(402, "ServiceQuotaExceededException")]
    with pytest.raises(StoreError, match="ServiceQuotaExceededException"):
        opened.count()
    s3vectors_service.failures[:] = [(403, "AccessDeniedException")]
    with pytest.raises(ConfigurationError, match="credentials"):
        opened.count()
    s3vectors_service.failures[:] = [(429, "TooManyRequestsException")]
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
