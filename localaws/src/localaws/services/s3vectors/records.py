"""Vector buckets and indexes of one account and region: moto's backend with the limits and rules of AWS."""

import re
import threading
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from moto.s3vectors.exceptions import IndexNotFound
from moto.s3vectors.models import Index, S3VectorsBackend, VectorBucket
from moto.s3vectors.utils import create_vector_bucket_arn

from localaws.services.s3vectors.encryption import chosen_encryption
from localaws.services.s3vectors.errors import InvalidRequest, S3VectorsError
from localaws.services.s3vectors.full_text import FullTextSearch
from localaws.services.s3vectors.metadata import metadata_size
from localaws.services.s3vectors.vector_table import VectorTable
from localaws.services.s3vectors.write_rates import WriteRates

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["VectorIndex", "VectorsBackend"]

# User guide, "Limitations and restrictions".
_MAX_BUCKETS = 10_000
_MAX_INDEXES = 10_000
_MAX_TAGS = 50
_BUCKET_NAME = re.compile(r"[a-z0-9][a-z0-9-]*[a-z0-9]")
_INDEX_NAME = re.compile(r"[a-z0-9][a-z0-9.-]*[a-z0-9]")
#: The mode of all buckets and indexes created since September 30, 2026.
_INDEX_MODE = "ENHANCED"


class VectorIndex(Index):  # type: ignore[misc]  # moto is untyped
    """moto's index, with vectors in a table; hold ``lock`` while using ``vectors`` or ``rates``."""

    def __init__(
        self,
        bucket: VectorBucket,
        request: Mapping[str, Any],
        encryption: dict[str, str],
        rates: WriteRates,
        full_text: FullTextSearch,
    ) -> None:
        """Create an empty index from a CreateIndex request.

        Raises:
            ServiceException: Its text search configurations are invalid.
        """
        super().__init__(bucket, request["indexName"], request["dimension"], "float32", request["distanceMetric"])
        configuration = request.get("metadataConfiguration") or {}
        self.non_filterable_keys = list(configuration.get("nonFilterableMetadataKeys") or [])
        self.full_text = full_text
        full_text.add(configuration.get("textSearchConfigurations") or [])
        self.creation_time = datetime.now(UTC)
        self.encryption_configuration = encryption
        self.index_mode = _INDEX_MODE
        self.vectors = VectorTable(self.dimension, self.distance_metric)
        #: Bytes of vectors, metadata and keys, and those without non-filterable metadata, which queries process.
        self.stored_bytes = self.queried_bytes = 0
        self.rates = rates
        self.lock = threading.Lock()

    @property
    def metadata_configuration(self) -> dict[str, Any] | None:
        """The metadata configuration of GetIndex."""
        with self.lock:
            searchable = self.full_text.describe()
        configuration = {
            **({"nonFilterableMetadataKeys": self.non_filterable_keys} if self.non_filterable_keys else {}),
            **({"textSearchConfigurations": searchable} if searchable else {}),
        }
        return configuration or None

    def put(self, keys: list[str], vectors: "NDArray[np.float32]", metadata: list[dict[str, Any]]) -> None:
        """Store vectors and index their texts; see :meth:`VectorTable.put`. The caller holds the lock."""
        self._count(keys, -1)
        self.vectors.put(keys, vectors, metadata)
        self._count(keys, 1)
        for key, entries in zip(keys, metadata, strict=True):
            self.full_text.put(key, entries)

    def delete(self, keys: list[str]) -> None:
        """Delete vectors; missing keys are ignored. The caller holds the lock."""
        self._count(keys, -1)
        self.vectors.delete(keys)
        for key in keys:
            self.full_text.delete(key)

    def size(self, key: str, metadata: Mapping[str, Any]) -> int:
        """Bytes of a vector with its key and metadata."""
        return 4 * int(self.dimension) + len(key.encode()) + metadata_size(metadata)

    def _count(self, keys: Iterable[str], sign: int) -> None:
        """Add or subtract the bytes of the vectors that exist."""
        for key in dict.fromkeys(keys):
            if key in self.vectors:
                entries = self.vectors.metadata(key)
                filterable = {name: value for name, value in entries.items() if name not in self.non_filterable_keys}
                self.stored_bytes += sign * self.size(key, entries)
                self.queried_bytes += sign * self.size(key, filterable)


