"""Removes the content of data URIs, such as pictures in Markdown, which is not text (RFC 2397)."""

import re

from embedstack.documents.limits import Allowance

__all__ = ["DataUris"]

_MIN_CHARACTERS = 64
# Base64 may continue on further lines. Other content ends at a blank, quote or bracket.
_URI = re.compile(
    r"(data:[\w.+-]{1,80}/[\w.+-]{1,80}(?:;(?!base64,)[\w.+-]{1,40}(?:=[\w.+-]{1,80})?)*+)"
    r"(?:;base64,[A-Za-z0-9+/=%_-]*+(?:\n[A-Za-z0-9+/=]{40,}+(?![^\n)\"'>]))*+|,[^\s)\"'<>\]]*+)",
    re.IGNORECASE,
)


class DataUris:
    """Removes and counts data URIs."""

    def __init__(self) -> None:
        self._count = 0

    def remove(self, text: str) -> str:
        """The text with long data URIs reduced to their media type, as in ``data:image/png``."""
        return _URI.sub(self._replacement, text) if "data:" in text else text

    def add_note(self, allowance: Allowance) -> None:
        """Note the number of removed contents."""
        if self._count:
            were = "content was" if self._count == 1 else "contents were"
            allowance.notes.append(f"{self._count:,} embedded {were} omitted (data URIs).")

    def _replacement(self, match: re.Match[str]) -> str:
        if len(match.group()) < _MIN_CHARACTERS:
            return match.group()
        self._count += 1
        return match[1]
