"""Removes characters that cannot be encoded or stored."""

import re
import unicodedata

__all__ = ["clean", "clean_line", "count_controls", "is_usual"]

_LINE_ENDS = re.compile("\r\n|[\r\v\f\x85\u2028\u2029]")
# Control characters of Windows-1252 text that was decoded as Latin-1, such as quotation marks. HTML maps them too:
# https://html.spec.whatwg.org/multipage/parsing.html#numeric-character-reference-end-state
_WINDOWS_1252 = {
    code: bytes([code]).decode("cp1252") for code in range(0x80, 0xA0) if code not in (0x81, 0x8D, 0x8F, 0x90, 0x9D)
}
_C1 = re.compile("[\x80-\x84\x86-\x9f]")
# Control characters other than tab and line end, byte order marks, and noncharacters.
_REMOVED = re.compile("[\x00-\x08\x0e-\x1f\x7f\x81\x8d\x8f\x90\x9d\ufeff\ufffe\uffff]")
# A soft hyphen is invisible, or stands at a line end within a word.
_SOFT_HYPHEN = re.compile("\xad\n?")
_SURROGATE = re.compile("[\ud800-\udfff]")
_MAX_HEADING = 120
# Unicode categories of characters that texts do not have: control, private use, surrogate, unassigned.
_UNUSUAL = frozenset({"Cc", "Co", "Cs", "Cn"})


def clean(text: str) -> str:
    r"""Text with ``\n`` at line ends and without characters that stores or tokenizers reject.

    Soft hyphens and control characters are removed, including NUL, which Postgres cannot store. Control characters of
    Windows-1252 text that was decoded as Latin-1 become the characters of Windows-1252. An unpaired surrogate, which
    cannot be encoded, becomes U+FFFD, as Unicode recommends.
    """
    if _C1.search(text):
        text = text.translate(_WINDOWS_1252)
    text = _REMOVED.sub("", _LINE_ENDS.sub("\n", text))
    return _SURROGATE.sub("\ufffd", _SOFT_HYPHEN.sub("", text))


def clean_line(text: str) -> str:
    """A heading or title on one line, truncated to fit into a record's metadata."""
    line = " ".join(clean(text).split())
    return line if len(line) <= _MAX_HEADING else f"{line[: _MAX_HEADING - 1].rstrip()}…"


def count_controls(text: str) -> int:
    """Number of characters that :func:`clean` removes."""
    return sum(len(match.group()) for match in _REMOVED.finditer(text))


def is_usual(character: str) -> bool:
    """Whether texts have the character: it is assigned in Unicode, and not for control or private use."""
    return character in "\t\n\r\f" or unicodedata.category(character) not in _UNUSUAL
