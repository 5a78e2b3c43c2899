"""Cuts documents into chunks within the model's token limit."""

import hashlib
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from embedstack.documents.context import ContextPrefix
from embedstack.documents.cutting import VERSION, Cutter
from embedstack.documents.document import Document, Section
from embedstack.documents.tokens import Tokens
from embedstack.errors import ConfigurationError
from embedstack.stores import hash_text

__all__ = ["Chunk", "Chunker", "first_chunk_id"]

# Minimum tokens for text in a chunk, and maximum shares of overlap and prefix.
_MIN_TEXT_TOKENS = 16
_MAX_OVERLAP_SHARE = 0.5
_MAX_PREFIX_SHARE = 0.5
# Characters that cannot be stored or encoded. Each is replaced by one code point, so that offsets stay valid.
_NOT_STORED = re.compile("[\0\ud800-\udfff]")
_ID_DIGITS = 32


@dataclass(frozen=True, slots=True)
class Chunk:
    """A part of a document.

    Attributes:
        id: Depends on source and text, not on position. The first chunk's id depends on the source alone.
        text: The text.
        source: The document's key or path.
        position: 0, 1, 2, … in the document.
        headings: The headings above it, outermost first.
        page: Page of the file, from 1; None for formats without pages.
        row: Row of the file, from 1; None for formats without rows.
        start: Start in the section's text, in code points.
        end: End in the section's text, in code points.
        section: Index of the section in the document, from 0.
        prefix: Text that is prepended when the chunk is embedded.
    """

    id: str
    text: str
    source: str
    position: int
    headings: tuple[str, ...]
    page: int | None
    row: int | None
    start: int
    end: int
    section: int = 0
    prefix: str = ""


class Chunker:
    """Cuts documents at the ends of paragraphs and sentences, by the model's tokens. Thread-safe.

    Attributes:
        tokens: The model's tokenizer.
        max_tokens: Maximum tokens of a chunk, including special tokens, prompt and prefix.
        overlap: Maximum tokens that a chunk repeats of the previous one.
        prompt: Text that the embedder prepends to documents.
        prefix: Template of the text that is prepended to each chunk.
    """

    def __init__(
        self, tokenizer_file: Path, max_tokens: int, overlap: int = 0, *, prompt: str = "", prefix: str = ""
    ) -> None:
        """Load the tokenizer.

        Args:
            tokenizer_file: The model's ``tokenizer.json``.
            max_tokens: Maximum tokens of a chunk, including special tokens, prompt and prefix.
            overlap: Maximum tokens that a chunk repeats of the previous one. The overlap starts with a sentence or
                word.
            prompt: Text that the embedder prepends to documents; ``embedder.prompts.get("document", "")``.
            prefix: A template; see :class:`~embedstack.documents.context.ContextPrefix`.

        Raises:
            ConfigurationError: The tokenizer or template is invalid, or the limit leaves no tokens for text.
        """
        self.tokens = Tokens(tokenizer_file)
        self.max_tokens = max_tokens
        self.overlap = overlap
        self.prompt = prompt
        self.prefix = ContextPrefix(prefix)
        self._text_tokens = max_tokens - self.tokens.count(prompt)
        if self._text_tokens < _MIN_TEXT_TOKENS:
            raise ConfigurationError(
                f"Chunks of {max_tokens} tokens leave {self._text_tokens} for text besides special tokens and prompt. "
                f"Set EMBEDSTACK_CHUNK_TOKENS to {max_tokens - self._text_tokens + _MIN_TEXT_TOKENS} or more."
            )
        if not 0 <= overlap <= self._text_tokens * (1 - _MAX_PREFIX_SHARE if prefix else 1) * _MAX_OVERLAP_SHARE:
            raise ConfigurationError(
                f"EMBEDSTACK_CHUNK_OVERLAP is {overlap}. It must be 0 or more, and at most half of a chunk's "
                f"{self._text_tokens} tokens for text{' and prefix' if prefix else ''}."
            )
        self._cutter = Cutter(self.tokens, overlap)

    @property
    def name(self) -> str:
        """A name that changes when documents are cut differently, for ``CollectionInfo.chunker``."""
        parameters = (str(VERSION), self.tokens.digest, self.prompt, self.prefix.template)
        digest = hashlib.sha256("\0".join(parameters).encode()).hexdigest()[:8]
        overlap = f"-overlap-{self.overlap}" if self.overlap else ""
        return f"semantic-{self.max_tokens}{overlap}-{digest}"

    def chunks(self, document: Document) -> Iterator[Chunk]:
        """Cut a document. A chunk lies within one section and is never blank.

        Yields:
            The chunks in the document's order. Each has at most ``max_tokens`` tokens, including prompt, prefix and
            special tokens.
        """
        seen: Counter[bytes] = Counter()
        position = 0
        for number, section in enumerate(document.sections):
            text = _NOT_STORED.sub("\ufffd", section.text)
            prefix = self._prefix(document.source, section)
            for start, end in self._cuts(text, prefix):
                part = text[start:end]
                content = hash_text(part)
                yield Chunk(
                    _chunk_id(document.source, position, content, seen[content]), part, document.source, position,
                    section.headings, section.page, section.row, start, end, number, prefix,
                )  # fmt: skip
                seen[content] += 1
                position += 1

    def _cuts(self, text: str, prefix: str) -> Iterator[tuple[int, int]]:
        before = self.prompt + prefix
        limit = self.max_tokens - self.tokens.count(before)
        return self._cutter.cuts(text, limit, lambda part: self.tokens.count(before + part) - self.max_tokens)

    def _prefix(self, source: str, section: Section) -> str:
        """The section's prefix, truncated to half of a chunk, so that a long path leaves room for text."""
        prefix = _NOT_STORED.sub("\ufffd", self.prefix.render(source, section))
        offsets = self.tokens.offsets(prefix)
        limit = int(self._text_tokens * _MAX_PREFIX_SHARE)
        return prefix if len(offsets) <= limit else prefix[: offsets[limit][0]]


def first_chunk_id(source: str) -> str:
    """Id of a document's first chunk. It depends on the source alone, so that one lookup finds a stored document."""
    return hash_text(source).hex()[:_ID_DIGITS]


def _chunk_id(source: str, position: int, content: bytes, occurrence: int) -> str:
    first = first_chunk_id(source)
    if position == 0:
        return first
    return f"{first}-{hash_text(content.hex(), str(occurrence)).hex()[:_ID_DIGITS]}"
