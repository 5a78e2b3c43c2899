"""What is stored of a document's other versions, and how it is deleted.

A document's first chunk has an id of its source alone, and goes with every batch: so where any record of a document is,
that one is. One look at it tells whether there may be something to delete.
"""

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, Self

from embedstack.documents.chunking import first_chunk_id
from embedstack.stores import Collection, Record
from embedstack.stores.records import UNFILTERED

__all__ = ["Journal", "Versions", "open_versions", "own_metadata"]

# Bytes of a first chunk's text and journal together. S3 Vectors takes 40 KB of metadata, 2 KB of which are others'.
_ROOM = 36 * 1024
_DONE, _BEGUN, _UNKNOWN = "done", "begun", "*"
_ID_BYTES = 16


class Versions(Protocol):
    """The versions of one document, while one of them is brought into a collection."""

    def begin(self, first: Record | None) -> None:
        """Take note of the first chunk that is stored, of whatever version."""

    def note(self, record_id: str) -> None:
        """Take note of a chunk of this version but the first, whether it is stored already or not."""

    def store(self, first: Record, records: Sequence[Record]) -> None:
        """Store records of this version with the first chunk that there is now."""

    def finish(self, first: Record, records: Sequence[Record]) -> int:
        """Store the last records, and delete those of other versions; how many there were of them."""

    def remove(self) -> int:
        """Delete the document; how many records it had."""


def open_versions(collection: Collection, source: str, document: str, *, again: bool) -> Versions:
    """The versions of a document.

    Args:
        collection: Where its records are.
        source: Its key or path.
        document: A hash of the content that is there now; empty where it is removed.
        again: Whether other versions may have been stored meanwhile, by whoever calls or by others.
    """
    if collection.filters_by_index:
        return _FilteredVersions(collection, source, document)
    return _JournaledVersions(collection, source, document, again=again)


def own_metadata(record: Record) -> dict[str, object]:
    """A record's metadata without the journal."""
    return {name: value for name, value in record.metadata.items() if name != UNFILTERED}


@dataclass(frozen=True, slots=True)
class Journal:
    """What a first chunk says of the document's other records, where the store cannot be asked for them.

    Attributes:
        is_done: Whether the first chunk's version is stored whole, and nothing of any other is.
        ids: Where it is done, those of its other records; else those of an earlier version, of which nothing is
            deleted yet. None where they are not known, or were too many to be kept.
    """

    is_done: bool
    ids: frozenset[str] | None

    @classmethod
    def read(cls, first: Record) -> Self:
        """What the first chunk says; nothing is known where it says nothing."""
        state, _, packed = str(first.metadata.get(UNFILTERED, f"{_BEGUN} {_UNKNOWN}")).partition(" ")
        return cls(state == _DONE, _unpack(first.id, packed))

    def write(self, first: Record) -> Record:
        """The first chunk with this in it."""
        packed = _UNKNOWN if self.ids is None else _pack(self.ids)
        state = _DONE if self.is_done else _BEGUN
        if len(first.text.encode()) + len(packed) > _ROOM:
            packed = _UNKNOWN
        return replace(first, metadata={**own_metadata(first), UNFILTERED: f"{state} {packed}"})


def _pack(ids: Iterable[str]) -> str:
    digests = (bytes.fromhex(record_id.rpartition("-")[2]) for record_id in sorted(ids))
    return base64.b64encode(b"".join(digests)).decode()


def _unpack(first_id: str, packed: str) -> frozenset[str] | None:
    if packed == _UNKNOWN:
        return None
    digests = base64.b64decode(packed)
    starts = range(0, len(digests), _ID_BYTES)
    return frozenset(f"{first_id}-{digests[start : start + _ID_BYTES].hex()}" for start in starts)


def _delete_others(collection: Collection, source: str, document: str) -> int:
    """Delete the records of a document's other versions, which the store looks for; how many there were."""
    # Not the first chunk, which every version writes under the same id: another invocation may just have written it
    # with records of its own, and without it nobody would look for those.
    return collection.delete_where({"source": source, "document": {"$ne": document}, "position": {"$gt": 0}})


def _batch(first: Record, records: Iterable[Record]) -> list[Record]:
    """The first chunk before the others, so that no other is stored without it."""
    return [first, *(record for record in records if record.id != first.id)]


