"""Requests as JSON: their encoding, and the bytes that texts take in them."""

import json
from typing import Any

from embedstack.embedders.batching import TextSizes

__all__ = ["json_bytes", "json_text_sizes"]

# A control character is escaped as six, such as \u0001; the quotes, the comma and the space after it follow.
_LARGEST_ESCAPE, _SEPARATORS = 6, 4


def json_bytes(value: Any) -> bytes:
    """Encode a value as JSON in UTF-8."""
    # Without ASCII escapes, which would double the size of Chinese text.
    return json.dumps(value, ensure_ascii=False).encode("utf-8")


def json_text_sizes(envelope: int) -> TextSizes:
    """Bytes of texts in a JSON request.

    Args:
        envelope: Bytes of a request besides its texts.
    """
    return TextSizes(_text_bytes, envelope, upper_bound=_text_bytes_bound)


def _text_bytes(text: str) -> int:
    return len(json_bytes(text)) + _SEPARATORS // 2


def _text_bytes_bound(utf8_bytes: int) -> int:
    return _LARGEST_ESCAPE * utf8_bytes + _SEPARATORS
