"""Ingests documents into a collection: embeds new and changed chunks, and deletes those of earlier versions."""

import hashlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, BinaryIO, Self, cast

from embedstack.calls.call_context import Call
from embedstack.calls.clock import Clock, SystemClock
from embedstack.calls.threads import run_in_thread
from embedstack.documents.chunking import Chunker
from embedstack.documents.embedding import ChunkEmbedding, SeparateEmbedding
from embedstack.documents.late_chunking import LateEmbedding
from embedstack.documents.limits import ReadLimits
from embedstack.documents.metadata import require_names
from embedstack.documents.progress import Ingested, Progress
from embedstack.documents.readers.isolated import read_document
from embedstack.documents.versions import open_versions
from embedstack.stores import CollectionInfo

if TYPE_CHECKING:
    from collections.abc import Callable
    from io import BytesIO

    from embedstack.embedders import Embedder
    from embedstack.stores import Collection

__all__ = ["Ingested", "Ingestion", "collection_info"]

# Share of the time limit in which texts are sent. The rest is for the responses that are still in flight.
_SENDING_SHARE = 0.8
_DIGEST_DIGITS = 32
_IN_MEMORY_BYTES = 1024 * 1024


def collection_info(
    name: str, embedder: "Embedder", chunker: Chunker, *, late: bool = False, language: str | None = None
) -> CollectionInfo:
    """Describes a collection of documents. A store rejects opening the collection with different values.

    If the length of the model's vectors is unknown, it is learned with one request.
    """
    embedder.learn_dimensions()
    return CollectionInfo.for_model(
        name,
        embedder.info,
        prompt=chunker.prompt + chunker.prefix.template,
        query_prompt=embedder.prompts.get("query", ""),
        chunker=f"late-{chunker.name}" if late else chunker.name,
        language=language,
    )


