"""Reads XML: the text of elements, with titles as headings."""

import io
import re
from html.entities import html5

from embedstack.documents.limits import Allowance
from embedstack.documents.readers.encodings import decode
from embedstack.documents.readers.outline import Outline, Reading
from embedstack.documents.readers.plain_text import read_plain_text
from embedstack.documents.readers.xml_events import NotWellFormed, parse_xml

__all__ = ["read_xml"]

_DECLARED = re.compile(rb"<\?xml[^>]{0,200}?encoding=[\"']([\w.:-]{1,40})")
_HEAD = 4096
_TITLES = frozenset({"title", "head"})
_MAX_LEVEL = 20


def read_xml(content: bytes, allowance: Allowance) -> Reading:
    """Read XML.

    An element's text is a paragraph, unless it is within another element's text, such as emphasis. The text of
    elements called ``title`` or ``head`` is a heading of the depth of its element. Attributes are read as
    ``name: value`` lines if the file has no text. Content that is not well-formed is read as plain text with a note.

    Raises:
        DocumentRefused: It declares entities.
    """
    match = _DECLARED.search(content[:_HEAD])
    text, encoding = decode(content, allowance, match[1].decode("ascii") if match else None)
    encoded = text.encode("utf-8", "replace")
    for handler in (_Elements(Outline(allowance)), _Attributes(Outline(allowance))):
        try:
            parse_xml(
                io.BytesIO(encoded),
                allowance,
                start=handler.start,
                end=handler.end,
                data=handler.data,
                skipped=handler.skipped,
                encoding="utf-8",
            )
        except NotWellFormed as error:
            allowance.notes.append(f"The file is not well-formed XML at line {error.line} and was read as plain text.")
            return read_plain_text(content, allowance)
        sections = handler.outline.sections()
        if sections:
            return Reading(sections, title=handler.title, encoding=encoding)
    return Reading([], encoding=encoding)


class _Elements:
    """Collects the text of elements."""

    def __init__(self, outline: Outline) -> None:
        self.outline = outline
        self.title: str | None = None
        self._parts: list[str] = []
        self._have_text: list[bool] = []  # for each open element, whether it has text of its own
        self._mixed = 0  # how many of them have
        self._is_title = False

    def start(self, element: str, _: dict[str, str]) -> None:
        """Start a paragraph, unless the element is within text."""
        if not self._mixed:
            self._end_paragraph()
            self._is_title = element in _TITLES
        self._have_text.append(False)

    def data(self, text: str) -> None:
        """Add text."""
        self._parts.append(text)
        if not text.isspace() and not self._have_text[-1]:
            self._have_text[-1] = True
            self._mixed += 1

    def skipped(self, name: str) -> None:
        """Add the character of an entity that document types usually define."""
        self.data(html5.get(f"{name};", ""))

    def end(self, element: str) -> None:
        """End a title. Another paragraph ends when the next one starts, because text may follow."""
        self._mixed -= self._have_text.pop()
        if (self._is_title and element in _TITLES) or not self._have_text:
            self._end_paragraph()

    def _end_paragraph(self) -> None:
        text = " ".join("".join(self._parts).split())
        if text and self._is_title:
            self.title = self.title or text
            self.outline.heading(min(len(self._have_text), _MAX_LEVEL), text)
        elif text:
            self.outline.add(text)
        self._parts = []
        self._is_title = False


class _Attributes:
    """Collects attributes, one per line."""

    title = None

    def __init__(self, outline: Outline) -> None:
        self.outline = outline

    def start(self, _: str, attributes: dict[str, str]) -> None:
        """Add the attributes of an element."""
        for name, value in attributes.items():
            if value.strip():
                self.outline.add(f"{name}: {value}", tight=True)

    def end(self, element: str) -> None:
        """Do nothing."""

    def data(self, text: str) -> None:
        """Do nothing."""

    def skipped(self, name: str) -> None:
        """Do nothing."""