class VectorsBackend(S3VectorsBackend):  # type: ignore[misc]  # moto is untyped
    """moto's backend; hold ``lock`` while using it. moto's own backends span all regions of a partition."""

    def __init__(self, account_id: str, region: str) -> None:
        """Start without buckets."""
        super().__init__(region, account_id)
        self.lock = threading.RLock()

    def add_bucket(self, request: Mapping[str, Any]) -> VectorBucket:
        """Create a bucket from a CreateVectorBucket request.

        Raises:
            ServiceException: The name, the encryption or the tags are invalid, or the bucket exists.
        """
        name = request["vectorBucketName"]
        if not _BUCKET_NAME.fullmatch(name):
            message = "Invalid vector bucket name"
            raise InvalidRequest(message, ("vectorBucketName", message))
        encryption = chosen_encryption(self.account_id, self.region_name, request.get("encryptionConfiguration"))
        _check_tags({}, request.get("tags") or {})
        if len(self.vector_buckets) >= _MAX_BUCKETS:
            message = "You have reached the maximum number of vector buckets"
            raise S3VectorsError("ServiceQuotaExceededException", message)
        self.create_vector_bucket(self.region_name, name, encryption or {}, request.get("tags"))
        bucket = self.get_vector_bucket(name)
        bucket.creation_time = datetime.now(UTC)
        bucket.default_index_mode = _INDEX_MODE
        return bucket

    def find_bucket(self, request: Mapping[str, Any]) -> VectorBucket:
        """The bucket that a request names, or identifies by its ARN.

        Raises:
            ServiceException: The request does neither or both, or the bucket does not exist.
        """
        name, arn = request.get("vectorBucketName"), request.get("vectorBucketArn")
        if (name is None) == (arn is None):
            raise InvalidRequest("Must specify either vectorBucketName or vectorBucketArn but not both")
        return self.get_vector_bucket(name, arn)

    def add_index(self, request: Mapping[str, Any], rates: WriteRates, full_text: FullTextSearch) -> VectorIndex:
        """Create an index from a CreateIndex request.

        Raises:
            ServiceException: A member is invalid, the index exists, or its bucket does not exist.
        """
        bucket, name = self.find_bucket(request), request["indexName"]
        encryption = chosen_encryption(self.account_id, self.region_name, request.get("encryptionConfiguration"))
        _check_tags({}, request.get("tags") or {})
        if not _INDEX_NAME.fullmatch(name):
            raise InvalidRequest("Invalid index name", ("indexName", "Invalid index name"))
        index = VectorIndex(bucket, request, encryption or bucket.encryption_configuration, rates, full_text)
        if index.index_arn in bucket.indexes:
            raise S3VectorsError("ConflictException", "An index with the specified name already exists")
        if len(bucket.indexes) >= _MAX_INDEXES:
            message = "You have reached the maximum number of vector indexes"
            raise S3VectorsError("ServiceQuotaExceededException", message)
        bucket.indexes[index.index_arn] = index
        if request.get("tags"):
            self.tag_resource(index.index_arn, request["tags"])
        return index

    def find_index(self, request: Mapping[str, Any]) -> VectorIndex:
        """The index that a request names, or identifies by its ARN.

        Raises:
            ServiceException: The request does neither or both, or the index does not exist.
        """
        bucket, name, arn = request.get("vectorBucketName"), request.get("indexName"), request.get("indexArn")
        if (arn is None) != (bucket is not None and name is not None) or (arn is not None and (bucket or name)):
            raise InvalidRequest("Must specify either indexArn or both vectorBucketName and indexName")
        return self.get_index(bucket, name, arn)

    def get_index(self, vector_bucket_name: str | None, index_name: str | None, index_arn: str | None) -> VectorIndex:
        """An index; moto would ignore the account and the region of its ARN.

        Raises:
            IndexNotFound: It does not exist.
        """
        bucket_arn = create_vector_bucket_arn(self.account_id, self.region_name, vector_bucket_name or "")
        arn = index_arn or f"{bucket_arn}/index/{index_name}"
        bucket = self.vector_buckets.get(arn.partition("/index/")[0])
        index: VectorIndex | None = bucket.indexes.get(arn) if bucket is not None else None
        if index is None:
            raise IndexNotFound
        return index

    def add_system_tags(self, resource_arn: str, tags: dict[str, str]) -> None:
        """Add AWS's tags, which users cannot add."""
        super().tag_resource(resource_arn, tags)

    def tag_resource(self, resource_arn: str, tags: dict[str, str]) -> None:
        """Add tags.

        Raises:
            ServiceException: The resource does not exist, or a tag is invalid.
        """
        _check_tags(self.list_tags_for_resource(resource_arn), tags)
        super().tag_resource(resource_arn, tags)


def _check_tags(existing: Mapping[str, str], added: Mapping[str, str]) -> None:
    if any(key.lower().startswith("aws:") for key in added):
        message = "Tag keys must not start with 'aws:'"
    elif sum(not key.startswith("aws:") for key in {*existing, *added}) > _MAX_TAGS:
        message = f"A resource can have at most {_MAX_TAGS} tags"
    else:
        return
    raise InvalidRequest(message, ("tags", message))
