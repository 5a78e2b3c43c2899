"""Late chunking: a chunk's vector is computed with the text around it in view.

The document goes through the model whole, and the token vectors of each chunk are averaged (Günther et al., 2024, "Late
Chunking: Contextual Chunk Embeddings Using Long-Context Embedding Models", https://arxiv.org/abs/2409.04701). Where the
document is longer than the model reads, it goes through in windows that repeat some of the text before them, as the
paper's "long late chunking" does.
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

# Of a window, how much may repeat what came before it, if that is more than one chunk.
_REPEATED = 0.25
# Of a window, how long a chunk may be: one that fills it has nothing around it to see.
_LONGEST_CHUNK = 0.5


class LateEmbedding:
    """Chunks in windows of as much text as the model reads; each is pooled once, with what is before it in view."""

    def __init__(self, embedder: "Embedder", chunker: Chunker) -> None:
        """Prepare.

        Raises:
            ConfigurationError: Chunks overlap, have a prefix, or are too long to have something around them.
        """
        self._embedder = embedder
        self._tokens = chunker.tokens
        self._prompt = chunker.prompt
        self._most = embedder.info.max_tokens
        if chunker.overlap or chunker.prefix.template:
            raise ConfigurationError(
                "Late chunking sees the text around each chunk already: unset EMBEDSTACK_CHUNK_OVERLAP and "
                "EMBEDSTACK_DOCUMENT_CONTEXT."
            )
        if chunker.max_tokens > self._most * _LONGEST_CHUNK:
            raise ConfigurationError(
                f"Chunks of {chunker.max_tokens} tokens leave late chunking no text around them, of the {self._most} "
                f"that {embedder.info.model_id} reads: set EMBEDSTACK_CHUNK_TOKENS to "
                f"{int(self._most * _LONGEST_CHUNK)} or less."
            )

    def passages(self, chunks: Iterable[Chunk]) -> Iterator[Passage]:
        """The windows of a document; see :class:`~embedstack.documents.embedding.ChunkEmbedding`."""
        room = self._most - self._tokens.count(self._prompt)
        before: deque[tuple[Chunk, int]] = deque()
        fresh: list[tuple[Chunk, int]] = []
        taken = 0  # tokens of both
        for chunk in chunks:
            # One more, for what stands between two chunks.
            size = self._tokens.count(chunk.text) - self._tokens.special + 1
            if fresh and taken + size > room:
                yield from self._windows([one for one, _ in before], [one for one, _ in fresh])
                before = _last([*before, *fresh], max(int(room * _REPEATED), fresh[-1][1]), room - size)
                fresh = []
                taken = sum(kept for _, kept in before)
            fresh.append((chunk, size))
            taken += size
        if fresh:
            yield from self._windows([one for one, _ in before], [one for one, _ in fresh])

    def embed(self, passages: Iterator[Passage]) -> "Iterator[tuple[Passage, Vectors]]":
        """See :class:`~embedstack.documents.embedding.ChunkEmbedding`."""
        sent: deque[Passage] = deque()

        def texts() -> Iterator[SpannedText]:
            for passage in passages:
                sent.append(passage)
                yield SpannedText(passage.text, passage.spans)

        for vectors in self._embedder.embed_spans(texts()):
            yield sent.popleft(), vectors

    def _windows(self, before: Sequence[Chunk], fresh: Sequence[Chunk]) -> Iterator[Passage]:
        """One window, or more where joined chunks have more tokens than they have apart."""
        text, spans = _join([*before, *fresh])
        if self._tokens.count(self._prompt + text) > self._most:
            if before:
                # By halves: each attempt tokenizes the window again.
                yield from self._windows(before[(len(before) + 1) // 2 :], fresh)
                return
            if len(fresh) > 1:
                middle = len(fresh) // 2
                yield from self._windows((), fresh[:middle])
                yield from self._windows((), fresh[middle:])
                return
        spans = spans[len(before) :]
        hashes = tuple(hash_text(text, str(start), str(end)) for start, end in spans)
        yield Passage(tuple(fresh), text, hashes, tuple(spans))


def _join(chunks: Sequence[Chunk]) -> tuple[str, list[tuple[int, int]]]:
    """The chunks as one text, and where each stands in it."""
    parts: list[str] = []
    spans = []
    length = 0
    for index, chunk in enumerate(chunks):
        if index and not _touch(chunks[index - 1], chunk):
            parts.append("\n")
            length += 1
        parts.append(chunk.text)
        spans.append((length, length + len(chunk.text)))
        length += len(chunk.text)
    return "".join(parts), spans


def _touch(one: Chunk, other: Chunk) -> bool:
    # As in a language without spaces, where a line's end would cut a word.
    return one.section == other.section and one.end == other.start


def _last(chunks: Sequence[tuple[Chunk, int]], wanted: int, room: int) -> deque[tuple[Chunk, int]]:
    """As many of the last chunks as are wanted and there is room for, in tokens."""
    kept: deque[tuple[Chunk, int]] = deque()
    room = min(room, wanted)
    for chunk, size in reversed(chunks):
        room -= size
        if room < 0:
            break
        kept.appendleft((chunk, size))
    return kept
