"""Tokenizes HTML by the rules of the HTML standard.

https://html.spec.whatwg.org/multipage/parsing.html#tokenization

Python's html.parser differs between versions, and before 3.13.6 takes quadratic time. Tree-building parsers also take
quadratic time for deeply nested elements, and tokenizers written in C are too large for a function's package. This
tokenizer only separates text from markup: it finds the ends of attributes, but does not parse them.

Three rules differ from the standard, so that no text is lost. CDATA sections are text, and an element such as
``<script/>`` is closed, both as in XHTML. An unclosed element whose content is text by the standard (``<title>``) may
contain tags. An unclosed quote in a tag is ignored.
"""

import html
import re
from typing import Protocol

__all__ = ["MarkupHandler", "read_markup", "unescape"]


class MarkupHandler(Protocol):
    """Receives the tokens of a page in order."""

    def start(self, tag: str, attributes: str) -> None:
        """Handle a start tag, with its name in lower case and its attributes as source text."""

    def end(self, tag: str) -> None:
        """Handle an end tag, or the end of a self-closing element."""

    def text(self, text: str) -> None:
        """Handle a part of the text."""


# The start of a tag, comment or declaration. Any other "<" is text.
_MARKUP = re.compile("<(?:[A-Za-z!?]|/.)", re.DOTALL)
_TAG_NAME = re.compile("[A-Za-z]")
# Attributes end at the first ">" outside of a quoted value. Possessive quantifiers avoid backtracking.
_TAG = re.compile(r"<(/?)([A-Za-z][^\s/>]*+)((?:[^>=]++|=\s*+(?:\"[^\"]*+\"|'[^']*+')?+)*+)>")
# A tag whose quotes are ignored.
_PLAIN_TAG = re.compile(r"<(/?)([A-Za-z][^\s/>]*+)([^>]*+)>")
# A final slash belongs to an unquoted last attribute, as in <a href=folder/>.
_UNQUOTED_VALUE = re.compile(r"=\s*+[^\s\"'=]++\Z")
_COMMENT_END = re.compile("--!?>")
_CDATA, _CDATA_END = "<![CDATA[", "]]>"
_SCRIPT = re.compile(r"<!--(?:-?>)?|-->|<(/?)script(?=[\s/>])", re.IGNORECASE | re.ASCII)
# html.unescape() fails on numbers with more than 4,300 digits. Numbers with eight or more digits are not characters.
_LEADING_ZEROS = re.compile(r"&#0+(?=[0-9])", re.ASCII)
_HUGE_REFERENCE = re.compile(r"&#[0-9]{8,};?", re.ASCII)

# Elements whose content is text up to their end tag. In the first set, character references are decoded.
_ESCAPABLE = frozenset({"title", "textarea"})
_RAW = frozenset({"script", "style", "xmp", "iframe", "noscript", *_ESCAPABLE})
# These end with the page if they are not closed.
_CODE = frozenset({"script", "style"})


def read_markup(text: str, handler: MarkupHandler, parsed: frozenset[str] = frozenset()) -> bool:
    r"""Tokenize a page.

    Args:
        text: The page, with ``\n`` at line ends and without NUL.
        handler: Receives the tokens.
        parsed: Elements whose content is tokenized, although it is text by the standard.

    Returns:
        Whether the page ends in an unclosed comment, which by the standard contains the rest of the page.
    """
    scanner = _Scanner(text, handler, _RAW - parsed)
    while scanner.read_next():
        pass
    return scanner.ends_in_comment


class _Scanner:
    """A position in a page. Failed searches are not repeated, which would take quadratic time."""

    def __init__(self, text: str, handler: MarkupHandler, raw: frozenset[str]) -> None:
        self.ends_in_comment = False
        self._page = text
        self._handler = handler
        self._raw = set(raw)  # without elements that are known to be unclosed
        self._position = 0
        self._last_cdata_end = text.rfind(_CDATA_END)
        self._tag = _TAG
        self._has_escapes = True

    def read_next(self) -> bool:
        """Read up to the end of the next tag, comment or declaration. False at the end of the page."""
        match = _MARKUP.search(self._page, self._position)
        start = match.start() if match else len(self._page)
        self._add_text(start)
        if match is None:
            return False
        kind = self._page[start + 1]
        if kind in "!?":
            return self._skip_declaration(start)
        if kind == "/" and not _TAG_NAME.match(self._page, start + 2):
            return self._skip_to(self._page.find(">", start) + 1)
        return self._read_tag(start)

    def _add_text(self, end: int) -> None:
        if end > self._position:
            self._handler.text(unescape(self._page[self._position : end]))
        self._position = end

    def _skip_to(self, position: int) -> bool:
        """Continue at a position; False if it is 0, for the end of the page."""
        self._position = position
        return position > 0

    def _skip_declaration(self, start: int) -> bool:
        page = self._page
        if page.startswith(_CDATA, start):
            self._position = start + len(_CDATA)
            if self._last_cdata_end >= self._position:
                end = page.find(_CDATA_END, self._position)
                self._handler.text(page[self._position : end])
                self._position = end + len(_CDATA_END)
            return True
        if not page.startswith("<!--", start):
            return self._skip_to(page.find(">", start) + 1)
        if page.startswith((">", "->"), start + 4):
            return self._skip_to(page.find(">", start) + 1)
        match = _COMMENT_END.search(page, start + 4)
        self.ends_in_comment = match is None
        return self._skip_to(match.end() if match else 0)

    def _read_tag(self, start: int) -> bool:
        match = self._tag.match(self._page, start)
        if match is None and self._tag is _TAG:
            self._tag = _PLAIN_TAG
            match = self._tag.match(self._page, start)
        if match is None:
            self._handler.text(self._page[start:])
            return False
        self._position = match.end()
        slash, tag, attributes = match.groups()
        tag = tag.lower()
        if slash:
            self._handler.end(tag)
            return True
        self._handler.start(tag, attributes)
        if attributes.endswith("/") and not _UNQUOTED_VALUE.search(attributes):
            self._handler.end(tag)
            return True
        if tag == "plaintext":
            self._handler.text(self._page[self._position :])
            return False
        return self._read_raw(tag) if tag in self._raw else True

    def _read_raw(self, tag: str) -> bool:
        """Read the content of an element up to its end tag."""
        end = self._script_end() if tag == "script" and self._has_escapes else None
        if end is None:
            match = re.compile(rf"</{tag}(?=[\s/>])", re.IGNORECASE | re.ASCII).search(self._page, self._position)
            end = match.start() if match else None
        if end is None:
            self._raw.discard(tag)
            return tag not in _CODE
        content = self._page[self._position : end]
        self._handler.text(unescape(content) if tag in _ESCAPABLE else content)
        self._position = end
        return True

    def _script_end(self) -> int | None:
        # Between "<!--" and "-->", a script may contain another script element with its end tag.
        is_escaped = is_inner = False
        for match in _SCRIPT.finditer(self._page, self._position):
            mark = match[0]
            if mark.startswith("<!--"):
                is_escaped = is_escaped or not mark.endswith(">")
            elif mark == "-->":
                is_escaped = is_inner = False
            elif not match[1]:
                is_inner = is_escaped
            elif is_inner:
                is_inner = False
            else:
                return match.start()
        self._has_escapes = False
        return None


def unescape(text: str) -> str:
    """A text with its character references decoded."""
    if "&" not in text:
        return text
    return html.unescape(_HUGE_REFERENCE.sub("\ufffd", _LEADING_ZEROS.sub("&#", text)))
