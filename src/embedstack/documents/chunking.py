"""From a document to chunks that the served model reads whole."""

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

# A chunk of fewer tokens than this says nothing; and the prefix may take half of it.
_LEAST_TOKENS = 16
_MOST_OVERLAP = 0.5
_MOST_PREFIX = 0.5
# What no store takes, or no encoding; of one code point like what stands in for it, so that offsets stay.
_NOT_STORED = re.compile("[\0\ud800-\udfff]")
_ID_DIGITS = 32


@dataclass(frozen=True, slots=True)
class Chunk:
    """A part of a document.

    Attributes:
        id: The same for the same text in the same document, wherever it stands there; the first chunk's is of the
            document's source alone.
        text: Its text.
        source: The document's key or path.
        position: 0, 1, 2, … in the document.
        headings: The headings that it stands under, the outermost first.
        page: Page of the file, from 1; None where it has none.
        row: Row of the file, from 1; None where it has none.
        start: Where it starts in its section's text, in code points.
        end: Where it ends there.
        section: Which section of the document, from 0.
        prefix: What is put before the text when it is embedded.
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
    """Cuts documents at the ends of paragraphs and sentences, by the model's own tokens.

    Safe to use from several threads.

    Attributes:
        tokens: The model's tokens.
        max_tokens: Tokens of a chunk at most, special tokens, prompt and prefix included.
        overlap: Tokens that a chunk repeats of the one before.
        prompt: What the embedder puts before a document's text.
        prefix: What is put before each chunk's text.
    """

    def __init__(
        self, tokenizer_file: Path, max_tokens: int, overlap: int = 0, *, prompt: str = "", prefix: str = ""
    ) -> None:
        """Prepare.

        Args:
            tokenizer_file: The served model's ``tokenizer.json``.
            max_tokens: Tokens of a chunk at most, special tokens, prompt and prefix included.
            overlap: Tokens that a chunk repeats of the one before, at most; less where a sentence or a word begins
                later.
            prompt: What the embedder puts before a document's text; ``embedder.prompts.get("document", "")``.
            prefix: A template; see :class:`~embedstack.documents.context.ContextPrefix`.

        Raises:
            ConfigurationError: The tokenizer or the template is none, or there is no room for text.
        """
        self.tokens = Tokens(tokenizer_file)
        self.max_tokens = max_tokens
        self.overlap = overlap
        self.prompt = prompt
        self.prefix = ContextPrefix(prefix)
        self._room = max_tokens - self.tokens.count(prompt)
        if self._room < _LEAST_TOKENS:
            raise ConfigurationError(
                f"Chunks of {max_tokens} tokens leave {self._room} for text beside the model's own tokens and its "
                f"prompt: set EMBEDSTACK_CHUNK_TOKENS to {max_tokens - self._room + _LEAST_TOKENS} or more."
            )
        if not 0 <= overlap <= self._room * (1 - _MOST_PREFIX if prefix else 1) * _MOST_OVERLAP:
            raise ConfigurationError(
                f"EMBEDSTACK_CHUNK_OVERLAP is {overlap}; it must not be negative or more than half of what a chunk has "
                f"room for, which is {self._room} tokens{' with the prefix' if prefix else ''}."
            )
        self._cutter = Cutter(self.tokens, overlap)

    @property
    def name(self) -> str:
        """A name that changes when documents are cut otherwise, for ``CollectionInfo.chunker``."""
        facts = (str(VERSION), self.tokens.digest, self.prompt, self.prefix.template)
        digest = hashlib.sha256("\0".join(facts).encode()).hexdigest()[:8]
        overlap = f"-overlap-{self.overlap}" if self.overlap else ""
        return f"semantic-{self.max_tokens}{overlap}-{digest}"

    def chunks(self, document: Document) -> Iterator[Chunk]:
        """Cut a document. Chunks lie within a section; none is blank.

        Yields:
            The chunks in the document's order. Each has at most ``max_tokens`` tokens with prompt, prefix and special
            tokens.
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
        """The section's prefix, cut to half of a chunk: a path of a thousand characters must leave room for text."""
        prefix = _NOT_STORED.sub("\ufffd", self.prefix.render(source, section))
        offsets = self.tokens.offsets(prefix)
        room = int(self._room * _MOST_PREFIX)
        return prefix if len(offsets) <= room else prefix[: offsets[room][0]]


def first_chunk_id(source: str) -> str:
    """Id of a document's first chunk: of the source alone, so that one look tells whether a document is stored."""
    return hash_text(source).hex()[:_ID_DIGITS]


def _chunk_id(source: str, position: int, content: bytes, occurrence: int) -> str:
    first = first_chunk_id(source)
    if position == 0:
        return first
    return f"{first}-{hash_text(content.hex(), str(occurrence)).hex()[:_ID_DIGITS]}"
