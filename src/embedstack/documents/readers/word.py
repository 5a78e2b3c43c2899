"""Reads docx: one section per heading.

Uses the standard library only. python-docx needs lxml, which adds 5 MB to a function's package, and builds a tree of
the whole document, although only its text in order is needed.
"""

import posixpath
from dataclasses import dataclass, field
from itertools import pairwise

from embedstack.documents.limits import Allowance
from embedstack.documents.readers.office_package import core_title, main_part
from embedstack.documents.readers.outline import Outline, Reading
from embedstack.documents.readers.package import open_package, parse_part
from embedstack.documents.readers.word_styles import heading_levels

__all__ = ["read_word"]

_DEFAULT_PART = "word/document.xml"
# Deleted and moved text, and fallback renderings of content that also exists in a newer form.
_OMITTED = frozenset({"del", "moveFrom", "Fallback", "instrText", "delText", "delInstrText"})
_TEXT = frozenset({"t"})
_SIGNS = {"tab": "\t", "ptab": "\t", "br": "\n", "cr": "\n", "noBreakHyphen": "-"}
_BAR = " | "
_BODY_LEVEL = 9  # w:outlineLvl of body text (ECMA-376 part 1, 17.3.1.20)
_NOTES = ("word/footnotes.xml", "word/endnotes.xml")


def read_word(content: bytes, allowance: Allowance) -> Reading:
    """Read a docx file.

    Headings are paragraphs with an outline level, directly or by their style, in any language. A table row is a line
    with bars between its cells. Text boxes, footnotes and endnotes are read; headers, footers, comments and deleted
    text are not.

    Raises:
        DocumentRefused: See :func:`open_package` and :func:`parse_part`.
    """
    with open_package(content, allowance) as package:
        names = set(package.namelist())
        part = main_part(package, _DEFAULT_PART, allowance)
        styles = posixpath.join(posixpath.dirname(part), "styles.xml")
        levels = heading_levels(package, styles, allowance) if styles in names else {}
        sections = []
        for name in (part, *(note for note in _NOTES if note in names)):
            body = _Body(Outline(allowance), levels)
            parse_part(package, name, allowance, start=body.start, end=body.end, data=body.data)
            sections += body.outline.sections()
        title = core_title(package, allowance)
    return Reading(sections, title=title)


@dataclass(slots=True)
class _Paragraph:
    text: list[str] = field(default_factory=list)
    style: str | None = None
    level: int | None = None


class _Body:
    """Handles the elements of a body. Paragraphs may be nested, as in a text box."""

    def __init__(self, outline: Outline, levels: dict[str, int]) -> None:
        self.outline = outline
        self._levels = levels
        self._paragraphs: list[_Paragraph] = []
        self._row = _Row()
        self._omitted_depth = 0
        self._in_text = False

    def start(self, element: str, attributes: dict[str, str]) -> None:
        if self._omitted_depth or element in _OMITTED:
            self._omitted_depth += 1
        elif element == "p":
            self._paragraphs.append(_Paragraph())
        elif element == "tr":
            self._row.open()
        elif self._paragraphs:
            self._start_in_paragraph(self._paragraphs[-1], element, attributes)

    def _start_in_paragraph(self, paragraph: _Paragraph, element: str, attributes: dict[str, str]) -> None:
        self._in_text = element in _TEXT
        if element == "pStyle":
            paragraph.style = attributes.get("val")
        elif element == "outlineLvl" and attributes.get("val", "").isdecimal():
            paragraph.level = int(attributes["val"][:2])
        elif element == "tab" and "pos" in attributes:
            return  # a tab stop, not a tab
        elif element in _SIGNS:
            paragraph.text.append(_SIGNS[element])

    def data(self, text: str) -> None:
        if self._in_text and not self._omitted_depth and self._paragraphs:
            self._paragraphs[-1].text.append(text)

    def end(self, element: str) -> None:
        if self._omitted_depth:
            self._omitted_depth -= 1
            return
        self._in_text = False
        if element == "p" and self._paragraphs:
            self._end_paragraph(self._paragraphs.pop())
        elif element == "tc" and self._row.is_open:
            self._row.end_cell()
        elif element == "tr" and self._row.is_open:
            line = self._row.close()
            if line:
                self.outline.add(line, tight=True)

    def _end_paragraph(self, paragraph: _Paragraph) -> None:
        text = "".join(paragraph.text)
        if not text.strip():
            return
        if self._row.is_open:
            self._row.add(text)
            return
        level = paragraph.level if paragraph.level is not None else self._levels.get(paragraph.style or "")
        if level is None or level >= _BODY_LEVEL:
            self.outline.add(text)
        else:
            self.outline.heading(level, text)


class _Row:
    """A row of a table as a line, which includes the rows of nested tables.

    Nested rows share one list of parts, so that the time depends on their text and not on their depth.
    """

    def __init__(self) -> None:
        self._parts: list[str] = []  # text, and a bar at the end of each cell
        self._texts = 0
        self._open: list[tuple[int, int]] = []  # parts and texts before each row that is open

    @property
    def is_open(self) -> bool:
        """Whether a row is open."""
        return bool(self._open)

    def open(self) -> None:
        """Start a row, in a cell of the open row if there is one."""
        self._open.append((len(self._parts), self._texts))

    def add(self, text: str) -> None:
        """Add text to the open cell."""
        self._parts.append(" ".join(text.split()))
        self._texts += 1

    def end_cell(self) -> None:
        """End the open cell."""
        self._parts.append(_BAR)

    def close(self) -> str:
        """End the innermost row. Returns the line when the outermost row ends; empty without text."""
        parts, texts = self._open.pop()
        if self._texts == texts:
            del self._parts[parts:]
        elif self._parts[-1] == _BAR:
            self._parts.pop()
        if self._open:
            return ""
        line = "".join(
            f" {part}" if _BAR not in (before, part) else part for before, part in pairwise([_BAR, *self._parts])
        )
        self._parts = []
        return line