class _FilteredVersions:
    """In a store that finds a document's records by an index."""

    def __init__(self, collection: Collection, source: str, document: str) -> None:
        self._collection = collection
        self._source = source
        self._document = document
        self._may_be_others = False

    def begin(self, first: Record | None) -> None:
        self._may_be_others = first is not None

    def note(self, record_id: str) -> None:
        """Nothing: the store is asked."""

    def store(self, first: Record, records: Sequence[Record]) -> None:
        self._collection.upsert(_batch(first, records))

    def finish(self, first: Record, records: Sequence[Record]) -> int:
        if records:
            self.store(first, records)
        return _delete_others(self._collection, self._source, self._document) if self._may_be_others else 0

    def remove(self) -> int:
        # The first chunk first: what another call stores from here on brings it along, so that where there are records
        # it is there, and whoever looks again finds them.
        first = self._collection.delete([first_chunk_id(self._source)])
        return first + self._collection.delete_where({"source": self._source, "position": {"$gt": 0}})


class _JournaledVersions:
    """In a store that would have to list every record: the first chunk keeps a journal, and is read again at the end.

    Two calls at once with different contents do not see each other's records, but one of them at the end finds a first
    chunk that is not its own. It then lists, and leaves a journal in which nothing is known. Where neither does, since
    both looked in the same moment, the one whose content is not there any more looks again, and lists.
    """

    def __init__(self, collection: Collection, source: str, document: str, *, again: bool) -> None:
        self._collection = collection
        self._source = source
        self._document = document
        self._again = again
        self._ids: set[str] = set()
        self._there: Record | None = None
        self._others: frozenset[str] | None = None
        self._is_done = False

    def begin(self, first: Record | None) -> None:
        self._there = first
        if self._again:
            return
        if first is None:
            self._others = frozenset()
            return
        journal = Journal.read(first)
        if self._is_own(first):
            self._is_done = journal.is_done
            self._others = frozenset() if journal.is_done else journal.ids
        elif journal.is_done:
            self._others = journal.ids

    def note(self, record_id: str) -> None:
        self._ids.add(record_id)

    def store(self, first: Record, records: Sequence[Record]) -> None:
        # An older version's first chunk goes along as it is until this one's has its vector.
        self._put(Journal(is_done=False, ids=self._others).write(first) if self._is_own(first) else first, records)

    def finish(self, first: Record, records: Sequence[Record]) -> int:
        if self._is_done and not records:
            return 0
        done = Journal(is_done=True, ids=frozenset(self._ids)).write(first)
        if self._others == frozenset() and self._is_alone():
            self._put(done, records)
            return 0
        if records:
            self.store(first, records)
        deleted = self._delete_others()
        if self._is_alone():
            self._put(done, ())
            return deleted
        deleted += self._list_others() if self._others is not None else 0
        self._put(Journal(is_done=False, ids=None).write(first), ())
        return deleted

    def remove(self) -> int:
        first_id = first_chunk_id(self._source)
        first = self._there = self._collection.get([first_id]).get(first_id)
        if first is None and not self._again:
            return 0
        journal = Journal.read(first) if first is not None and not self._again else None
        if journal is not None and journal.is_done and journal.ids is not None:
            deleted = self._collection.delete(journal.ids)
        else:
            deleted = self._collection.delete_where({"source": self._source, "position": {"$gt": 0}})
        # The first chunk last, since nobody looks for records without it; and not where somebody stores them again.
        return deleted + (self._collection.delete([first_id]) if self._is_alone() else 0)

    def _put(self, first: Record, records: Sequence[Record]) -> None:
        self._collection.upsert(_batch(first, records))
        self._there = first
        self._is_done = False

    def _is_own(self, first: Record) -> bool:
        return first.metadata.get("document") == self._document

    def _is_alone(self) -> bool:
        """Whether the first chunk is the one that this call found or wrote."""
        first_id = first_chunk_id(self._source)
        there = self._collection.get([first_id]).get(first_id)
        return (there and there.metadata) == (self._there and self._there.metadata)

    def _delete_others(self) -> int:
        if self._others is None:
            return self._list_others()
        left = self._others - self._ids
        return self._collection.delete(left) if left else 0

    def _list_others(self) -> int:
        return _delete_others(self._collection, self._source, self._document)
