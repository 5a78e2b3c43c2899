"""The ingestion of one version of a document."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

from embedstack.documents.chunking import Chunk, first_chunk_id
from embedstack.documents.limits import display_name
from embedstack.documents.versions import open_versions, own_metadata
from embedstack.errors import DeadlineExceeded, DocumentRefused, EmbedStackError, StoreError
from embedstack.stores import Record

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from embedstack.documents.embedding import ChunkEmbedding, Passage
    from embedstack.stores import Collection

    Vectors = NDArray[np.float32]

__all__ = ["Ingested", "Progress"]

# Passages in one lookup, and records in one write.
_LOOKUP_BATCH = 128
_STORE_BATCH = 128
# Limit for stored headings: S3 Vectors allows 2 KB of filterable metadata, and an S3 key may take half of that.
_MAX_HEADINGS_BYTES = 480
_MAX_HEADING_CHARACTERS = 120
# Limit for stored notes, for the same reason.
_MAX_NOTES_BYTES = 240


@dataclass(frozen=True, slots=True)
class Ingested:
    """The result of ingesting a document.

    Attributes:
        chunks: Number of chunks processed.
        embedded: Number of these chunks that were embedded.
        unchanged: Number of these chunks that were stored already.
        deleted: Number of deleted records of other versions.
        next_chunk: Position of the chunk to continue at; None if the document is complete.
        notes: Remarks for users, such as the number of pages without text. They may contain names of attached
            files, but no text of the document.
    """

    chunks: int
    embedded: int
    unchanged: int
    deleted: int = 0
    next_chunk: int | None = None
    notes: tuple[str, ...] = ()


class Progress:
    """Stores one version of a document, as far as the time limit allows."""

    def __init__(
        self,
        collection: "Collection",
        embedding: "ChunkEmbedding",
        source: str,
        content_digest: str,
        metadata: Mapping[str, Any],
        *,
        notes: tuple[str, ...] = (),
        reconcile_concurrent_versions: bool,
        is_time_up: Callable[[], bool],
    ) -> None:
        """Prepare the ingestion. No request is sent.

        Args:
            collection: The collection.
            embedding: Turns chunks into vectors.
            source: The document's key or path.
            content_digest: Digest of the document's content, which identifies the version.
            metadata: Additional metadata of each chunk.
            notes: Remarks on the document, which are stored with its first chunk.
            reconcile_concurrent_versions: Whether records of other versions may have been stored concurrently.
            is_time_up: Returns whether to stop sending texts.
        """
        self._collection = collection
        self._embedding = embedding
        self._source = source
        self._content_digest = content_digest
        self._metadata = metadata
        self._notes = notes
        self._is_time_up = is_time_up
        self._versions = open_versions(
            collection, source, content_digest, reconcile_concurrent_versions=reconcile_concurrent_versions
        )
        self._first: Record | None = None
        self._sent: deque[Passage] = deque()
        self._pending: list[Record] = []
        self._stopped_at: int | None = None
        self._embedded = self._unchanged = 0

    def run(self, chunks: Iterable[Chunk], first_chunk: int) -> Ingested:
        """Store the chunks from position ``first_chunk``; when all are stored, delete the chunks of other versions.

        Raises:
            DeadlineExceeded: The time limit was reached before anything was stored.
            DocumentRefused: The document has no chunks.
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
        remaining = (passage for passage in passages if passage.chunks[-1].position >= first_chunk)
        self._embed(remaining)
        if self._stopped_at is not None:
            self._store()
            if self._stopped_at <= first_chunk:
                raise DeadlineExceeded(
                    "The time limit was reached before any chunk of the document was stored. Increase it."
                )
            return self._ingested(next_chunk=self._stopped_at)
        if self._first is None or (self._embedded + self._unchanged == 0 and first_chunk == 0):
            raise DocumentRefused(
                f"{display_name(self._source)} has no text that the model has tokens for. Exclude it.", reason="empty"
            )
        return self._ingested(deleted=self._versions.finish(self._first, self._pending))

    def _noted(self, chunks: Iterable[Chunk]) -> Iterator[Chunk]:
        for chunk in chunks:
            if chunk.position > 0:
                self._versions.note(chunk.id)
            yield chunk

    def _is_stored(self, before: list[Chunk]) -> bool:
        """Whether these chunks of this version are stored, as a call with ``first_chunk`` assumes.

        Batches are stored in order, so checking the last chunk suffices. It is missing if ``first_chunk`` refers to
        other content, or if a later attempt restarted and stored fewer chunks.
        """
        if self._first is None or self._first.metadata.get("document") != self._content_digest:
            return False
        if not before:
            return True
        last = before[-1]
        record = self._collection.get([last.id]).get(last.id)
        place = record and (record.metadata.get("document"), record.metadata.get("position"))
        return place == (self._content_digest, last.position)

    def _ingested(self, *, deleted: int = 0, next_chunk: int | None = None) -> Ingested:
        return Ingested(
            self._embedded + self._unchanged, self._embedded, self._unchanged, deleted, next_chunk, self._notes
        )

    def _embed(self, passages: "Iterator[Passage]") -> None:
        try:
            for passage, vectors in self._embedding.embed(self._outstanding(passages)):
                self._sent.popleft()
                self._embedded += len(passage.chunks)
                for chunk, content_hash, vector in zip(passage.chunks, passage.hashes, vectors, strict=True):
                    self._add(self._record(chunk, content_hash, vector))
        except DeadlineExceeded:
            # Passages with a response are stored; the others are embedded by the next call.
            if not self._sent:
                raise
            self._stopped_at = self._sent[0].first
        except EmbedStackError:
            with suppress(StoreError):
                self._store()
            raise

    def _outstanding(self, passages: "Iterator[Passage]") -> "Iterator[Passage]":
        """Passages that have to be embedded. Records of the others are updated if their metadata changed."""
        while block := list(islice(passages, _LOOKUP_BATCH)):
            records = self._collection.get(chunk.id for passage in block for chunk in passage.chunks)
            for passage in block:
                if self._is_time_up():
                    self._stopped_at = passage.first
                    return
                stored = [
                    record
                    for chunk, content_hash in zip(passage.chunks, passage.hashes, strict=True)
                    if (record := records.get(chunk.id)) is not None and record.content_hash == content_hash
                ]
                if len(stored) < len(passage.chunks):
                    self._sent.append(passage)
                    yield passage
                    continue
                self._unchanged += len(stored)
                for chunk, record in zip(passage.chunks, stored, strict=True):
                    updated = self._record(chunk, record.content_hash, record.vector)
                    if updated.metadata != own_metadata(record):
                        self._add(updated)
                    elif chunk.position == 0:
                        self._first = record

    def _add(self, record: Record) -> None:
        if record.metadata["position"] == 0:
            self._first = record
        self._pending.append(record)
        if len(self._pending) >= _STORE_BATCH:
            self._store()

    def _store(self) -> None:
        if self._pending and self._first is not None:
            self._versions.store(self._first, self._pending)
        self._pending.clear()

    def _record(self, chunk: Chunk, content_hash: bytes, vector: "Vectors") -> Record:
        metadata: dict[str, Any] = {
            **self._metadata, "source": self._source, "position": chunk.position, "document": self._content_digest,
        }  # fmt: skip
        # Omitted if empty: S3 Vectors rejects null and empty lists.
        if headings := _stored_headings(chunk.headings):
            metadata["headings"] = headings
        if chunk.page is not None:
            metadata["page"] = chunk.page
        if chunk.row is not None:
            metadata["row"] = chunk.row
        if chunk.position == 0 and (notes := _stored_notes(self._notes)):
            metadata["notes"] = notes
        return Record(chunk.id, chunk.text, vector, metadata, content_hash=content_hash)


def _stored_headings(headings: tuple[str, ...]) -> list[str]:
    """The innermost headings that fit into the limit, each truncated."""
    stored: list[str] = []
    bytes_left = _MAX_HEADINGS_BYTES
    for heading in reversed(headings):
        truncated = heading[:_MAX_HEADING_CHARACTERS]
        bytes_left -= len(truncated.encode())
        if bytes_left < 0:
            break
        stored.insert(0, truncated)
    return stored


def _stored_notes(notes: tuple[str, ...]) -> list[str]:
    """The first notes that fit into the limit."""
    stored: list[str] = []
    bytes_left = _MAX_NOTES_BYTES
    for note in notes:
        bytes_left -= len(note.encode())
        if bytes_left < 0:
            break
        stored.append(note)
    return stored
