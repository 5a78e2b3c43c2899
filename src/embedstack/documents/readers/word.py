"""Reads docx: one section per heading.

Uses the standard library only. python-docx needs lxml, which adds 5 MB to a function's package, and builds a tree of
the whole document, although only its text in order is needed.
"""

import posixpath
import zipfile
from dataclasses import dataclass, field
from itertools import pairwise

from embedstack.documents.limits import Allowance
from embedstack.documents.readers.office_package import core_title, main_part, relationships
from embedstack.documents.readers.outline import Outline, Reading
from embedstack.documents.readers.package import open_package, parse_part
from embedstack.documents.readers.word_numbering import Numbering, read_numbering
from embedstack.documents.readers.word_styles import Style, read_styles
from embedstack.documents.readers.word_symbols import symbol

__all__ = ["read_word"]

_DEFAULT_PART = "word/document.xml"
# Deleted and moved text, former properties of tracked changes, readings of East Asian characters (rt), and fallback
# renderings of content that also exists in a newer form.
_OMITTED = frozenset({
    "del", "moveFrom", "Fallback", "instrText", "delText", "delInstrText", "pPrChange", "rPrChange", "sectPrChange",
    "rt",
})  # fmt: skip
_TEXT = frozenset({"t"})
_PROPERTIES = frozenset({"pStyle", "numId", "outlineLvl", "ilvl"})
_SIGNS = {"tab": "\t", "ptab": "\t", "br": "\n", "cr": "\n", "noBreakHyphen": "-"}
_BAR = " | "
_BODY_LEVEL = 9  # w:outlineLvl of body text (ECMA-376 part 1, 17.3.1.20)
_NO_NUMBER = "0"  # w:numId of a paragraph whose style is numbered, but not the paragraph
_NOTES = ("footnotes", "endnotes")
_MARGINS = ("header", "footer")
_FALSE = ("0", "false", "off")


def read_word(content: bytes, allowance: Allowance) -> Reading:
    """Read a docx file.

    Headings are paragraphs with an outline level, directly or by their style, in any language. Numbers of lists and
    clauses are computed. A picture is its alternative text. A table row is a line with bars between its cells. Text
    boxes, footnotes and endnotes are read, and each different header and footer once, at the end. Inserted text is
    read, deleted text is not. Comments are counted in a note.

    Raises:
        DocumentRefused: See :func:`open_package` and :func:`parse_part`.
    """
    with open_package(content, allowance) as package:
        part = main_part(package, _DEFAULT_PART, allowance)
        parts = _related_parts(package, part, allowance)
        styles = read_styles(package, parts["styles"][0], allowance) if "styles" in parts else {}
        numbering = read_numbering(package, parts["numbering"][0] if "numbering" in parts else None, allowance)

        def read(name: str, outline: Outline) -> None:
            body = _Body(outline, styles, numbering)
            parse_part(package, name, allowance, start=body.start, end=body.end, data=body.data)

        sections = []
        for name in (part, *(note for kind in _NOTES for note in parts.get(kind, ()))):
            outline = Outline(allowance)
            read(name, outline)
            sections += outline.sections()
        margins = Outline(allowance, distinct=True)
        for name in (margin for kind in _MARGINS for margin in parts.get(kind, ())):
            read(name, margins)
        sections += margins.sections()
        _note_comments(package, parts.get("comments", []), allowance)
        title = core_title(package, allowance)
    return Reading(sections, title=title)


def _related_parts(package: zipfile.ZipFile, part: str, allowance: Allowance) -> dict[str, list[str]]:
    """Parts that are related to the main part, by kind."""
    parts: dict[str, list[str]] = {}
    for relationship in relationships(package, part, allowance).values():
        parts.setdefault(relationship.kind, []).append(relationship.target)
    names = package.namelist()
    for kind in ("styles", "numbering", *_NOTES):
        default = posixpath.join(posixpath.dirname(part), f"{kind}.xml")
        if kind not in parts and default in names:
            parts[kind] = [default]
    return parts


def _note_comments(package: zipfile.ZipFile, parts: list[str], allowance: Allowance) -> None:
    comments = 0

    def start(element: str, _: dict[str, str]) -> None:
        nonlocal comments
        comments += element == "comment"

    for name in parts:
        parse_part(package, name, allowance, start=start)
    if comments:
        allowance.notes.append("1 comment was not read." if comments == 1 else f"{comments} comments were not read.")


