"""Reads OpenDocument files (ODF 1.3 part 3): odt by heading, ods by row, odp by slide."""

import dataclasses
import zipfile
from dataclasses import dataclass, field

from embedstack.documents.document import Section
from embedstack.documents.limits import Allowance
from embedstack.documents.readers.outline import Outline, Reading
from embedstack.documents.readers.package import open_package, parse_part, title_in
from embedstack.documents.readers.sheet_rows import SheetRow, sheet_sections

__all__ = ["read_open_document", "read_open_document_sheet"]

_CONTENT = "content.xml"
_META = "meta.xml"
_MANIFEST = "META-INF/manifest.xml"
# Deleted text, comments, and what a reader of the document does not see.
_OMITTED = frozenset({"tracked-changes", "annotation", "note-citation", "desc", "forms", "scripts", "binary-data"})
_PARAGRAPHS = frozenset({"p", "h"})
_CELLS = frozenset({"table-cell", "covered-table-cell"})
_SIGNS = {"tab": "\t", "line-break": "\n", "s": " "}
_MAX_SPACES = 100
# A spreadsheet has up to 16,384 columns and 1,048,576 rows. Repetitions of a cell or row with text are usually few.
_MAX_COLUMNS = 16_384
_MAX_REPEATED_ROWS = 1000
_BAR = " | "


def read_open_document(content: bytes, allowance: Allowance) -> Reading:
    """Read a text document or a presentation.

    A table row is a line with bars between its cells. Footnotes and text boxes follow their paragraph. Headers,
    footers, comments and deleted text are not read. A presentation's slides are pages, with their title as heading.

    Raises:
        DocumentRefused: It needs a password ("encrypted"); see also
            :func:`~embedstack.documents.readers.package.open_package`.
    """
    with _open(content, allowance) as package:
        handler = _Text(allowance)
        parse_part(package, _CONTENT, allowance, start=handler.start, end=handler.end, data=handler.data)
        return Reading(handler.sections(), title=title_in(package, _META, allowance))


def read_open_document_sheet(content: bytes, allowance: Allowance) -> Reading:
    """Read a spreadsheet; see :func:`~embedstack.documents.readers.sheet_rows.sheet_sections`.

    A cell's text is the displayed one, except for dates, which are in ISO 8601.

    Raises:
        DocumentRefused: As for :func:`read_open_document`.
    """
    with _open(content, allowance) as package:
        handler = _Sheets(allowance)
        parse_part(package, _CONTENT, allowance, start=handler.start, end=handler.end, data=handler.data)
        return Reading(handler.sections, title=title_in(package, _META, allowance))


def _open(content: bytes, allowance: Allowance) -> zipfile.ZipFile:
    package = open_package(content, allowance)
    names = package.namelist()
    if _MANIFEST in names:
        encrypted: list[str] = []
        parse_part(
            package,
            _MANIFEST,
            allowance,
            start=lambda element, _: encrypted.append(element) if element == "encryption-data" else None,
        )
        if encrypted:
            allowance.refuse("encrypted", "is protected by a password. Save it without one.")
    if _CONTENT not in names:
        allowance.refuse("corrupt", "lacks its content; it may be truncated. Upload it again.")
    return package


def _count(digits: str | None, limit: int) -> int:
    return min(int(digits), limit) if digits and digits.isdecimal() and len(digits) < 10 else 1


@dataclass(slots=True)
class _Paragraph:
    level: int | None = None
    text: list[str] = field(default_factory=list)


class _Omitting:
    """Omits some elements, and collects the text of paragraphs, which may be nested."""

    def __init__(self) -> None:
        self.paragraphs: list[_Paragraph] = []
        self._omitted_depth = 0

    def omits_start(self, element: str) -> bool:
        """Count a start; whether the element is omitted."""
        if self._omitted_depth or element in _OMITTED:
            self._omitted_depth += 1
            return True
        return False

    def omits_end(self) -> bool:
        """Count an end; whether the element is omitted."""
        if self._omitted_depth:
            self._omitted_depth -= 1
            return True
        return False

    def add_sign(self, element: str, attributes: dict[str, str]) -> None:
        """Add the character of an element."""
        if self.paragraphs and element in _SIGNS:
            repeated = _count(attributes.get("c"), _MAX_SPACES) if element == "s" else 1
            self.paragraphs[-1].text.append(_SIGNS[element] * repeated)

    def data(self, text: str) -> None:
        """Add text."""
        if self.paragraphs and not self._omitted_depth:
            # Line ends and tabs are white space; there are elements for them.
            self.paragraphs[-1].text.append(" ".join(text.split("\n")) if "\n" in text else text)


