"""How chunks become vectors: each from its own text; see :mod:`embedstack.documents.late_chunking` for another way."""

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
    """What goes through the model at once, and the chunks that get a vector from it.

    Attributes:
        chunks: Consecutive chunks, at least one.
        text: What is embedded, without the model's own prompt.
        hashes: For each chunk 32 bytes that change when its vector does, within a collection: that has one model, one
            prompt and one way of cutting.
        spans: Where each chunk stands in the text, in code points.
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
    """A way from chunks to vectors."""

    def passages(self, chunks: Iterable[Chunk]) -> Iterator[Passage]:
        """The chunks of a document in the passages that they are embedded in, in their order."""

    def embed(self, passages: Iterator[Passage]) -> "Iterator[tuple[Passage, Vectors]]":
        """Vectors for passages, read no further ahead than keeps the backend busy.

        Yields:
            Each passage, in its order, with float32 (chunks, dimensions).

        Raises:
            EmbedStackError: As ``Embedder.embed_stream``.
        """


class SeparateEmbedding:
    """Each chunk by itself, with its prefix."""

    def __init__(self, embedder: "Embedder") -> None:
        self._embedder = embedder

    def passages(self, chunks: Iterable[Chunk]) -> Iterator[Passage]:
        """One passage for each chunk; see :class:`ChunkEmbedding`."""
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
