"""Removes the content of data URIs, such as pictures in Markdown, which is not text (RFC 2397)."""

import re

from embedstack.documents.limits import Allowance

__all__ = ["remove_data_uris"]

_MIN_CHARACTERS = 64
# Base64 may continue on further lines. Other content ends at a blank, quote or bracket.
_URI = re.compile(
    r"(data:[\w.+-]{1,80}/[\w.+-]{1,80}(?:;(?!base64,)[\w.+-]{1,40}(?:=[\w.+-]{1,80})?)*+)"
    r"(?:;base64,[A-Za-z0-9+/=%_-]*+(?:\n[A-Za-z0-9+/=]{40,}+(?![^\n)\"'>]))*+|,[^\s)\"'<>\]]*+)",
    re.IGNORECASE,
)


def remove_data_uris(text: str, allowance: Allowance) -> str:
    """A text with long data URIs reduced to their media type, as in ``data:image/png``. A note has their number."""
    if "data:" not in text:
        return text
    removed = 0

    def reduce(match: re.Match[str]) -> str:
        nonlocal removed
        if len(match.group()) < _MIN_CHARACTERS:
            return match.group()
        removed += 1
        return match[1]

    text = _URI.sub(reduce, text)
    if removed:
        allowance.count_note("Contents of data URIs that were omitted: {}.", removed)
    return text
