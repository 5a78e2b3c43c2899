"""What S3 Vectors costs: stored bytes, bytes of PutVectors, queries, and the bytes that queries process.

Rules: Amazon S3 pricing page, S3 Vectors. A query is charged for the vectors, keys and filterable metadata of the whole
index, at another price beyond the first 100,000 vectors. PutVectors is charged for at least 128 KB.
"""

from collections.abc import Iterator
from decimal import Decimal
from typing import TYPE_CHECKING

from localaws.metering.lines import vector_processing, vector_puts, vector_queries, vector_storage
from localaws.metering.meter import Rate

if TYPE_CHECKING:
    from localaws.metering.lines import Tags
    from localaws.metering.meter import Meter
    from localaws.services.s3vectors.records import VectorIndex, VectorsBackend

__all__ = ["meter_put", "meter_query", "storage_rates"]

_GB = 1024**3
_LEAST_PUT = 128 * 1024
_FIRST_VECTORS = 100_000


def storage_rates(backends: "list[VectorsBackend]") -> Iterator[Rate]:
    """The bytes that indexes store now."""
    for backend in backends:
        for bucket in list(backend.vector_buckets.values()):
            for index in list(bucket.indexes.values()):
                line = vector_storage(backend.account_id, backend.region_name, _tags(backend, index))
                yield Rate(line, Decimal(index.stored_bytes) / _GB, "month")


def meter_put(meter: "Meter", backend: "VectorsBackend", index: "VectorIndex", size: int) -> None:
    """Count a PutVectors request of some bytes."""
    line = vector_puts(backend.account_id, backend.region_name, _tags(backend, index))
    meter.add(line, Decimal(max(size, _LEAST_PUT)) / _GB)


def meter_query(meter: "Meter", backend: "VectorsBackend", index: "VectorIndex") -> None:
    """Count a QueryVectors request."""
    account_id, region, tags = backend.account_id, backend.region_name, _tags(backend, index)
    meter.add(vector_queries(account_id, region, tags), 1)
    processed, count = Decimal(index.queried_bytes) / _GB, max(1, len(index.vectors))
    first = processed * min(count, _FIRST_VECTORS) / count
    meter.add(vector_processing(account_id, region, 1, tags), first)
    if processed > first:
        meter.add(vector_processing(account_id, region, 2, tags), processed - first)


def _tags(backend: "VectorsBackend", index: "VectorIndex") -> "Tags":
    tags = backend.list_tags_for_resource(index.index_arn) or backend.list_tags_for_resource(
        index.index_arn.partition("/index/")[0]
    )
    return tuple(sorted(tags.items()))
