"""Removes characters that cannot be encoded or stored."""

import re

__all__ = ["clean", "clean_line", "count_controls"]

_LINE_ENDS = re.compile("\r\n|[\r\v\f\x85\u2028\u2029]")
# Control characters other than tab and line end, byte order marks, and noncharacters.
_REMOVED = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\ufeff\ufffe\uffff]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_MAX_HEADING = 120


def clean(text: str) -> str:
    r"""Text with ``\n`` at line ends and without characters that stores or tokenizers reject.

    Control characters are removed, including NUL, which Postgres cannot store. An unpaired surrogate, which cannot be
    encoded, becomes U+FFFD, as Unicode recommends.
    """
    return _SURROGATE.sub("\ufffd", _REMOVED.sub("", _LINE_ENDS.sub("\n", text)))


def clean_line(text: str) -> str:
    """A heading or title on one line, truncated to fit into a record's metadata."""
    line = " ".join(clean(text).split())
    return line if len(line) <= _MAX_HEADING else f"{line[: _MAX_HEADING - 1].rstrip()}…"


def count_controls(text: str) -> int:
    """Number of characters that :func:`clean` removes."""
    return sum(len(match.group()) for match in _REMOVED.finditer(text))
