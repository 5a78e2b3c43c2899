"""Reads xlsx and xlsm: one section per row.

Uses the parser of Office files: openpyxl builds objects for each cell, and calamine a table of all cells between the
first and the last one, which may be 17 billion.
"""

import re
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field

from embedstack.documents.limits import Allowance
from embedstack.documents.readers.cell_values import NumberKind, number_kinds, number_text
from embedstack.documents.readers.drawing_text import drawing_text
from embedstack.documents.readers.office_package import (
    Relationship,
    core_title,
    main_part,
    relationships,
)
from embedstack.documents.readers.outline import Outline, Reading
from embedstack.documents.readers.package import open_package, parse_part
from embedstack.documents.readers.sheet_rows import MergedCells, SheetRow, sheet_sections

__all__ = ["read_spreadsheet"]

_DEFAULT_PART = "xl/workbook.xml"
_MAX_DIGITS = 10
_REFERENCE = re.compile(r"\$?([A-Z]{1,3})\$?[0-9]{1,7}")
_RANGE = re.compile(r"\$?([A-Z]{1,3})\$?([0-9]{1,7}):\$?([A-Z]{1,3})\$?([0-9]{1,7})")
_BOOLEANS = {"0": "FALSE", "1": "TRUE"}


def read_spreadsheet(content: bytes, allowance: Allowance) -> Reading:
    """Read a workbook, sheet by sheet.

    Values are those that the spreadsheet program stored, not formulas. Formulas without a stored value and hidden
    sheets, which are read, are counted in notes. Comments and pictures are not read.

    Raises:
        DocumentRefused: See :func:`~embedstack.documents.readers.package.open_package`.
    """
    with open_package(content, allowance) as package:
        part = main_part(package, _DEFAULT_PART, allowance)
        related = relationships(package, part, allowance)
        workbook = _Workbook()
        parse_part(package, part, allowance, start=workbook.start)
        cells = _Cells(
            _shared_strings(package, _target(related, "sharedStrings"), allowance),
            number_kinds(package, _target(related, "styles"), allowance),
            from_1904=workbook.from_1904,
        )
        sections = []
        for name, relationship in workbook.sheets:
            sheet = related.get(relationship)
            if sheet is None or sheet.kind != "worksheet":
                continue  # a sheet with a chart only
            handler = _Sheet(cells, allowance)
            parse_part(package, sheet.target, allowance, start=handler.start, end=handler.end, data=handler.data)
            sections += sheet_sections(name, handler.rows, allowance, handler.merged)
            outline = Outline(allowance)
            for drawing in relationships(package, sheet.target, allowance).values():
                if drawing.kind == "drawing":
                    outline.add(drawing_text(package, drawing.target, allowance))
            sections += outline.sections()
        title = core_title(package, allowance)
    if workbook.hidden_sheets:
        allowance.notes.append(f"Hidden sheets, which were read: {workbook.hidden_sheets} of {len(workbook.sheets)}.")
    if cells.missing_results:
        allowance.notes.append(
            f"Formulas without a stored result: {cells.missing_results}. Open and save it in Excel or LibreOffice."
        )
    return Reading(sections, title=title)


def _target(related: dict[str, Relationship], kind: str) -> str | None:
    return next((relationship.target for relationship in related.values() if relationship.kind == kind), None)


@dataclass(slots=True)
class _Workbook:
    """Handles the elements of the workbook: names of sheets, with the ids of their parts."""

    sheets: list[tuple[str, str]] = field(default_factory=list)
    hidden_sheets: int = 0
    from_1904: bool = False

    def start(self, element: str, attributes: dict[str, str]) -> None:
        if element == "sheet":
            self.sheets.append((attributes.get("name", ""), attributes.get("id", "")))
            self.hidden_sheets += attributes.get("state", "visible") != "visible"
        elif element == "workbookPr":
            # An extension has an element of the same name.
            self.from_1904 = self.from_1904 or attributes.get("date1904") in ("1", "true")


