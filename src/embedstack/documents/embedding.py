"""Embeds chunks separately. See :mod:`embedstack.documents.late_chunking` for the alternative."""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from embedstack.documents.chunking import Chunk
from embedstack.stores import hash_text

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from embedstack.embedders import Embedder

    Vectors = NDArray[np.float32]

__all__ = ["ChunkEmbedding", "Passage", "SeparateEmbedding"]


@dataclass(frozen=True, slots=True)
class Passage:
    """A text that is embedded in one piece, and the chunks that get vectors from it.

    Attributes:
        chunks: Consecutive chunks, at least one.
        text: The text to embed, without the model's prompt.
        hashes: For each chunk, 32 bytes that change when its vector changes, within a collection with one model, prompt
            and chunker.
        spans: Start and end of each chunk in the text, in code points.
    """

    chunks: tuple[Chunk, ...]
    text: str
    hashes: tuple[bytes, ...]
    spans: tuple[tuple[int, int], ...] = ()

    @property
    def first(self) -> int:
        """Position of the first chunk."""
        return self.chunks[0].position


class ChunkEmbedding(Protocol):
    """A method of embedding chunks."""

    def passages(self, chunks: Iterable[Chunk]) -> Iterator[Passage]:
        """Group a document's chunks into passages, in order."""

    def embed(self, passages: Iterator[Passage]) -> "Iterator[tuple[Passage, Vectors]]":
        """Embed passages. They are read only as far ahead as keeps the backend busy.

        Yields:
            Each passage in order, with float32 (chunks, dimensions).

        Raises:
            EmbedStackError: See ``Embedder.embed_stream``.
        """


class SeparateEmbedding:
    """Embeds each chunk separately, with its prefix."""

    def __init__(self, embedder: "Embedder") -> None:
        self._embedder = embedder

    def passages(self, chunks: Iterable[Chunk]) -> Iterator[Passage]:
        """One passage per chunk; see :class:`ChunkEmbedding`."""
        for chunk in chunks:
            text = chunk.prefix + chunk.text
            yield Passage((chunk,), text, (hash_text(text),))

    def embed(self, passages: Iterator[Passage]) -> "Iterator[tuple[Passage, Vectors]]":
        """See :class:`ChunkEmbedding`."""
        sent: deque[Passage] = deque()

        def texts() -> Iterator[str]:
            for passage in passages:
                sent.append(passage)
                yield passage.text

        for vector in self._embedder.embed_stream(texts()):
            yield sent.popleft(), vector[None]
