"""Finds and deletes the stored chunks of a document's other versions.

The id of a document's first chunk depends on its source alone, and the first chunk is stored with every batch. If any
record of a document is stored, the first chunk is. Reading it tells whether there may be records to delete.
"""

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, Self

from embedstack.documents.chunking import first_chunk_id
from embedstack.stores import Collection, Record
from embedstack.stores.records import UNFILTERED

__all__ = ["Journal", "Versions", "open_versions", "own_metadata"]

# Limit for a first chunk's text and journal together. S3 Vectors allows 40 KB of metadata, of which up to 2 KB are
# filterable.
_MAX_TEXT_AND_JOURNAL_BYTES = 36 * 1024
_DONE, _BEGUN, _UNKNOWN = "done", "begun", "*"
_ID_BYTES = 16


class Versions(Protocol):
    """Stores one version of a document and deletes the others."""

    def begin(self, first: Record | None) -> None:
        """Set the first chunk that is stored, of any version; None if there is none."""

    def note(self, record_id: str) -> None:
        """Add the id of a chunk of this version, other than the first, whether it is stored or not."""

    def store(self, first: Record, records: Sequence[Record]) -> None:
        """Store records of this version, together with the current first chunk."""

    def finish(self, first: Record, records: Sequence[Record]) -> int:
        """Store the last records, then delete other versions' records. Returns the number of deleted records."""

    def remove(self) -> int:
        """Delete the document. Returns the number of deleted records."""


def open_versions(
    collection: Collection, source: str, content_digest: str, *, reconcile_concurrent_versions: bool
) -> Versions:
    """The versions of a document.

    Args:
        collection: The collection.
        source: The document's key or path.
        content_digest: Digest of the current content; empty to remove the document.
        reconcile_concurrent_versions: Whether other versions may have been stored concurrently.
    """
    if collection.filters_by_index:
        return _FilteredVersions(collection, source, content_digest)
    return _JournaledVersions(
        collection, source, content_digest, reconcile_concurrent_versions=reconcile_concurrent_versions
    )


def own_metadata(record: Record) -> dict[str, object]:
    """A record's metadata without the journal."""
    return {name: value for name, value in record.metadata.items() if name != UNFILTERED}


@dataclass(frozen=True, slots=True)
class Journal:
    """The ids of a document's other records, kept in its first chunk by stores that cannot filter by an index.

    Attributes:
        is_done: Whether the first chunk's version is stored completely and no other version is stored.
        ids: If done, the ids of the version's other records; otherwise those of an earlier version, none of which is
            deleted yet. None if unknown, or if there are too many to store.
    """

    is_done: bool
    ids: frozenset[str] | None

    @classmethod
    def read(cls, first: Record) -> Self:
        """The journal of a first chunk; an unknown one if it has none."""
        state, _, packed = str(first.metadata.get(UNFILTERED, f"{_BEGUN} {_UNKNOWN}")).partition(" ")
        return cls(state == _DONE, _unpack(first.id, packed))

    def write(self, first: Record) -> Record:
        """The first chunk with this journal in its metadata."""
        packed = _UNKNOWN if self.ids is None else _pack(self.ids)
        state = _DONE if self.is_done else _BEGUN
        if len(first.text.encode()) + len(packed) > _MAX_TEXT_AND_JOURNAL_BYTES:
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


def _delete_others(collection: Collection, source: str, content_digest: str) -> int:
    """Delete the records of a document's other versions by a filter. Returns their number."""
    # Not the first chunk, which all versions write under the same id: another invocation may have just written it with
    # its own records, and those could not be found without it.
    return collection.delete_where({"source": source, "document": {"$ne": content_digest}, "position": {"$gt": 0}})


def _batch(first: Record, records: Iterable[Record]) -> list[Record]:
    """The first chunk, then the other records, so that none is stored without the first."""
    return [first, *(record for record in records if record.id != first.id)]