def _shared_strings(package: zipfile.ZipFile, part: str | None, allowance: Allowance) -> list[str]:
    strings: list[str] = []
    text = _RichText()

    def start(element: str, _: dict[str, str]) -> None:
        text.start(element)

    def end(element: str) -> None:
        text.end(element)
        if element == "si":
            strings.append(text.take())

    if part:
        parse_part(package, part, allowance, start=start, end=end, data=text.data)
    return strings


class _RichText:
    """Collects the text of runs, without phonetic hints."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._in_text = self._in_hint = False

    def start(self, element: str) -> None:
        self._in_text = element == "t"
        self._in_hint = self._in_hint or element == "rPh"

    def end(self, element: str) -> None:
        self._in_text = False
        self._in_hint = self._in_hint and element != "rPh"

    def data(self, text: str) -> None:
        if self._in_text and not self._in_hint:
            self._parts.append(text)

    def take(self) -> str:
        text = "".join(self._parts)
        self._parts = []
        return text


class _Cells:
    """Gives the text of cells."""

    def __init__(self, strings: list[str], kinds: Sequence[NumberKind], *, from_1904: bool) -> None:
        self._strings = strings
        self._kinds = kinds
        self._from_1904 = from_1904
        self.missing_results = 0

    def text(self, kind: str, style: str, value: str, inline: str) -> str:
        """The text of a cell.

        Args:
            kind: Its type (ECMA-376 part 1, 18.18.11).
            style: Index of its style.
            value: Its value.
            inline: Its own string.
        """
        if kind == "s":
            index = _index(value)
            return self._strings[index] if index is not None and index < len(self._strings) else ""
        if kind == "b":
            return _BOOLEANS.get(value, value)
        if kind in ("inlineStr", "str", "e", "d"):
            return inline or value
        index = _index(style)
        number_kind = self._kinds[index] if index is not None and index < len(self._kinds) else "number"
        return number_text(value, number_kind, from_1904=self._from_1904) if value else inline


def _index(digits: str) -> int | None:
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < _MAX_DIGITS else None


class _Sheet:
    """Handles the elements of a worksheet."""

    def __init__(self, cells: _Cells, allowance: Allowance) -> None:
        self.rows: list[SheetRow] = []
        self.merged: list[MergedCells] = []
        self._cells = cells
        self._allowance = allowance
        self._number = 0
        self._column = -1
        self._row: list[tuple[int, str]] = []
        self._attributes: dict[str, str] = {}
        self._value: list[str] = []
        self._inline = _RichText()
        self._in_value = self._has_formula = False

    def start(self, element: str, attributes: dict[str, str]) -> None:
        if element == "row":
            number = _index(attributes.get("r", ""))
            self._number = self._number + 1 if number is None else number
            self._column = -1
        elif element == "c":
            self._attributes = attributes
            self._column = self._column_of(attributes.get("r", ""))
            self._has_formula = False
        elif element == "f":
            self._has_formula = True
        elif element == "mergeCell":
            self._merge(attributes.get("ref", ""))
        else:
            self._in_value = element == "v"
            self._inline.start(element)

    def data(self, text: str) -> None:
        if self._in_value:
            self._value.append(text)
        else:
            self._inline.data(text)

    def end(self, element: str) -> None:
        self._in_value = False
        self._inline.end(element)
        if element == "c":
            self._end_cell()
        elif element == "row" and self._row:
            self._allowance.take_row()
            self.rows.append(SheetRow(self._number, sorted(self._row)))
            self._row = []

    def _end_cell(self) -> None:
        value, self._value = "".join(self._value).strip(), []
        text = self._cells.text(
            self._attributes.get("t", "n"), self._attributes.get("s", "0"), value, self._inline.take()
        )
        self._cells.missing_results += self._has_formula and not value
        if text.strip():
            self._row.append((self._column, text))

    def _column_of(self, reference: str) -> int:
        match = _REFERENCE.match(reference)
        return _column(match[1]) if match else self._column + 1

    def _merge(self, reference: str) -> None:
        match = _RANGE.fullmatch(reference)
        if match:
            first_column, first_row, last_column, last_row = match.groups()
            self.merged.append(MergedCells(int(first_row), int(last_row), _column(first_column), _column(last_column)))


def _column(letters: str) -> int:
    number = 0
    for letter in letters:
        number = 26 * number + ord(letter) - ord("A") + 1
    return number - 1
