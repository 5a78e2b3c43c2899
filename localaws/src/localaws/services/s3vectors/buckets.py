"""Vector buckets and their indexes, by account and region."""

import re
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from moto.utilities.utils import get_partition

from localaws.services.s3vectors.refusals import Refusal, invalid, not_found
from localaws.services.s3vectors.vector_table import VectorTable
from localaws.services.s3vectors.write_rates import WriteRates

__all__ = ["Buckets", "Caller", "Index", "VectorBucket"]

# User guide, "Limitations and restrictions".
_MAX_BUCKETS = 10_000
_MAX_INDEXES = 10_000

_BUCKET_NAME = re.compile(r"[a-z0-9][a-z0-9-]*[a-z0-9]")
_INDEX_NAME = re.compile(r"[a-z0-9][a-z0-9.-]*[a-z0-9]")


@dataclass(frozen=True, slots=True)
class Caller:
    """Whose request it is, and where."""

    account_id: str
    region: str

    def bucket_arn(self, name: str) -> str:
        """A vector bucket's ARN."""
        return f"arn:{get_partition(self.region)}:s3vectors:{self.region}:{self.account_id}:bucket/{name}"


def _now() -> float:
    return datetime.now(UTC).timestamp()


@dataclass(slots=True, eq=False)
class Index:
    """A vector index.

    Attributes:
        bucket: Name of its bucket.
        name: Its name.
        arn: Its ARN.
        dimension: Length of its vectors.
        metric: ``cosine`` or ``euclidean``.
        not_filterable: Metadata keys that no filter may ask for.
        encryption: ``sseType``, and ``kmsKeyArn`` where it is ``aws:kms``.
        tags: Its tags.
        rates: What may be written within a second.
        created: When, in seconds since the epoch.
        vectors: What it holds.
        lock: Held while the vectors are read or written.
    """

    bucket: str
    name: str
    arn: str
    dimension: int
    metric: Any
    not_filterable: list[str]
    encryption: dict[str, str]
    tags: dict[str, str]
    rates: WriteRates
    created: float = field(default_factory=_now)
    vectors: VectorTable = field(init=False)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        """Begin without vectors."""
        self.vectors = VectorTable(self.dimension, self.metric)

    @property
    def summary(self) -> dict[str, Any]:
        """As ListIndexes lists it."""
        return {
            "vectorBucketName": self.bucket,
            "indexName": self.name,
            "indexArn": self.arn,
            "creationTime": self.created,
        }

    @property
    def description(self) -> dict[str, Any]:
        """As GetIndex describes it."""
        configuration = {"nonFilterableMetadataKeys": self.not_filterable}
        return {
            **self.summary,
            "dataType": "float32",
            "dimension": self.dimension,
            "distanceMetric": self.metric,
            **({"metadataConfiguration": configuration} if self.not_filterable else {}),
            "encryptionConfiguration": self.encryption,
            # That of every bucket since September 30, 2026.
            "indexMode": "ENHANCED",
        }


@dataclass(slots=True, eq=False)
class VectorBucket:
    """A vector bucket.

    Attributes:
        name: Its name.
        arn: Its ARN.
        encryption: ``sseType``, and ``kmsKeyArn`` where it is ``aws:kms``.
        tags: Its tags.
        created: When, in seconds since the epoch.
        policy: Its policy, as it was written.
        indexes: Its indexes, by name.
    """

    name: str
    arn: str
    encryption: dict[str, str]
    tags: dict[str, str]
    created: float = field(default_factory=_now)
    policy: str | None = None
    indexes: dict[str, Index] = field(default_factory=dict)

    @property
    def summary(self) -> dict[str, Any]:
        """As ListVectorBuckets lists it."""
        return {"vectorBucketName": self.name, "vectorBucketArn": self.arn, "creationTime": self.created}

    @property
    def description(self) -> dict[str, Any]:
        """As GetVectorBucket describes it."""
        return {**self.summary, "encryptionConfiguration": self.encryption, "defaultIndexMode": "ENHANCED"}

    def add(self, index: Index) -> None:
        """Take in an index.

        Raises:
            Refusal: It has no valid name, or there is one of that name.
        """
        if not _INDEX_NAME.fullmatch(index.name):
            raise invalid("Invalid index name", "indexName")
        if index.name in self.indexes:
            raise Refusal("ConflictException", "An index with the specified name already exists")
        if len(self.indexes) >= _MAX_INDEXES:
            raise Refusal("ServiceQuotaExceededException", "You have reached the maximum number of vector indexes")
        self.indexes[index.name] = index


