"""Late chunking: chunk vectors that take the surrounding text into account.

The model processes the whole document, and the token vectors of each chunk are averaged (Günther et al., 2024, "Late
Chunking: Contextual Chunk Embeddings Using Long-Context Embedding Models", https://arxiv.org/abs/2409.04701). A
document that exceeds the model's token limit is processed in overlapping windows (the paper's "long late chunking").
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from embedstack.documents.chunking import Chunk, Chunker
from embedstack.documents.embedding import Passage
from embedstack.embedders import SpannedText
from embedstack.errors import ConfigurationError
from embedstack.stores import hash_text

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from embedstack.embedders import Embedder

    Vectors = NDArray[np.float32]

__all__ = ["LateEmbedding"]

# Maximum share of a window that repeats earlier text, if that is more than one chunk.
_MAX_OVERLAP_SHARE = 0.25
# Maximum share of a window that one chunk may take, so that there is text around it.
_MAX_CHUNK_SHARE = 0.5


class LateEmbedding:
    """Embeds chunks in windows of up to the model's token limit. Each chunk is pooled once."""

    def __init__(self, embedder: "Embedder", chunker: Chunker) -> None:
        """Create an embedding for a chunker.

        Raises:
            ConfigurationError: The chunker has an overlap or prefix, or its chunks are too long.
        """
        self._embedder = embedder
        self._tokens = chunker.tokens
        self._prompt = chunker.prompt
        self._max_tokens = embedder.info.require_max_tokens()
        if chunker.overlap or chunker.prefix.template:
            raise ConfigurationError(
                "Late chunking cannot be combined with an overlap or context prefix. Unset EMBEDSTACK_CHUNK_OVERLAP "
                "and EMBEDSTACK_DOCUMENT_CONTEXT."
            )
        if chunker.max_tokens > self._max_tokens * _MAX_CHUNK_SHARE:
            raise ConfigurationError(
                f"Chunks of {chunker.max_tokens} tokens are too long for late chunking: {embedder.info.model_id} reads "
                f"{self._max_tokens} tokens. Set EMBEDSTACK_CHUNK_TOKENS to "
                f"{int(self._max_tokens * _MAX_CHUNK_SHARE)} or less."
            )

    def passages(self, chunks: Iterable[Chunk]) -> Iterator[Passage]:
        """The windows of a document; see :class:`~embedstack.documents.embedding.ChunkEmbedding`."""
        limit = self._max_tokens - self._tokens.count(self._prompt)
        before: deque[tuple[Chunk, int]] = deque()
        pending: list[tuple[Chunk, int]] = []
        total = 0  # tokens of both
        for chunk in chunks:
            # One more token for the separator between two chunks.
            size = self._tokens.count(chunk.text) - self._tokens.special + 1
            if pending and total + size > limit:
                yield from self._windows([earlier for earlier, _ in before], [new for new, _ in pending])
                overlap = max(int(limit * _MAX_OVERLAP_SHARE), pending[-1][1])
                before = _last([*before, *pending], min(overlap, limit - size))
                pending = []
                total = sum(earlier_size for _, earlier_size in before)
            pending.append((chunk, size))
            total += size
        if pending:
            yield from self._windows([earlier for earlier, _ in before], [new for new, _ in pending])

    def embed(self, passages: Iterator[Passage]) -> "Iterator[tuple[Passage, Vectors]]":
        """See :class:`~embedstack.documents.embedding.ChunkEmbedding`."""
        sent: deque[Passage] = deque()

        def texts() -> Iterator[SpannedText]:
            for passage in passages:
                sent.append(passage)
                yield SpannedText(passage.text, passage.spans)

        for vectors in self._embedder.embed_spans(texts()):
            yield sent.popleft(), vectors

    def _windows(self, before: Sequence[Chunk], new: Sequence[Chunk]) -> Iterator[Passage]:
        """One window, or several if the joined chunks have more tokens than the single ones."""
        text, spans = _join([*before, *new])
        if self._tokens.count(self._prompt + text) > self._max_tokens:
            if before:
                # Halve the overlap: each attempt tokenizes the window again.
                yield from self._windows(before[(len(before) + 1) // 2 :], new)
                return
            if len(new) > 1:
                middle = len(new) // 2
                yield from self._windows((), new[:middle])
                yield from self._windows((), new[middle:])
                return
        spans = spans[len(before) :]
        hashes = tuple(hash_text(text, str(start), str(end)) for start, end in spans)
        yield Passage(tuple(new), text, hashes, tuple(spans))


def _join(chunks: Sequence[Chunk]) -> tuple[str, list[tuple[int, int]]]:
    """The chunks as one text, and the span of each."""
    parts: list[str] = []
    spans = []
    length = 0
    for index, chunk in enumerate(chunks):
        if index and not _are_adjacent(chunks[index - 1], chunk):
            parts.append("\n")
            length += 1
        parts.append(chunk.text)
        spans.append((length, length + len(chunk.text)))
        length += len(chunk.text)
    return "".join(parts), spans


def _are_adjacent(one: Chunk, other: Chunk) -> bool:
    # In languages without spaces, a line end between adjacent chunks would cut a word.
    return one.section == other.section and one.end == other.start


def _last(chunks: Sequence[tuple[Chunk, int]], max_tokens: int) -> deque[tuple[Chunk, int]]:
    """The last chunks within a token limit."""
    last: deque[tuple[Chunk, int]] = deque()
    tokens_left = max_tokens
    for chunk, size in reversed(chunks):
        tokens_left -= size
        if tokens_left < 0:
            break
        last.appendleft((chunk, size))
    return last