class _Text(_Omitting):
    """Handles the elements of a text document or presentation."""

    def __init__(self, allowance: Allowance) -> None:
        super().__init__()
        self._allowance = allowance
        self._outline = Outline(allowance)
        self._sections: list[Section] = []
        self._page: int | None = None
        self._is_title = False
        self._rows: list[list[str]] = []  # cells of the open rows, of nested tables
        self._nested: list[_Paragraph] = []  # finished paragraphs in an open one, such as footnotes

    def sections(self) -> list[Section]:
        """The sections."""
        self._end_page()
        return self._sections

    def start(self, element: str, attributes: dict[str, str]) -> None:
        """Handle the start of an element."""
        if self.omits_start(element):
            return
        if element in _PARAGRAPHS:
            level = _count(attributes.get("outline-level"), 10) if element == "h" else None
            self.paragraphs.append(_Paragraph(1 if self._is_title else level))
        elif element == "table-row":
            self._rows.append([])
        elif element in _CELLS and self._rows:
            self._rows[-1].append("")
        elif element == "page":
            self._end_page()
            self._allowance.take_page()
            self._page = (self._page or 0) + 1
        elif element == "frame":
            self._is_title = attributes.get("class") == "title"
        else:
            self.add_sign(element, attributes)

    def end(self, element: str) -> None:
        """Handle the end of an element."""
        if self.omits_end():
            return
        if element in _PARAGRAPHS and self.paragraphs:
            paragraph = self.paragraphs.pop()
            if self.paragraphs:
                self._nested.append(paragraph)
                return
            for finished in (paragraph, *self._nested):
                self._add(finished)
            self._nested = []
        elif element == "table-row" and self._rows:
            line = _BAR.join(self._rows.pop()).strip()
            if line.strip(_BAR):
                self._add_line(line)
        elif element == "frame":
            self._is_title = False

    def _add(self, paragraph: _Paragraph) -> None:
        text = "".join(paragraph.text)
        if self._rows:
            self._add_line(" ".join(text.split()))
        elif paragraph.level is None:
            self._outline.add(text)
        elif text.strip():
            self._outline.heading(paragraph.level, text)

    def _add_line(self, line: str) -> None:
        """Add a line to the open cell, or a row to the text."""
        if not self._rows:
            self._outline.add(line, tight=True)
        elif self._rows[-1] and line:
            self._rows[-1][-1] = f"{self._rows[-1][-1]} {line}".strip()

    def _end_page(self) -> None:
        self._sections += [
            dataclasses.replace(section, page=self._page) if self._page else section
            for section in self._outline.sections()
        ]
        self._outline = Outline(self._allowance)


class _Sheets(_Omitting):
    """Handles the elements of a spreadsheet."""

    def __init__(self, allowance: Allowance) -> None:
        super().__init__()
        self.sections: list[Section] = []
        self._allowance = allowance
        self._name = ""
        self._rows: list[SheetRow] = []
        self._number = 0
        self._cells: list[tuple[int, str]] = []
        self._column = 0
        self._texts: list[str] = []
        self._repeated_rows = self._repeated_cells = 1
        self._date = ""

    def start(self, element: str, attributes: dict[str, str]) -> None:
        """Handle the start of an element."""
        if self.omits_start(element):
            return
        if element in _PARAGRAPHS:
            self.paragraphs.append(_Paragraph())
        elif element == "table":
            self._name, self._rows, self._number = attributes.get("name", ""), [], 0
        elif element == "table-row":
            self._repeated_rows = _count(attributes.get("number-rows-repeated"), 10**7)
            self._cells, self._column = [], 0
        elif element in _CELLS:
            self._repeated_cells = _count(attributes.get("number-columns-repeated"), _MAX_COLUMNS)
            self._date = attributes.get("date-value", "") if attributes.get("value-type") == "date" else ""
            self._texts = []
        else:
            self.add_sign(element, attributes)

    def end(self, element: str) -> None:
        """Handle the end of an element."""
        if self.omits_end():
            return
        if element in _PARAGRAPHS and self.paragraphs:
            self._texts.append("".join(self.paragraphs.pop().text))
        elif element in _CELLS:
            text = self._date.removesuffix("T00:00:00") or "\n".join(self._texts)
            if text.strip():
                columns = range(self._column, min(self._column + self._repeated_cells, _MAX_COLUMNS))
                self._allowance.take_characters(len(text) * len(columns))
                self._cells += [(column, text) for column in columns]
            self._column += self._repeated_cells
        elif element == "table-row":
            for number in range(min(self._repeated_rows, _MAX_REPEATED_ROWS) if self._cells else 0):
                self._allowance.take_row()
                self._rows.append(SheetRow(self._number + number + 1, self._cells))
            self._number += self._repeated_rows
        elif element == "table":
            self.sections += sheet_sections(self._name, self._rows, self._allowance)
            self._rows = []
