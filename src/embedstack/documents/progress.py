"""One document on its way into a collection."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

from embedstack.documents.chunking import Chunk, first_chunk_id
from embedstack.documents.limits import shown
from embedstack.documents.versions import open_versions, own_metadata
from embedstack.errors import DeadlineExceeded, DocumentRefused, EmbedStackError, StoreError
from embedstack.stores import Record

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from embedstack.documents.embedding import ChunkEmbedding, Passage
    from embedstack.stores import Collection

    Vectors = NDArray[np.float32]

__all__ = ["RESERVED", "Ingested", "Progress"]

#: Names of the metadata that each chunk is stored with; ``context`` is the record's own.
RESERVED = frozenset({"source", "position", "document", "headings", "page", "row", "context"})

# Passages that are looked up at once, and records that are stored at once.
_LOOKED_UP = 128
_STORED = 128
# Bytes of the headings that are stored: S3 Vectors takes 2 KB of metadata, and a key of S3 alone may have half of that.
_HEADINGS_BYTES = 480
_HEADING_CHARACTERS = 120


@dataclass(frozen=True, slots=True)
class Ingested:
    """What came of a document.

    Attributes:
        chunks: How many were looked at.
        embedded: How many of them got a new vector.
        unchanged: How many had theirs.
        deleted: Records of an earlier version that were deleted.
        next_chunk: Where to go on, if the time did not suffice; None where the document is done.
    """

    chunks: int
    embedded: int
    unchanged: int
    deleted: int = 0
    next_chunk: int | None = None


class Progress:
    """Brings one version of a document into a collection, as far as the time suffices."""

    def __init__(
        self,
        collection: "Collection",
        embedding: "ChunkEmbedding",
        source: str,
        document: str,
        metadata: Mapping[str, Any],
        *,
        again: bool,
        is_time_up: Callable[[], bool],
    ) -> None:
        """Prepare.

        Args:
            collection: Where records go.
            embedding: How chunks become vectors.
            source: The document's key or path.
            document: A hash of its content.
            metadata: What else to store with each chunk.
            again: Whether another content of it may have been stored meanwhile.
            is_time_up: Whether to send nothing more.
        """
        self._collection = collection
        self._embedding = embedding
        self._source = source
        self._document = document
        self._metadata = metadata
        self._is_time_up = is_time_up
        self._versions = open_versions(collection, source, document, again=again)
        self._first: Record | None = None
        self._sent: deque[Passage] = deque()
        self._fresh: list[Record] = []
        self._stopped_at: int | None = None
        self._embedded = self._unchanged = 0

    def run(self, chunks: Iterable[Chunk], first_chunk: int) -> Ingested:
        """Store the chunks from a position on; delete what an older version had, when all are stored.

        Raises:
            DeadlineExceeded: The time was up before anything was stored.
            DocumentRefused: There is no chunk.
            EmbedStackError: The embedder or the store failed.
        """
        first_id = first_chunk_id(self._source)
        self._first = self._collection.get([first_id]).get(first_id)
        self._versions.begin(self._first)
        noted = self._noted(chunks)
        before = list(islice(noted, first_chunk))
        if not self._is_stored(before):
            first_chunk = 0
        passages = self._embedding.passages(chain(before, noted))
        wanted = (passage for passage in passages if passage.chunks[-1].position >= first_chunk)
        self._bring(wanted)
        if self._stopped_at is not None:
            self._store()
            if self._stopped_at <= first_chunk:
                raise DeadlineExceeded("The time was up before any chunk of the document was stored: allow more.")
            return self._ingested(next_chunk=self._stopped_at)
        if self._first is None or (self._embedded + self._unchanged == 0 and first_chunk == 0):
            raise DocumentRefused(
                f"{shown(self._source)} has no text that the model has tokens for: leave it out.", reason="empty"
            )
        return self._ingested(deleted=self._versions.finish(self._first, self._fresh))

    def _noted(self, chunks: Iterable[Chunk]) -> Iterator[Chunk]:
        for chunk in chunks:
            if chunk.position > 0:
                self._versions.note(chunk.id)
            yield chunk

    def _is_stored(self, before: list[Chunk]) -> bool:
        """Whether these chunks of this version are stored, as whoever continues it says.

        Batches go in their order, so the last tells of the others. It is not there where the count was of another
        content, or where an attempt that had to begin anew did not get as far.
        """
        if self._first is None or self._first.metadata.get("document") != self._document:
            return False
        if not before:
            return True
        last = before[-1]
        record = self._collection.get([last.id]).get(last.id)
        place = record and (record.metadata.get("document"), record.metadata.get("position"))
        return place == (self._document, last.position)

    def _ingested(self, *, deleted: int = 0, next_chunk: int | None = None) -> Ingested:
        return Ingested(self._embedded + self._unchanged, self._embedded, self._unchanged, deleted, next_chunk)

    def _bring(self, passages: "Iterator[Passage]") -> None:
        try:
            for passage, vectors in self._embedding.embed(self._outstanding(passages)):
                self._sent.popleft()
                self._embedded += len(passage.chunks)
                for chunk, content_hash, vector in zip(passage.chunks, passage.hashes, vectors, strict=True):
                    self._keep(self._record(chunk, content_hash, vector))
        except DeadlineExceeded:
            # What has an answer is stored, what has none comes with the next call.
            if not self._sent:
                raise
            self._stopped_at = self._sent[0].first
        except EmbedStackError:
            with suppress(StoreError):
                self._store()
            raise

    def _outstanding(self, passages: "Iterator[Passage]") -> "Iterator[Passage]":
        """Those that have to be embedded; the others are put right where their place in the document has changed."""
        while block := list(islice(passages, _LOOKED_UP)):
            there = self._collection.get(chunk.id for passage in block for chunk in passage.chunks)
            for passage in block:
                if self._is_time_up():
                    self._stopped_at = passage.first
                    return
                known = [there.get(chunk.id) for chunk in passage.chunks]
                stored = [
                    record
                    for record, content_hash in zip(known, passage.hashes, strict=True)
                    if record is not None and record.content_hash == content_hash
                ]
                if len(stored) < len(passage.chunks):
                    self._sent.append(passage)
                    yield passage
                    continue
                self._unchanged += len(stored)
                for chunk, record in zip(passage.chunks, stored, strict=True):
                    moved = self._record(chunk, record.content_hash, record.vector)
                    if moved.metadata != own_metadata(record):
                        self._keep(moved)
                    elif chunk.position == 0:
                        self._first = record

    def _keep(self, record: Record) -> None:
        if record.metadata["position"] == 0:
            self._first = record
        self._fresh.append(record)
        if len(self._fresh) >= _STORED:
            self._store()

    def _store(self) -> None:
        if self._fresh and self._first is not None:
            self._versions.store(self._first, self._fresh)
        self._fresh.clear()

    def _record(self, chunk: Chunk, content_hash: bytes, vector: "Vectors") -> Record:
        metadata: dict[str, Any] = {
            **self._metadata, "source": self._source, "position": chunk.position, "document": self._document,
        }  # fmt: skip
        # Left out where there are none: S3 Vectors takes no null and no empty list.
        if headings := _kept_headings(chunk.headings):
            metadata["headings"] = headings
        if chunk.page is not None:
            metadata["page"] = chunk.page
        if chunk.row is not None:
            metadata["row"] = chunk.row
        return Record(chunk.id, chunk.text, vector, metadata, content_hash=content_hash)


def _kept_headings(headings: tuple[str, ...]) -> list[str]:
    """The innermost headings that there is room for, each cut where it is long."""
    kept: list[str] = []
    room = _HEADINGS_BYTES
    for heading in reversed(headings):
        short = heading[:_HEADING_CHARACTERS]
        room -= len(short.encode())
        if room < 0:
            break
        kept.insert(0, short)
    return kept
