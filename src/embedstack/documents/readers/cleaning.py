"""Text as it can be encoded, stored and shown."""

import re

__all__ = ["clean", "clean_line", "count_controls"]

_LINE_ENDS = re.compile("\r\n|[\r\v\f\x85\u2028\u2029]")
# Control characters but tab and line end, marks of byte order, and code points that are never characters.
_REMOVED = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\ufeff\ufffe\uffff]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_MAX_HEADING = 120


def clean(text: str) -> str:
    r"""Text with ``\n`` at line ends and without what no store or tokenizer takes.

    Control characters go, NUL among them, which Postgres cannot store. A lone surrogate, which cannot be encoded,
    becomes U+FFFD, as Unicode asks for.
    """
    return _SURROGATE.sub("\ufffd", _REMOVED.sub("", _LINE_ENDS.sub("\n", text)))


def clean_line(text: str) -> str:
    """A heading or title: on one line, shortened to what fits into a record's metadata."""
    line = " ".join(clean(text).split())
    return line if len(line) <= _MAX_HEADING else f"{line[: _MAX_HEADING - 1].rstrip()}…"


def count_controls(text: str) -> int:
    """How many characters :func:`clean` takes away."""
    return sum(len(match.group()) for match in _REMOVED.finditer(text))
