"""Reads plain text: one section, or several for a very long text."""

from collections.abc import Iterator

from embedstack.documents.document import Section
from embedstack.documents.limits import Allowance
from embedstack.documents.readers.cleaning import clean
from embedstack.documents.readers.data_uris import remove_data_uris
from embedstack.documents.readers.encodings import decode
from embedstack.documents.readers.outline import Reading

__all__ = ["read_plain_text"]

# About 250,000 tokens, which limits the memory of the chunker.
_MAX_SECTION = 1_000_000
_ENDS = ("\n\n", "\n", ". ", " ")


def read_plain_text(content: bytes, allowance: Allowance) -> Reading:
    """Read plain text.

    A text of more than a million characters becomes several sections, cut at the end of a paragraph, line, sentence or
    word, in this order of preference.
    """
    text, encoding = decode(content, allowance)
    text = remove_data_uris(clean(text), allowance)
    allowance.take_characters(len(text))
    return Reading([Section(part) for part in _parts(text) if part.strip()], encoding=encoding)


def _parts(text: str) -> Iterator[str]:
    start = 0
    while len(text) - start > _MAX_SECTION:
        limit = start + _MAX_SECTION
        # Only in the last tenth, so that no section is short.
        cuts = (text.rfind(end, limit - _MAX_SECTION // 10, limit) + len(end) for end in _ENDS)
        cut = next((position for position in cuts if position > start + len(_ENDS[0])), limit)
        yield text[start:cut]
        start = cut
    yield text[start:]
