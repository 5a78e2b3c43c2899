"""From a file to records in a store: what is there already is not embedded again, and what is gone goes."""

import hashlib
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, BinaryIO, Self, cast

from embedstack.calls.call_context import Call
from embedstack.calls.clock import Clock, SystemClock
from embedstack.documents.chunking import Chunker
from embedstack.documents.embedding import ChunkEmbedding, SeparateEmbedding
from embedstack.documents.late_chunking import LateEmbedding
from embedstack.documents.limits import ReadLimits
from embedstack.documents.progress import RESERVED, Ingested, Progress
from embedstack.documents.readers.isolated import read_document
from embedstack.documents.versions import open_versions
from embedstack.errors import InputError
from embedstack.stores import CollectionInfo

if TYPE_CHECKING:
    from collections.abc import Callable
    from io import BytesIO

    from embedstack.embedders import Embedder
    from embedstack.stores import Collection

__all__ = ["Ingested", "Ingestion", "collection_info"]

# Of the time that there is, the part in which texts are sent; the rest is for the answers of those under way.
_SENDING = 0.8
_DIGEST_DIGITS = 32
_IN_MEMORY_BYTES = 1024 * 1024


def collection_info(name: str, embedder: "Embedder", chunker: Chunker, *, late: bool = False) -> CollectionInfo:
    """What the vectors of a collection of documents are; opened for others, a store refuses it."""
    return CollectionInfo.for_model(
        name,
        embedder.info,
        prompt=chunker.prompt + chunker.prefix.template,
        chunker=f"late-{chunker.name}" if late else chunker.name,
    )


class Ingestion:
    """Puts documents into a collection. Safe to use from several threads.

    The same call again, after whatever ended the first one, gives the same records and embeds nothing a second time
    that was stored. Two calls at once with the same content give what one gives. Where the content may have changed
    meanwhile, as an object in S3 can, look at it again when the call is done, and ingest or remove what is there then,
    with ``again=True``: the last one to look is right.

    Attributes:
        collection: Where the records go.
        chunker: How documents are cut.
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
        """Put it together; :func:`~embedstack.documents.load.load_ingestion` does so from configuration.

        Args:
            embedder: Without a cache: the collection is one.
            collection: Opened as :func:`collection_info` says.
            chunker: Cuts by the model's tokens.
            late: Compute each chunk's vector with the text around it in view.
            limits: What reading a document may take.
            clock: What deadlines are measured by.
            on_close: Lets go of what this was put together from.

        Raises:
            CollectionMismatch: The collection holds other vectors.
            ConfigurationError: Late chunking is asked for with chunks that it cannot do.
        """
        wanted = collection_info(collection.info.name, embedder, chunker, late=late)
        facts = ("model_id", "dimensions", "revision", "prompt", "chunker")
        collection.info.require(replace(collection.info, **{name: getattr(wanted, name) for name in facts}))
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
        deadline: float | None = None,
        first_chunk: int = 0,
        again: bool = False,
    ) -> Ingested:
        """Put a document in the place of what was there of the same source.

        Records go in batches, in their order; the old ones are deleted when all new ones are there.

        Args:
            source: Its key or path; the same for every version of it.
            content: The file, from where it stands. Not closed.
            metadata: What else to store with each chunk; JSON values by name.
            deadline: The moment of ``time.monotonic()`` by which to return. Sending stops somewhat earlier.
            first_chunk: Where an earlier call stopped, of the same content.
            again: The content had changed when an earlier call was done, so records of several may be stored. S3
                Vectors is listed whole to find them.

        Returns:
            What was done. Its ``next_chunk`` is not None where the time did not suffice: call again with it.

        Raises:
            DocumentRefused: No text can be read from it. What was there of the source stays.
            InputError: The metadata has a name that is not free.
            DeadlineExceeded: The time was up before anything could be stored.
            EmbedStackError: The embedder or the store failed. What was embedded is stored.
        """
        taken = sorted(RESERVED & set(metadata or ()))
        if taken:
            raise InputError(f"The metadata of a document may not be named {', '.join(taken)}: ingestion sets these.")

        def work() -> Ingested:
            return self._ingest(source, content, metadata or {}, deadline, first_chunk, again)

        if deadline is None:
            return work()
        call = Call.current().until(deadline - self._clock.now(), self._clock)
        call.check()
        return call.context().run(work)

    def remove(self, source: str, *, again: bool = False) -> int:
        """Delete all records of a document; how many there were.

        Args:
            source: Its key or path.
            again: As :meth:`ingest`.

        Raises:
            StoreError: The store failed.
            DeadlineExceeded: The time of the current call did not suffice for a listing.
        """
        return open_versions(self.collection, source, "", again=again).remove()

    def close(self) -> None:
        """Let go of connections and threads."""
        if self._on_close is not None:
            self._on_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ingest(
        self,
        source: str,
        content: BinaryIO,
        metadata: Mapping[str, Any],
        deadline: float | None,
        first_chunk: int,
        again: bool,
    ) -> Ingested:
        now = self._clock.now()
        stop = None if deadline is None else now + (deadline - now) * _SENDING
        with _seekable(content, self._limits.max_bytes) as file:
            start = file.tell()
            document = read_document(file, source, self._limits)
            file.seek(start)
            digest = hashlib.file_digest(cast("BytesIO", file), "sha256").hexdigest()[:_DIGEST_DIGITS]
        progress = Progress(
            self.collection, self._embedding, source, digest, metadata,
            again=again, is_time_up=lambda: stop is not None and self._clock.now() >= stop,
        )  # fmt: skip
        return progress.run(self.chunker.chunks(document), first_chunk)


@contextmanager
def _seekable(content: BinaryIO, most: int) -> Iterator[BinaryIO]:
    """The content, or a copy of it on disk where it can be read only once; not much more than may be read anyway."""
    if content.seekable():
        yield content
        return
    with tempfile.SpooledTemporaryFile(_IN_MEMORY_BYTES) as copy:
        left = most + 1
        while left > 0 and (piece := content.read(min(left, _IN_MEMORY_BYTES))):
            copy.write(piece)
            left -= len(piece)
        copy.seek(0)
        yield copy  # type: ignore[misc]  # it has all that is read from
