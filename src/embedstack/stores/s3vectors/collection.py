"""One collection in S3 Vectors."""

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from itertools import islice
from typing import TYPE_CHECKING, Any

from embedstack.calls.call_context import Call
from embedstack.errors import ConfigurationError, DeadlineExceeded, FilterRefused, StoreError
from embedstack.stores.base import Mode
from embedstack.stores.collection_info import CollectionInfo
from embedstack.stores.filters import Filter, matches, parse_filter
from embedstack.stores.records import Hit, Record, Stored, check_vector
from embedstack.stores.s3vectors.layout import filter_document, from_vector, to_vector
from embedstack.stores.s3vectors.service import Service

if TYPE_CHECKING:
    from embedstack.stores.records import Vector

__all__ = ["S3VectorsCollection"]

# Limits of a request.
_PUT, _GET, _DELETE, _LIST = 500, 100, 500, 1000
# Shares of an index that are listed at once; S3 Vectors allows 16.
_SEGMENTS = 8
_REQUEST_BYTES = 20 * 1024 * 1024
# Of a float32's decimal digits with sign, point, exponent and comma, at most.
_NUMBER_BYTES = 26
# Of the names of a vector's members, and of its share of the request's.
_NAMES_BYTES = 128
_TOP_K = 10_000


class S3VectorsCollection:
    """A :class:`~embedstack.stores.base.Collection` in an index of its own.

    S3 Vectors has no transactions: a batch is written whole or not at all, and a comparison with what is there happens
    before it.
    """

    filters_by_index = False

    def __init__(
        self, service: Service, info: CollectionInfo, index: str, require_writable: Callable[[str, str], None]
    ) -> None:
        """For :class:`S3VectorsStore` to call.

        Args:
            service: The vector bucket's.
            info: What its vectors are.
            index: Its index's name.
            require_writable: Raises if that index is no collection's any more.
        """
        self.index = index
        self._info = info
        self._service = service
        self._require_writable = require_writable

    @property
    def info(self) -> CollectionInfo:
        """What its vectors are."""
        return self._info

    def upsert(self, records: Iterable[Record]) -> Stored:
        """Put records, each by its id; see :meth:`Collection.upsert`."""
        self._require_writable(self.info.name, self.index)
        stored = Stored()
        for vectors in self._batches(records):
            there = {vector["key"]: vector.get("metadata") for vector in self._get(vectors, returnMetadata=True)}
            fresh = [vector for key, vector in vectors.items() if there.get(key) != vector["metadata"]]
            if fresh:
                self._call("put_vectors", vectors=fresh)
            inserted = len(vectors.keys() - there.keys())
            stored = stored.plus(Stored(inserted, len(fresh) - inserted, len(vectors) - len(fresh)))
        return stored

    def replace(self, where: Filter, records: Iterable[Record]) -> Stored:
        """Put records, then delete what else the filter finds; see :meth:`Collection.replace`."""
        found = self._found(where)
        batch = list(records)
        stored = self.upsert(batch)
        self.delete(set(found) - {record.id for record in batch})
        return stored

    def unchanged(self, hashes: Mapping[str, bytes]) -> set[str]:
        """Which of these are stored with that very content hash already; see :meth:`Collection.unchanged`."""
        found = map(from_vector, self._get(hashes, returnMetadata=True))
        return {record.id for record in found if record.content_hash == hashes[record.id]}

    def search(
        self,
        vector: "Vector | Sequence[float]",
        k: int = 10,
        *,
        filter: Filter | None = None,  # noqa: A002 - the field's word for it
        threshold: float | None = None,
        mode: Mode = "approximate",
        text: str | None = None,
        sparse: Mapping[int, float] | None = None,
    ) -> list[Hit]:
        """The records nearest to a vector; S3 Vectors is asked approximately only; see :meth:`Collection.search`."""
        if mode != "approximate" or text is not None or sparse is not None:
            raise ConfigurationError(f"S3 Vectors ranks by its own index, and so has no {mode} search: use Postgres.")
        if not 1 <= k <= _TOP_K:
            raise ConfigurationError(f"S3 Vectors gives 1 to {_TOP_K} hits; {k} were asked for.")
        parameters: dict[str, Any] = {
            "queryVector": {"float32": check_vector(vector, self.info, "the query").tolist()},
            "topK": k,
            "returnMetadata": True,
            "returnDistance": True,
        }
        conditions = filter_document(parse_filter(filter))
        if conditions is not None:
            parameters["filter"] = conditions
        found = self._service.pages("query_vectors", "vectors", indexName=self.index, **parameters)
        hits = (_hit(one, self.info) for one in islice(found, k))
        return [hit for hit in hits if threshold is None or hit.similarity >= threshold]

    def get(self, ids: Iterable[str]) -> dict[str, Record]:
        """The records that are there, by id, with their vectors."""
        found = self._get(ids, returnData=True, returnMetadata=True)
        return {record.id: record for record in map(from_vector, found)}

    def scan(self) -> Iterator[Record]:
        """All records, in no order."""
        return map(from_vector, self._list(returnData=True, returnMetadata=True))

    def delete(self, ids: Iterable[str]) -> int:
        """Delete records; how many were there."""
        self._require_writable(self.info.name, self.index)
        there = [vector["key"] for vector in self._get(ids)]
        for start in range(0, len(there), _DELETE):
            self._call("delete_vectors", keys=there[start : start + _DELETE])
        return len(there)

    def delete_where(self, where: Filter) -> int:
        """Delete what a filter finds; every record is looked at, since S3 Vectors cannot be asked.

        Raises:
            DeadlineExceeded: The time of the current call did not suffice to look at all; nothing is deleted.
        """
        return self.delete(self._found(where))

    def count(self, where: Filter | None = None) -> int:
        """How many records there are; every one is looked at, since S3 Vectors keeps no count."""
        conditions = parse_filter(where)
        if not conditions:
            return sum(1 for _ in self._list())
        return sum(matches(from_vector(vector), conditions) for vector in self._list(returnMetadata=True))

    def optimize(self, *, live: bool = True, only_missing: bool = False) -> None:
        """Nothing: S3 Vectors keeps its index itself."""

    def _batches(self, records: Iterable[Record]) -> Iterator[dict[str, dict[str, Any]]]:
        """Records as vectors, by id, as many as a request takes; of several with an id in a batch the last."""
        batch: dict[str, dict[str, Any]] = {}
        size = 0
        for record in records:
            vector = to_vector(record, self.info)
            # As botocore writes it, with everything escaped that is not ASCII.
            texts = len(json.dumps([record.id, vector["metadata"]]))
            needed = texts + self.info.dimensions * _NUMBER_BYTES + _NAMES_BYTES
            if batch and (len(batch) == _PUT or size + needed > _REQUEST_BYTES):
                yield batch
                batch, size = {}, 0
            batch[record.id] = vector
            size += needed
        if batch:
            yield batch

    def _found(self, where: Filter) -> list[str]:
        conditions = parse_filter(where)
        if not conditions:
            raise FilterRefused("A filter without a condition would delete every record: drop the collection instead.")

        def found(vectors: Iterable[dict[str, Any]]) -> list[str]:
            return [record.id for record in map(from_vector, vectors) if matches(record, conditions)]

        listing = {"indexName": self.index, "maxResults": _LIST, "returnMetadata": True}
        page = self._service.call("list_vectors", **listing)
        if not page.get("nextToken"):
            return found(page["vectors"])

        def read(segment: int) -> list[str]:
            share = {**listing, "segmentCount": _SEGMENTS, "segmentIndex": segment}
            return found(_in_time(self._service.pages("list_vectors", "vectors", **share)))

        # Each in a copy of the context, which knows how much time there is.
        with ThreadPoolExecutor(_SEGMENTS) as pool:
            shares = [pool.submit(copy_context().run, read, segment) for segment in range(_SEGMENTS)]
            return [key for share in shares for key in share.result()]

    def _get(self, ids: Iterable[str], **wanted: bool) -> Iterator[dict[str, Any]]:
        source = iter(dict.fromkeys(ids))
        while some := list(islice(source, _GET)):
            yield from self._call("get_vectors", keys=some, **wanted)["vectors"]

    def _list(self, **wanted: bool) -> Iterator[dict[str, Any]]:
        return self._service.pages("list_vectors", "vectors", indexName=self.index, maxResults=_LIST, **wanted)

    def _call(self, operation: str, **parameters: Any) -> dict[str, Any]:
        return self._service.call(operation, indexName=self.index, **parameters)


def _in_time(vectors: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Vectors of a listing, for as long as the current call may go on."""
    for number, vector in enumerate(vectors):
        if number % _GET == 0:
            _require_time()
        yield vector


def _require_time() -> None:
    try:
        Call.current().check()
    except DeadlineExceeded:
        raise DeadlineExceeded(
            "The time was up while an index of S3 Vectors was listed for what a filter finds: allow more, as with the "
            "function's timeout_s, or keep a collection of this size in Postgres."
        ) from None


def _hit(found: dict[str, Any], info: CollectionInfo) -> Hit:
    distance = float(found.get("distance", math.nan))
    if not math.isfinite(distance):
        raise StoreError("S3 Vectors sent a hit without its distance: search again.")
    similarity = 1 - distance if info.distance == "cosine" else -distance
    return Hit(from_vector(found), score=similarity, similarity=similarity)