class Ingestion:
    """Ingests documents into a collection. Thread-safe.

    Ingestion is idempotent: repeating a call, also after a failure, gives the same records and embeds no stored chunk
    again. Ingesting identical content concurrently gives the same result as ingesting it once. If the content may
    change during a call, as an S3 object's can, compare it after the call. If it has changed, ingest or remove the
    document again with ``reconcile_concurrent_versions=True``. The last call to do so leaves the current content.

    Attributes:
        collection: The collection.
        chunker: Cuts documents into chunks.
    """

    def __init__(
        self,
        embedder: "Embedder",
        collection: "Collection",
        chunker: Chunker,
        *,
        late: bool = False,
        limits: ReadLimits | None = None,
        clock: Clock | None = None,
        on_close: "Callable[[], None] | None" = None,
    ) -> None:
        """Create an ingestion; :func:`~embedstack.documents.load.load_ingestion` does so from settings.

        Args:
            embedder: The embedder. It needs no cache: the collection serves as one.
            collection: A collection that was opened with :func:`collection_info`.
            chunker: Cuts documents by the model's tokens.
            late: Use late chunking: each chunk's vector takes the text before it into account.
            limits: Limits for reading a document.
            clock: The clock that deadlines refer to.
            on_close: Called by :meth:`close`, to close the embedder and the store.

        Raises:
            CollectionMismatch: The collection's model, prompt or chunker differs.
            ConfigurationError: The chunker's options cannot be combined with late chunking.
        """
        expected = collection_info(collection.info.name, embedder, chunker, late=late)
        names = ("model_id", "dimensions", "revision", "prompt", "query_prompt", "chunker")
        collection.info.require(replace(collection.info, **{name: getattr(expected, name) for name in names}))
        self.collection = collection
        self.chunker = chunker
        self._embedding: ChunkEmbedding = LateEmbedding(embedder, chunker) if late else SeparateEmbedding(embedder)
        self._limits = limits or ReadLimits()
        self._clock = clock or SystemClock()
        self._on_close = on_close

    def ingest(
        self,
        source: str,
        content: BinaryIO,
        *,
        metadata: Mapping[str, Any] | None = None,
        notes: Sequence[str] = (),
        deadline: float | None = None,
        first_chunk: int = 0,
        reconcile_concurrent_versions: bool = False,
    ) -> Ingested:
        """Store a document, replacing earlier versions of it.

        Records are stored in batches in the document's order. Old records are deleted when all new ones are stored.

        Args:
            source: The document's key or path; the same for all its versions.
            content: The file, read from its current position. It is not closed.
            metadata: Additional metadata of each chunk, as JSON values by name.
            notes: Remarks on the document, which are stored and returned together with the reader's.
            deadline: Time limit, as a value of ``time.monotonic()``. Sending stops somewhat earlier.
            first_chunk: The ``next_chunk`` of an earlier call with the same content.
            reconcile_concurrent_versions: Whether records of several versions may be stored, because the content
                changed during an earlier call. S3 Vectors lists the whole index to find them.

        Returns:
            The counts. If the time limit was reached, ``next_chunk`` is not None: call again with it as
            ``first_chunk``.

        Raises:
            DocumentRefused: No text can be read from the document. Its earlier version stays stored.
            InputError: The metadata contains a reserved or invalid name.
            DeadlineExceeded: The time limit was reached before anything could be stored.
            EmbedStackError: The embedder or the store failed. Embedded chunks are stored.
        """
        require_names(metadata or {}, "The metadata")

        def work() -> Ingested:
            return self._ingest(
                source, content, metadata or {}, tuple(notes), deadline, first_chunk, reconcile_concurrent_versions
            )

        if deadline is None:
            return work()
        call = Call.current().until(deadline - self._clock.now(), self._clock)
        call.check()
        return call.context().run(work)

    def remove(self, source: str, *, reconcile_concurrent_versions: bool = False) -> int:
        """Delete all records of a document.

        Args:
            source: The document's key or path.
            reconcile_concurrent_versions: See :meth:`ingest`.

        Returns:
            The number of deleted records.

        Raises:
            StoreError: The store failed.
            DeadlineExceeded: Listing the index exceeded the time limit of the current call.
        """
        return open_versions(
            self.collection, source, "", reconcile_concurrent_versions=reconcile_concurrent_versions
        ).remove()

    async def aingest(
        self,
        source: str,
        content: BinaryIO,
        *,
        metadata: Mapping[str, Any] | None = None,
        notes: Sequence[str] = (),
        deadline: float | None = None,
        first_chunk: int = 0,
        reconcile_concurrent_versions: bool = False,
    ) -> Ingested:
        """Like :meth:`ingest`, without blocking the event loop. A cancelled call runs to its end in a thread."""
        return await run_in_thread(
            self.ingest,
            source,
            content,
            metadata=metadata,
            notes=notes,
            deadline=deadline,
            first_chunk=first_chunk,
            reconcile_concurrent_versions=reconcile_concurrent_versions,
        )

    async def aremove(self, source: str, *, reconcile_concurrent_versions: bool = False) -> int:
        """Like :meth:`remove`, without blocking the event loop."""
        return await run_in_thread(self.remove, source, reconcile_concurrent_versions=reconcile_concurrent_versions)

    async def aclose(self) -> None:
        """Like :meth:`close`, without blocking the event loop."""
        await run_in_thread(self.close)

    def close(self) -> None:
        """Close connections and stop threads."""
        if self._on_close is not None:
            self._on_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def _ingest(
        self,
        source: str,
        content: BinaryIO,
        metadata: Mapping[str, Any],
        notes: tuple[str, ...],
        deadline: float | None,
        first_chunk: int,
        reconcile_concurrent_versions: bool,
    ) -> Ingested:
        now = self._clock.now()
        stop = None if deadline is None else now + (deadline - now) * _SENDING_SHARE
        with _seekable(content, self._limits.max_bytes) as file:
            start = file.tell()
            document = read_document(file, source, self._limits)
            file.seek(start)
            content_digest = hashlib.file_digest(cast("BytesIO", file), "sha256").hexdigest()[:_DIGEST_DIGITS]
        progress = Progress(
            self.collection, self._embedding, source, content_digest, metadata, notes=(*notes, *document.notes),
            reconcile_concurrent_versions=reconcile_concurrent_versions,
            is_time_up=lambda: stop is not None and self._clock.now() >= stop,
        )  # fmt: skip
        return progress.run(self.chunker.chunks(document), first_chunk)


@contextmanager
def _seekable(content: BinaryIO, max_bytes: int) -> Iterator[BinaryIO]:
    """The content, or a temporary copy if it is not seekable. The copy exceeds the size limit by at most one byte."""
    if content.seekable():
        yield content
        return
    with tempfile.SpooledTemporaryFile(_IN_MEMORY_BYTES) as copy:
        left = max_bytes + 1
        while left > 0 and (block := content.read(min(left, _IN_MEMORY_BYTES))):
            copy.write(block)
            left -= len(block)
        copy.seek(0)
        yield copy  # type: ignore[misc]  # it has all methods that are used