class Buckets:
    """Every account's vector buckets in every region. Whoever changes something holds the lock."""

    def __init__(self) -> None:
        """Begin without any."""
        self.lock = threading.RLock()
        self._buckets: dict[Caller, dict[str, VectorBucket]] = {}

    def of(self, caller: Caller) -> dict[str, VectorBucket]:
        """An account's vector buckets in a region, by name."""
        return self._buckets.setdefault(caller, {})

    def add(self, caller: Caller, bucket: VectorBucket) -> None:
        """Take in a vector bucket.

        Raises:
            Refusal: It has no valid name, or there is one of that name.
        """
        buckets = self.of(caller)
        if not _BUCKET_NAME.fullmatch(bucket.name):
            raise invalid("Invalid vector bucket name", "vectorBucketName")
        if bucket.name in buckets:
            raise Refusal("ConflictException", "A vector bucket with the specified name already exists")
        if len(buckets) >= _MAX_BUCKETS:
            raise Refusal("ServiceQuotaExceededException", "You have reached the maximum number of vector buckets")
        buckets[bucket.name] = bucket

    def remove(self, caller: Caller, bucket: VectorBucket) -> None:
        """Forget a vector bucket.

        Raises:
            Refusal: It has indexes.
        """
        if bucket.indexes:
            raise Refusal("ConflictException", "The specified vector bucket is not empty")
        del self.of(caller)[bucket.name]

    def bucket(self, caller: Caller, request: dict[str, Any]) -> VectorBucket:
        """The vector bucket that a request names, or gives the ARN of.

        Raises:
            Refusal: It does neither, or both, or there is no such bucket.
        """
        name, arn = request.get("vectorBucketName"), request.get("vectorBucketArn")
        if (name is None) == (arn is None):
            raise invalid("Must specify either vectorBucketName or vectorBucketArn but not both")
        return self._bucket(caller, caller.bucket_arn(name) if name else str(arn))

    def index(self, caller: Caller, request: dict[str, Any]) -> Index:
        """The index that a request names, or gives the ARN of.

        Raises:
            Refusal: It does neither, or both, or there is no such index.
        """
        bucket, name, arn = request.get("vectorBucketName"), request.get("indexName"), request.get("indexArn")
        if (arn is None) != (bucket is not None and name is not None) or (arn is not None and (bucket or name)):
            raise invalid("Must specify either indexArn or both vectorBucketName and indexName")
        return self._index(caller, arn or f"{caller.bucket_arn(str(bucket))}/index/{name}")

    def tagged(self, caller: Caller, arn: str) -> VectorBucket | Index:
        """What an ARN names.

        Raises:
            Refusal: There is nothing of that ARN.
        """
        try:
            return self._index(caller, arn) if "/index/" in arn else self._bucket(caller, arn)
        except Refusal:
            raise not_found("resource") from None

    def _bucket(self, caller: Caller, arn: str) -> VectorBucket:
        bucket = self.of(caller).get(arn.rpartition("/")[2])
        if bucket is None or bucket.arn != arn:
            raise not_found("vector bucket")
        return bucket

    def _index(self, caller: Caller, arn: str) -> Index:
        bucket_arn, _, name = arn.partition("/index/")
        bucket = self.of(caller).get(bucket_arn.rpartition("/")[2])
        index = bucket.indexes.get(name) if bucket is not None and bucket.arn == bucket_arn else None
        if index is None:
            raise not_found("index")
        return index