@dataclass(slots=True)
class _Paragraph:
    text: list[str] = field(default_factory=list)
    style: str = ""
    heading: int | None = None
    number: str | None = None
    level: int | None = None

    def set(self, element: str, value: str) -> None:
        """Set a property."""
        if element == "pStyle":
            self.style = value
        elif element == "numId":
            self.number = value
        elif value.isdecimal() and element == "outlineLvl":
            self.heading = int(value[:2])
        elif value.isdecimal() and element == "ilvl":
            self.level = int(value[:2])


@dataclass(slots=True)
class _FormField:
    """A check box or a list of older forms, which has no text."""

    is_box: bool = False
    is_checked: bool = False
    choice: int = 0
    options: list[str] = field(default_factory=list)

    def text(self) -> str:
        if self.is_box:
            return "☒" if self.is_checked else "☐"
        return self.options[self.choice] if self.choice < len(self.options) else ""


class _Body:
    """Handles the elements of a body. Paragraphs may be nested, as in a text box."""

    def __init__(self, outline: Outline, styles: dict[str, Style], numbering: Numbering) -> None:
        self._outline = outline
        self._styles = styles
        self._numbering = numbering
        self._field: _FormField | None = None
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
        if element in _PROPERTIES:
            paragraph.set(element, attributes.get("val", ""))
        elif element == "tab" and "pos" in attributes:
            return  # a tab stop, not a tab
        elif element in _SIGNS:
            paragraph.text.append(_SIGNS[element])
        elif element == "docPr" and attributes.get("descr"):
            paragraph.text.append(f" {' '.join(attributes['descr'].split())} ")
        elif element == "sym":
            paragraph.text.append(symbol(attributes.get("font", ""), attributes.get("char", "")))
        elif element == "ffData":
            self._field = _FormField()
        elif self._field:
            self._start_in_field(self._field, element, attributes)

    @staticmethod
    def _start_in_field(form_field: _FormField, element: str, attributes: dict[str, str]) -> None:
        value = attributes.get("val", "")
        if element == "checkBox":
            form_field.is_box = True
        elif element in ("checked", "default") and form_field.is_box:
            form_field.is_checked = value not in _FALSE
        elif element in ("result", "default") and value.isdecimal():
            form_field.choice = int(value[:4])
        elif element == "listEntry":
            form_field.options.append(value)

    def data(self, text: str) -> None:
        if self._in_text and not self._omitted_depth and self._paragraphs:
            self._paragraphs[-1].text.append(text)

    def end(self, element: str) -> None:
        if self._omitted_depth:
            self._omitted_depth -= 1
            return
        self._in_text = False
        if element == "ffData" and self._field and self._paragraphs:
            self._paragraphs[-1].text.append(self._field.text())
            self._field = None
        elif element == "p" and self._paragraphs:
            self._end_paragraph(self._paragraphs.pop())
        elif element == "tc" and self._row.is_open:
            self._row.end_cell()
        elif element == "tr" and self._row.is_open:
            line = self._row.close()
            if line:
                self._outline.add(line, tight=True)

    def _end_paragraph(self, paragraph: _Paragraph) -> None:
        style = self._styles.get(paragraph.style, Style())
        label = self._label(paragraph, style)
        text = "".join(paragraph.text).strip(" ")
        if not text.strip():
            return
        if label:
            text = f"{label} {text.lstrip()}"
        if self._row.is_open:
            self._row.add(text)
            return
        level = paragraph.heading if paragraph.heading is not None else style.heading
        if level is None or level >= _BODY_LEVEL:
            self._outline.add(text)
        else:
            self._outline.heading(level, text)

    def _label(self, paragraph: _Paragraph, style: Style) -> str:
        number, owner = paragraph.number, paragraph.style
        level = paragraph.level
        if number is None and style.number:
            number, owner = style.number
            level = style.level if level is None else level
        elif level is None:
            level = 0
        if number is None or number == _NO_NUMBER:
            return ""
        return self._numbering.label(number, level, (paragraph.style, owner))


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
