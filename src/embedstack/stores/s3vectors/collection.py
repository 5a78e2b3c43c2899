"""A collection in S3 Vectors."""

import builtins
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from itertools import islice, takewhile
from typing import TYPE_CHECKING, Any

from embedstack.calls.call_context import Call
from embedstack.errors import ConfigurationError, DeadlineExceeded, FilterRefused
from embedstack.stores.base import Collection, Mode, check_search, parse_required_filter
from embedstack.stores.collection_info import CollectionInfo
from embedstack.stores.filters import Condition, Filter, matches, parse_filter
from embedstack.stores.records import Hit, Record, Stored, check_vector
from embedstack.stores.s3vectors.full_text import FullText
from embedstack.stores.s3vectors.layout import filter_document, from_vector, to_vector
from embedstack.stores.s3vectors.queries import MAX_RESULTS, SearchQuery, needed_results
from embedstack.stores.s3vectors.service import Service

if TYPE_CHECKING:
    from embedstack.stores.records import Vector

__all__ = ["S3VectorsCollection"]

# Maximum vectors in one request.
_PUT, _GET, _DELETE, _LIST = 500, 100, 500, 1000
# Segments of an index that are listed in parallel; S3 Vectors allows 16.
_SEGMENTS = 8
_MAX_REQUEST_BYTES = 20 * 1024 * 1024
# Maximum bytes of a float32 as JSON, with sign, point, exponent and comma.
_NUMBER_BYTES = 26
# Bytes of a vector's member names, and of its share of the request's.
_NAMES_BYTES = 128


