"""The interface of vector stores and collections, and the checks that all stores share."""

from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal, Protocol, Self, TypeVar, get_args

from embedstack.calls.threads import run_in_thread
from embedstack.errors import CollectionReplaced, ConfigurationError, FilterRefused, ReplacementIncomplete, StoreError
from embedstack.stores.collection_info import CollectionInfo
from embedstack.stores.filters import Condition, Filter, is_number, parse_filter
from embedstack.stores.records import Hit, Record, Stored

if TYPE_CHECKING:
    from embedstack.stores.records import Vector

__all__ = [
    "Collection",
    "Mode",
    "VectorStore",
    "check_hit_count",
    "check_search",
    "parse_required_filter",
    "replaced_error",
    "require_complete",
    "require_own_collection",
]

#: See :meth:`Collection.search`.
Mode = Literal["approximate", "exact", "hybrid", "keyword"]

#: Maximum number of hits, a limit of S3 Vectors.
_MAX_HITS = 10_000

# Records of an async scan that one thread reads.
_SCAN_BATCH = 500

_Own = TypeVar("_Own")


class Collection(Protocol):
    """Records with vectors of one model. Thread-safe.

    Each method has an async twin, which runs it in a thread: ``asearch`` for ``search``.

    Every call raises :class:`~embedstack.errors.StoreUnavailable` when the store does not respond in time.
    """

    @property
    def info(self) -> CollectionInfo:
        """The collection's model, dimensions and other properties of its vectors."""

    @property
    def filters_by_index(self) -> bool:
        """Whether ``count`` and ``delete_where`` use an index. Otherwise they read every record."""

    def upsert(self, records: Iterable[Record]) -> Stored:
        """Insert or update records by id. Records with unchanged content are not written.

        Records are written in atomic batches. The call is idempotent and can be repeated after a failure. If an id
        occurs twice, the later record is stored.

        Raises:
            RecordRefused, DimensionMismatch, NonFiniteVector: A record is invalid. Nothing of its batch is stored.
            CollectionReplaced: The collection was switched to a replacement.
        """

    def replace(self, where: Filter, records: Iterable[Record]) -> Stored:
        """Insert or update records, and delete all others that match the filter, such as a document's old chunks."""

    def unchanged(self, hashes: Mapping[str, bytes]) -> set[str]:
        """Ids of the records that are stored with the same content hash, and need no new vector.

        Args:
            hashes: Content hashes by record id.
        """

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
        """The records nearest to a vector, or with the words of a text, best first.

        Args:
            vector: The query's vector, (dimensions,), from the collection's model and, if set, context. ``keyword``
                needs none: the hits then have no similarity.
            k: Maximum number of hits, 1 to 10,000. Fewer are returned only if fewer records match.
            filter: Conditions that hits must match; see :mod:`embedstack.stores.filters`.
            threshold: Minimum similarity; needs a vector.
            mode: ``approximate`` uses the index of vectors, ``exact`` compares every record, ``keyword`` ranks the
                records with words of the text by BM25, ``hybrid`` combines the scores by vector, keywords and sparse
                vector.
            text: The query's text, for ``hybrid`` and ``keyword``.
            sparse: The query's sparse vector, for ``hybrid``.

        Raises:
            FilterRefused: The filter, ``k``, ``threshold`` or ``text`` is invalid.
            ConfigurationError: The mode does not suit the other arguments, or the store does not support it.
            DimensionMismatch, NonFiniteVector, RecordRefused: The vector does not fit the collection.
        """

    def get(self, ids: Iterable[str]) -> dict[str, Record]:
        """The stored records with these ids, by id, with vectors. Missing ids are omitted."""

    def scan(self) -> Iterator[Record]:
        """All records, ordered by id if the store supports it."""

    def delete(self, ids: Iterable[str]) -> int:
        """Delete records by id. Returns the number of deleted records."""

    def delete_where(self, where: Filter) -> int:
        """Delete the records that match a non-empty filter. Returns the number of deleted records."""

    def count(self, where: Filter | None = None) -> int:
        """Number of records, or of those that match a filter."""

    def optimize(self, *, live: bool = True, only_missing: bool = False) -> None:
        """Build missing indexes, for example after a bulk load. Does nothing in stores without such indexes.

        Args:
            live: Allow concurrent writes during the build, which then takes longer.
            only_missing: Return immediately if all indexes exist or another process is building them.
        """

    async def aupsert(self, records: Iterable[Record]) -> Stored:
        """Like :meth:`upsert`, without blocking the event loop."""
        return await run_in_thread(self.upsert, records)

    async def areplace(self, where: Filter, records: Iterable[Record]) -> Stored:
        """Like :meth:`replace`, without blocking the event loop."""
        return await run_in_thread(self.replace, where, records)

    async def aunchanged(self, hashes: Mapping[str, bytes]) -> set[str]:
        """Like :meth:`unchanged`, without blocking the event loop."""
        return await run_in_thread(self.unchanged, hashes)

    async def asearch(
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
        """Like :meth:`search`, without blocking the event loop."""
        return await run_in_thread(
            self.search, vector, k, filter=filter, threshold=threshold, mode=mode, text=text, sparse=sparse
        )

    async def aget(self, ids: Iterable[str]) -> dict[str, Record]:
        """Like :meth:`get`, without blocking the event loop."""
        return await run_in_thread(self.get, ids)

    async def ascan(self) -> AsyncGenerator[Record]:
        """Like :meth:`scan`, without blocking the event loop. Close it to stop early (``contextlib.aclosing``)."""
        records = self.scan()
        # A thread for each batch: one for each record would take longer than the query.
        while batch := await run_in_thread(list, islice(records, _SCAN_BATCH)):
            for record in batch:
                yield record

    async def adelete(self, ids: Iterable[str]) -> int:
        """Like :meth:`delete`, without blocking the event loop."""
        return await run_in_thread(self.delete, ids)

    async def adelete_where(self, where: Filter) -> int:
        """Like :meth:`delete_where`, without blocking the event loop."""
        return await run_in_thread(self.delete_where, where)

    async def acount(self, where: Filter | None = None) -> int:
        """Like :meth:`count`, without blocking the event loop."""
        return await run_in_thread(self.count, where)

    async def aoptimize(self, *, live: bool = True, only_missing: bool = False) -> None:
        """Like :meth:`optimize`, without blocking the event loop."""
        await run_in_thread(self.optimize, live=live, only_missing=only_missing)


class VectorStore(Protocol):
    """A store of collections. Each method has an async twin, which runs it in a thread: ``aopen`` for ``open``."""

    def open(self, info: CollectionInfo, *, create: bool = True) -> Collection:
        """Open a collection; create it if it does not exist.

        Raises:
            CollectionMismatch: The collection exists with another model, dimension, context, ….
            CollectionNotFound: The collection does not exist, and ``create`` is False.
        """

    def describe(self, name: str) -> CollectionInfo:
        """Describe a collection.

        Raises:
            CollectionNotFound: The collection does not exist.
        """

    def collections(self) -> list[CollectionInfo]:
        """All collections, by name."""

    def open_replacement(self, info: CollectionInfo) -> Collection:
        """Open a collection's replacement, in addition to the collection; create it if it does not exist.

        Raises:
            CollectionNotFound: The collection does not exist.
            CollectionMismatch: A replacement with another model exists. Switch to it or drop it first.
        """

    def outstanding(self, replacement: Collection) -> list[str]:
        """Ids of the records that differ between a collection and its replacement.

        Records differ if one is missing, or if content hash or metadata differ.
        """

    def switch(self, replacement: Collection, *, complete: bool = True) -> None:
        """Switch the collection's name to its replacement, atomically.

        Collections that were opened before keep reading the old records and can no longer write.

        Args:
            replacement: From :meth:`open_replacement`.
            complete: Whether to refuse while records are outstanding.

        Raises:
            ReplacementIncomplete: Records are outstanding.
        """

    def drop(self, name: str) -> None:
        """Delete a collection with all its records. Does nothing if it does not exist."""

    def drop_replaced(self, name: str) -> int:
        """Delete a collection's old versions and unfinished replacement. Returns their number."""

    def close(self) -> None:
        """Close the connections."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    async def aopen(self, info: CollectionInfo, *, create: bool = True) -> Collection:
        """Like :meth:`open`, without blocking the event loop."""
        return await run_in_thread(self.open, info, create=create)

    async def adescribe(self, name: str) -> CollectionInfo:
        """Like :meth:`describe`, without blocking the event loop."""
        return await run_in_thread(self.describe, name)

    async def acollections(self) -> list[CollectionInfo]:
        """Like :meth:`collections`, without blocking the event loop."""
        return await run_in_thread(self.collections)

    async def aopen_replacement(self, info: CollectionInfo) -> Collection:
        """Like :meth:`open_replacement`, without blocking the event loop."""
        return await run_in_thread(self.open_replacement, info)

    async def aoutstanding(self, replacement: Collection) -> list[str]:
        """Like :meth:`outstanding`, without blocking the event loop."""
        return await run_in_thread(self.outstanding, replacement)

    async def aswitch(self, replacement: Collection, *, complete: bool = True) -> None:
        """Like :meth:`switch`, without blocking the event loop."""
        await run_in_thread(self.switch, replacement, complete=complete)

    async def adrop(self, name: str) -> None:
        """Like :meth:`drop`, without blocking the event loop."""
        await run_in_thread(self.drop, name)

    async def adrop_replaced(self, name: str) -> int:
        """Like :meth:`drop_replaced`, without blocking the event loop."""
        return await run_in_thread(self.drop_replaced, name)

    async def aclose(self) -> None:
        """Like :meth:`close`, without blocking the event loop."""
        await run_in_thread(self.close)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


def check_search(mode: Mode, k: int, *, vector: Any, text: str | None, sparse: Any, threshold: float | None) -> None:
    """Check the arguments of a search, other than its filter and the values of its vectors.

    Args:
        mode: See :meth:`Collection.search`, as of the others.
        k: Maximum number of hits.
        vector: The vector, or None.
        text: The text, or None.
        sparse: The sparse vector, or None.
        threshold: Minimum similarity, or None.

    Raises:
        ConfigurationError: The mode is unknown, or does not suit the other arguments.
        FilterRefused: ``k``, ``threshold`` or ``text`` is invalid.
    """
    if mode not in get_args(Mode):
        raise ConfigurationError(f"Unknown mode {mode!r}. Supported: {', '.join(get_args(Mode))}.")
    check_hit_count(k)
    if threshold is not None and not is_number(threshold):
        raise FilterRefused(
            "The threshold must be a finite number. Similarities are between -1 and 1, and negative distances in a "
            "euclidean collection."
        )
    if mode == "keyword":
        _check_keyword_search(vector, text, sparse, threshold)
    elif vector is None:
        raise ConfigurationError(f"A search with mode={mode!r} needs a vector. Only mode='keyword' needs none.")
    elif mode == "hybrid" and text is None and sparse is None:
        raise ConfigurationError("A hybrid search needs text or sparse. Pass one, or use another mode.")
    elif mode != "hybrid" and (text is not None or sparse is not None):
        raise ConfigurationError(f"A search with mode={mode!r} accepts neither text nor sparse. Omit them.")
    if text is not None:
        _check_text(text)


def check_hit_count(k: int) -> None:
    """Check the maximum number of hits.

    Raises:
        FilterRefused: It is not an integer from 1 to 10,000.
    """
    if isinstance(k, bool) or not isinstance(k, int) or not 1 <= k <= _MAX_HITS:
        raise FilterRefused(f"k, the number of hits, must be an integer from 1 to {_MAX_HITS}.")


def _check_keyword_search(vector: Any, text: str | None, sparse: Any, threshold: float | None) -> None:
    if text is None or sparse is not None:
        raise ConfigurationError("A keyword search needs text, and no sparse vector. Pass text, and omit sparse.")
    if threshold is not None and vector is None:
        raise ConfigurationError(
            "The threshold is a minimum similarity. Pass the query's vector, or omit the threshold."
        )


def _check_text(text: str) -> None:
    if not isinstance(text, str):
        raise FilterRefused(f"The query's text is a {type(text).__name__}. Pass a string.")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise FilterRefused("The query's text is not valid Unicode: it contains a lone surrogate. Remove it.") from None


def parse_required_filter(where: Filter) -> tuple[Condition, ...]:
    """Parse the filter of an operation that deletes records.

    Raises:
        FilterRefused: The filter is invalid or has no conditions.
    """
    conditions = parse_filter(where)
    if not conditions:
        raise FilterRefused("An empty filter would delete every record. Drop the collection instead.")
    return conditions


def require_own_collection(collection: Collection, kind: type[_Own]) -> _Own:
    """Check that a replacement was opened by this kind of store.

    Raises:
        StoreError: It was not.
    """
    if not isinstance(collection, kind):
        raise StoreError("The replacement was opened by another kind of store. Open it with this store.")
    return collection


def require_complete(name: str, outstanding: int) -> None:
    """Check that a collection's replacement is complete.

    Raises:
        ReplacementIncomplete: Records are outstanding.
    """
    if outstanding:
        raise ReplacementIncomplete(
            f"{outstanding} records of the collection {name} differ in its replacement or are missing. Copy them, then "
            "switch."
        )


def replaced_error(name: str) -> CollectionReplaced:
    """The error for writing to a collection after a switch."""
    return CollectionReplaced(
        f"The collection {name} was switched to a replacement since it was opened. Open it again, with its "
        "current model."
    )
