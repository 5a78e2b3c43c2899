"""What a vector store is, whichever it is."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Literal, Protocol, Self

from embedstack.stores.collection_info import CollectionInfo
from embedstack.stores.filters import Filter
from embedstack.stores.records import Hit, Record, Stored

if TYPE_CHECKING:
    from embedstack.stores.records import Vector

__all__ = ["Collection", "Mode", "VectorStore"]

Mode = Literal["approximate", "exact", "hybrid"]


class Collection(Protocol):
    """Records with vectors of one model. Safe to use from several threads.

    Every call raises :class:`~embedstack.errors.StoreUnavailable` when the store does not answer in time.
    """

    @property
    def info(self) -> CollectionInfo:
        """What its vectors are."""

    @property
    def filters_by_index(self) -> bool:
        """Whether ``count`` and ``delete_where`` ask an index; where not, they look at every record."""

    def upsert(self, records: Iterable[Record]) -> Stored:
        """Put records, each by its id; what is there with the same content is left alone.

        Records go in batches, each whole or not at all. The same call again after a failure stores nothing twice. Where
        an id comes twice, the later record holds.

        Raises:
            RecordRefused, DimensionMismatch, NonFiniteVector: A record cannot be held; nothing of its batch is stored.
            CollectionReplaced: Another collection has taken the name.
        """

    def replace(self, where: Filter, records: Iterable[Record]) -> Stored:
        """Put records, and delete what the filter finds beside them: the new chunks of a document for its old ones."""

    def unchanged(self, hashes: Mapping[str, bytes]) -> set[str]:
        """Which of these are stored with that very content hash already, and need no new vector.

        Args:
            hashes: Content hashes by record id.
        """

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
        """The records nearest to a vector, the nearest first.

        Args:
            vector: Of the query, (dimensions,), by the collection's model, and its context where there is one.
            k: How many, at most; fewer come only if there are fewer.
            filter: Conditions that hits fulfil; see :mod:`embedstack.stores.filters`.
            threshold: The least similarity.
            mode: ``approximate`` asks the index, ``exact`` compares with every record, ``hybrid`` fuses the ranking by
                vector with those by full text and by sparse vector.
            text: The query's words, for ``hybrid``.
            sparse: The query's sparse vector, for ``hybrid``.

        Raises:
            FilterRefused: The filter is none.
            DimensionMismatch, NonFiniteVector, RecordRefused: The vector is none of this collection's.
        """

    def get(self, ids: Iterable[str]) -> dict[str, Record]:
        """The records that are there, by id, with their vectors."""

    def scan(self) -> Iterator[Record]:
        """All records, in the order of their ids where the store has one."""

    def delete(self, ids: Iterable[str]) -> int:
        """Delete records; how many were there."""

    def delete_where(self, where: Filter) -> int:
        """Delete what a filter finds, which must not be empty; how many there were."""

    def count(self, where: Filter | None = None) -> int:
        """How many records there are, or how many a filter finds."""

    def optimize(self, *, live: bool = True, only_missing: bool = False) -> None:
        """Make searches fast, after a bulk load: build what is not built yet, where the store has something to build.

        Args:
            live: Let others write meanwhile, which takes longer.
            only_missing: Return at once where all is built, or where somebody else is at it; for whoever opens a
                collection that others may have left without.
        """


class VectorStore(Protocol):
    """Holds collections."""

    def open(self, info: CollectionInfo, *, create: bool = True) -> Collection:
        """Open a collection, and make it where there is none.

        Raises:
            CollectionMismatch: There is one with vectors of another model, dimension, context, ….
            CollectionNotFound: There is none, and ``create`` is off.
        """

    def describe(self, name: str) -> CollectionInfo:
        """What a collection's vectors are.

        Raises:
            CollectionNotFound: There is none of this name.
        """

    def collections(self) -> list[CollectionInfo]:
        """All collections, by name."""

    def open_replacement(self, info: CollectionInfo) -> Collection:
        """Open what is to take a collection's place, beside it; made where there is none, found again after a crash.

        Raises:
            CollectionNotFound: There is no collection of that name.
            CollectionMismatch: A replacement with other vectors was begun: finish or drop it first.
        """

    def outstanding(self, replacement: Collection) -> list[str]:
        """Ids of the records that differ between a collection and its replacement.

        They differ if one of them has none, or in content hash or metadata.
        """

    def switch(self, replacement: Collection, *, complete: bool = True) -> None:
        """Let a replacement take its collection's place, in one step.

        Who opened the collection before goes on reading what it was, and cannot write to it any more.

        Args:
            replacement: From :meth:`open_replacement`.
            complete: Refuse while records are outstanding.

        Raises:
            ReplacementIncomplete: Some are.
        """

    def drop(self, name: str) -> None:
        """Delete a collection with all that it holds; nothing happens where there is none."""

    def drop_replaced(self, name: str) -> int:
        """Delete what no collection's name points to any more, a replacement that was begun included; how many."""

    def close(self) -> None:
        """Let go of connections."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...