class S3VectorsCollection(Collection):
    """A :class:`~embedstack.stores.base.Collection` in one index.

    S3 Vectors has no transactions. A batch is written atomically, but compared with the stored records before that.
    """

    filters_by_index = False

    def __init__(
        self, service: Service, info: CollectionInfo, index: str, require_writable: Callable[[str, str], None]
    ) -> None:
        """Called by :class:`S3VectorsStore`.

        Args:
            service: Calls S3 Vectors.
            info: The collection's properties.
            index: The name of the collection's index.
            require_writable: Raises if the collection was switched to another index.
        """
        self.index = index
        self._info = info
        self._service = service
        self._require_writable = require_writable
        #: The full-text search of the index.
        self.full_text = FullText(service, info, index)

    @property
    def info(self) -> CollectionInfo:
        """See :attr:`Collection.info`."""
        return self._info

    def upsert(self, records: Iterable[Record]) -> Stored:
        """Insert or update records by id; see :meth:`Collection.upsert`."""
        self._require_writable(self.info.name, self.index)
        stored = Stored()
        for vectors in self._batches(records):
            stored_metadata = {
                vector["key"]: vector.get("metadata") for vector in self._get(vectors, returnMetadata=True)
            }
            changed = [vector for key, vector in vectors.items() if stored_metadata.get(key) != vector["metadata"]]
            if changed:
                self._call("put_vectors", vectors=changed)
            inserted = len(vectors.keys() - stored_metadata.keys())
            stored = stored.plus(Stored(inserted, len(changed) - inserted, len(vectors) - len(changed)))
        return stored

    def replace(self, where: Filter, records: Iterable[Record]) -> Stored:
        """Insert or update records, then delete all others that match; see :meth:`Collection.replace`."""
        matching = self._matching_ids(where)
        batch = list(records)
        stored = self.upsert(batch)
        self.delete(set(matching) - {record.id for record in batch})
        return stored

    def unchanged(self, hashes: Mapping[str, bytes]) -> set[str]:
        """Ids of the records stored with the same content hash; see :meth:`Collection.unchanged`."""
        records = map(from_vector, self._get(hashes, returnMetadata=True))
        return {record.id for record in records if record.content_hash == hashes[record.id]}

    def search(
        self,
        vector: "Vector | Sequence[float] | None",
        k: int = 10,
        *,
        filter: Filter | None = None,  # noqa: A002 - the field's word for it
        threshold: float | None = None,
        mode: Mode = "approximate",
        text: str | None = None,
        sparse: Mapping[int, float] | None = None,
    ) -> list[Hit]:
        """The records nearest to a vector, or with the words of a text; see :meth:`Collection.search`.

        Searches by vector are approximate. S3 Vectors evaluates equality, ranges of numbers and prefixes. Conditions on
        dates and on parts of strings are compared with its results here, of which it returns 10,000 at most.

        Raises:
            FilterRefused: Fewer than ``k`` of 10,000 results match a condition that had to be compared here.
            StoreUnavailable: The full-text index is still being built.
        """
        check_search(mode, k, vector=vector, text=text, sparse=sparse, threshold=threshold)
        if mode == "exact" or sparse is not None:
            raise ConfigurationError(
                f"S3 Vectors supports neither exact searches nor sparse vectors (mode={mode!r}). Use Postgres."
            )
        conditions = parse_filter(filter)
        by_prefix = any(one.operator == "$prefix" for one in conditions) and self.full_text.filters_by_prefix
        document, remaining = filter_document(conditions, by_prefix=by_prefix)
        query = SearchQuery(
            self.info,
            mode,
            None if vector is None else check_vector(vector, self.info, "the query"),
            text,
            document,
            MAX_RESULTS if remaining else needed_results(mode, k, threshold),
        )
        if text is not None:
            self.full_text.require_active()
        results = self._results(query, remaining, k if not remaining and threshold is None else query.count)
        if threshold is not None:
            # The results of a search by vector are in the order of their similarity.
            similar = takewhile if mode == "approximate" else builtins.filter
            results = similar(lambda hit: hit.similarity is not None and hit.similarity >= threshold, results)
        return list(islice((hit for hit in results if matches(hit.record, remaining)), k))

    def _results(self, query: SearchQuery, remaining: tuple[Condition, ...], needed: int) -> Iterator[Hit]:
        """The results of a query, best first. Pages are requested as they are needed.

        Args:
            query: The query.
            remaining: Conditions that the caller compares with each result.
            needed: Results that may be hits, at most.

        Raises:
            FilterRefused: The caller compared all the results that a query can have, and needs more.
        """
        compared = 0
        for page in self._service.pages("query_vectors", indexName=self.index, **query.parameters()):
            if compared:
                _check_deadline("searching")
            results = page["vectors"][:needed]
            stored = self.get(query.without_distance(results))
            yield from (query.hit(result, stored.get(result["key"])) for result in results)
            compared += len(results)
        if remaining and compared == MAX_RESULTS:
            raise FilterRefused(
                f"S3 Vectors cannot filter by {_listed(remaining)}, and too few of its {MAX_RESULTS} best results "
                "match that. Add a condition that it can compare (equality, $prefix, or a range of numbers), lower k, "
                "or use Postgres."
            )

    def get(self, ids: Iterable[str]) -> dict[str, Record]:
        """The stored records with these ids, by id, with vectors."""
        vectors = self._get(ids, returnData=True, returnMetadata=True)
        return {record.id: record for record in map(from_vector, vectors)}

    def scan(self) -> Iterator[Record]:
        """All records, in no particular order."""
        return map(from_vector, self._list(returnData=True, returnMetadata=True))

    def delete(self, ids: Iterable[str]) -> int:
        """Delete records by id. Returns the number of deleted records."""
        self._require_writable(self.info.name, self.index)
        keys = [vector["key"] for vector in self._get(ids)]
        for start in range(0, len(keys), _DELETE):
            self._call("delete_vectors", keys=keys[start : start + _DELETE])
        return len(keys)

    def delete_where(self, where: Filter) -> int:
        """Delete the records that match a filter. Reads every record: S3 Vectors cannot list by a filter.

        Raises:
            DeadlineExceeded: Listing exceeded the time limit of the current call. Nothing is deleted.
        """
        return self.delete(self._matching_ids(where))

    def count(self, where: Filter | None = None) -> int:
        """Number of records, or of those that match a filter. Reads every record: S3 Vectors has no count."""
        conditions = parse_filter(where)
        if not conditions:
            return sum(1 for _ in self._list())
        return sum(matches(from_vector(vector), conditions) for vector in self._list(returnMetadata=True))

    def optimize(self, *, live: bool = True, only_missing: bool = False) -> None:
        """Does nothing: S3 Vectors maintains its index."""

    def _batches(self, records: Iterable[Record]) -> Iterator[dict[str, dict[str, Any]]]:
        """Batches of vectors by id, within the limits of a request. Of records with the same id, the last is used."""
        batch: dict[str, dict[str, Any]] = {}
        size = 0
        for record in records:
            vector = to_vector(record, self.info)
            # botocore escapes all characters that are not ASCII.
            text_bytes = len(json.dumps([record.id, vector["metadata"]]))
            needed = text_bytes + self.info.dimensions * _NUMBER_BYTES + _NAMES_BYTES
            if batch and (len(batch) == _PUT or size + needed > _MAX_REQUEST_BYTES):
                yield batch
                batch, size = {}, 0
            batch[record.id] = vector
            size += needed
        if batch:
            yield batch

    def _matching_ids(self, where: Filter) -> list[str]:
        conditions = parse_required_filter(where)

        def matching(vectors: Iterable[dict[str, Any]]) -> list[str]:
            return [record.id for record in map(from_vector, vectors) if matches(record, conditions)]

        listing = {"indexName": self.index, "maxResults": _LIST, "returnMetadata": True}
        page = self._service.call("list_vectors", **listing)
        if not page.get("nextToken"):
            return matching(page["vectors"])

        def read(segment: int) -> list[str]:
            request = {**listing, "segmentCount": _SEGMENTS, "segmentIndex": segment}
            return matching(_until_deadline(self._service.items("list_vectors", "vectors", **request)))

        # Each thread runs in a copy of the context, which contains the current call's deadline.
        with ThreadPoolExecutor(_SEGMENTS) as pool:
            futures = [pool.submit(copy_context().run, read, segment) for segment in range(_SEGMENTS)]
            return [key for future in futures for key in future.result()]

    def _get(self, ids: Iterable[str], **members: bool) -> Iterator[dict[str, Any]]:
        source = iter(dict.fromkeys(ids))
        while keys := list(islice(source, _GET)):
            yield from self._call("get_vectors", keys=keys, **members)["vectors"]

    def _list(self, **members: bool) -> Iterator[dict[str, Any]]:
        return self._service.items("list_vectors", "vectors", indexName=self.index, maxResults=_LIST, **members)

    def _call(self, operation: str, **parameters: Any) -> dict[str, Any]:
        return self._service.call(operation, indexName=self.index, **parameters)


def _until_deadline(vectors: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Vectors of a listing, until the current call's deadline."""
    for number, vector in enumerate(vectors):
        if number % _GET == 0:
            _check_deadline("listing")
        yield vector


def _check_deadline(activity: str) -> None:
    try:
        Call.current().check()
    except DeadlineExceeded:
        raise DeadlineExceeded(
            f"The time limit was reached while {activity} an S3 Vectors index. Increase it (for a function, "
            "timeout_s), or keep a collection of this size in Postgres."
        ) from None


def _listed(conditions: tuple[Condition, ...]) -> str:
    return ", ".join(f"{one.operator} of {one.name[:80]!a}" for one in conditions)
