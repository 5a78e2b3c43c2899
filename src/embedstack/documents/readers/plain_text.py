"""Plain text: one section, several where it is very long."""

from collections.abc import Iterator

from embedstack.documents.document import Section
from embedstack.documents.limits import Allowance
from embedstack.documents.readers.cleaning import clean
from embedstack.documents.readers.encodings import decode
from embedstack.documents.readers.outline import Reading

__all__ = ["read_plain_text"]

# About 250,000 tokens: what the chunker holds of a document at once stays small.
_MAX_SECTION = 1_000_000
_ENDS = ("\n\n", "\n", ". ", " ")


def read_plain_text(content: bytes, allowance: Allowance) -> Reading:
    """Read plain text.

    Paragraphs are the chunker's business; a text longer than a million characters becomes several sections, cut at the
    end of a paragraph, a line, a sentence or a word, whichever comes first in that order.
    """
    text, encoding = decode(content, allowance)
    text = clean(text)
    allowance.take_characters(len(text))
    return Reading([Section(part) for part in _parts(text) if part.strip()], encoding=encoding)


def _parts(text: str) -> Iterator[str]:
    start = 0
    while len(text) - start > _MAX_SECTION:
        limit = start + _MAX_SECTION
        # An end in the last tenth, so that no section is short.
        found = (text.rfind(end, limit - _MAX_SECTION // 10, limit) + len(end) for end in _ENDS)
        cut = next((position for position in found if position > start + len(_ENDS[0])), limit)
        yield text[start:cut]
        start = cut
    yield text[start:]