class _FilteredVersions:
    """For stores that find a document's records by an index."""

    def __init__(self, collection: Collection, source: str, content_digest: str) -> None:
        self._collection = collection
        self._source = source
        self._content_digest = content_digest
        self._may_be_others = False

    def begin(self, first: Record | None) -> None:
        self._may_be_others = first is not None

    def note(self, record_id: str) -> None:
        """Does nothing: the store finds records by a filter."""

    def store(self, first: Record, records: Sequence[Record]) -> None:
        self._collection.upsert(_batch(first, records))

    def finish(self, first: Record, records: Sequence[Record]) -> int:
        if records:
            self.store(first, records)
        return _delete_others(self._collection, self._source, self._content_digest) if self._may_be_others else 0

    def remove(self) -> int:
        # The first chunk is deleted first: a concurrent call stores it again with its records, so that they can be
        # found.
        first = self._collection.delete([first_chunk_id(self._source)])
        return first + self._collection.delete_where({"source": self._source, "position": {"$gt": 0}})


class _JournaledVersions:
    """For stores without such an index: the first chunk keeps a journal, and is read again at the end.

    Concurrent calls with different contents do not see each other's records. One of them finds at the end that the
    first chunk is not its own; it then lists the whole collection and stores an unknown journal. If both check at the
    same moment, neither notices; the caller whose content is outdated then calls again with
    ``reconcile_concurrent_versions``, which lists the collection.
    """

    def __init__(
        self, collection: Collection, source: str, content_digest: str, *, reconcile_concurrent_versions: bool
    ) -> None:
        self._collection = collection
        self._source = source
        self._content_digest = content_digest
        self._reconcile = reconcile_concurrent_versions
        self._ids: set[str] = set()
        self._stored_first: Record | None = None
        self._other_ids: frozenset[str] | None = None
        self._is_done = False

    def begin(self, first: Record | None) -> None:
        self._stored_first = first
        if self._reconcile:
            return
        if first is None:
            self._other_ids = frozenset()
            return
        journal = Journal.read(first)
        if self._is_own(first):
            self._is_done = journal.is_done
            self._other_ids = frozenset() if journal.is_done else journal.ids
        elif journal.is_done:
            self._other_ids = journal.ids

    def note(self, record_id: str) -> None:
        self._ids.add(record_id)

    def store(self, first: Record, records: Sequence[Record]) -> None:
        # Until this version's first chunk is embedded, the one of the earlier version is stored unchanged.
        self._put(Journal(is_done=False, ids=self._other_ids).write(first) if self._is_own(first) else first, records)

    def finish(self, first: Record, records: Sequence[Record]) -> int:
        if self._is_done and not records:
            return 0
        done = Journal(is_done=True, ids=frozenset(self._ids)).write(first)
        if self._other_ids == frozenset() and self._is_alone():
            self._put(done, records)
            return 0
        if records:
            self.store(first, records)
        deleted = self._delete_others()
        if self._is_alone():
            self._put(done, ())
            return deleted
        deleted += self._list_others() if self._other_ids is not None else 0
        self._put(Journal(is_done=False, ids=None).write(first), ())
        return deleted

    def remove(self) -> int:
        first_id = first_chunk_id(self._source)
        first = self._stored_first = self._collection.get([first_id]).get(first_id)
        if first is None and not self._reconcile:
            return 0
        journal = Journal.read(first) if first is not None and not self._reconcile else None
        if journal is not None and journal.is_done and journal.ids is not None:
            deleted = self._collection.delete(journal.ids)
        else:
            deleted = self._collection.delete_where({"source": self._source, "position": {"$gt": 0}})
        # The first chunk is deleted last, because records cannot be found without it; and not if another call has
        # stored the document again.
        return deleted + (self._collection.delete([first_id]) if self._is_alone() else 0)

    def _put(self, first: Record, records: Sequence[Record]) -> None:
        self._collection.upsert(_batch(first, records))
        self._stored_first = first
        self._is_done = False

    def _is_own(self, first: Record) -> bool:
        return first.metadata.get("document") == self._content_digest

    def _is_alone(self) -> bool:
        """Whether no concurrent call has written the first chunk since this call read or wrote it."""
        first_id = first_chunk_id(self._source)
        stored = self._collection.get([first_id]).get(first_id)
        return (stored and stored.metadata) == (self._stored_first and self._stored_first.metadata)

    def _delete_others(self) -> int:
        if self._other_ids is None:
            return self._list_others()
        outdated = self._other_ids - self._ids
        return self._collection.delete(outdated) if outdated else 0

    def _list_others(self) -> int:
        return _delete_others(self._collection, self._source, self._content_digest)
