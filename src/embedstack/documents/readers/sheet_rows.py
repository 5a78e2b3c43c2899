"""Builds sections from the rows of a sheet: one section per row, with the header's names before the values."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import NamedTuple

from embedstack.documents.document import Section
from embedstack.documents.limits import Allowance
from embedstack.documents.readers.cleaning import clean, clean_line
from embedstack.documents.readers.column_names import COMPARED_ROWS, is_column_name
from embedstack.documents.readers.data_uris import remove_data_uris

__all__ = ["MergedCells", "SheetRow", "sheet_sections"]

# A header lies within the first rows, below a sheet's title.
_HEADER_ROWS = 15


class SheetRow(NamedTuple):
    """A row with text.

    Attributes:
        number: Its number in the sheet, from 1.
        cells: Column, from 0, and text of its cells in order. No text is empty.
    """

    number: int
    cells: list[tuple[int, str]]


class MergedCells(NamedTuple):
    """A range of merged cells. Rows count from 1, columns from 0; the last ones are included."""

    first_row: int
    last_row: int
    first_column: int
    last_column: int


def sheet_sections(
    name: str, rows: list[SheetRow], allowance: Allowance, merged: Sequence[MergedCells] = ()
) -> list[Section]:
    """Sections of a sheet.

    The header is the first row that fills at least half of the sheet's width, if its cells are names by
    :func:`~embedstack.documents.readers.column_names.is_column_name`. Rows above it, such as a title, and rows of a
    sheet without a header are lines with bars between the cells. A merged cell's value is that of each row and header
    column that it covers.

    Args:
        name: The sheet's name. It is the heading of all sections, and the first line of the first one.
        rows: The rows.
        allowance: Counts characters; the rows have been counted.
        merged: The sheet's merged cells.
    """
    heading = clean_line(name)
    header = _header_index(rows)
    if merged:
        rows = _fill_merged(rows, merged, header)
    names = {} if header is None else {column: clean_line(text) for column, text in rows[header].cells}
    used = {column for row in rows[0 if header is None else header + 1 :] for column, _ in row.cells}
    sections: list[Section] = []
    for index, row in enumerate(rows):
        if header is None or index < header:
            text = _line(row)
        elif index == header:
            if used.issuperset(names):
                continue
            text = _line(row)  # no other row has the names of its empty columns
        else:
            text = "\n".join(
                f"{names.get(column) or f'column {column + 1}'}: {clean(text).strip()}" for column, text in row.cells
            )
        text = remove_data_uris(text, allowance)
        if not sections and heading:
            text = f"{heading}\n\n{text}"
        allowance.take_characters(len(text))
        if text.strip():
            sections.append(Section(text, (heading,) if heading else (), row=row.number))
    return sections


def _line(row: SheetRow) -> str:
    return " | ".join(" ".join(clean(text).split()) for _, text in row.cells)


def _header_index(rows: list[SheetRow]) -> int | None:
    width = max((len(row.cells) for row in rows[:COMPARED_ROWS]), default=0)
    if width < 2:
        return None
    for index, row in enumerate(rows[:_HEADER_ROWS]):
        if len(row.cells) >= max(2, width / 2):
            return index if _is_header(row, rows[index + 1 : index + 1 + COMPARED_ROWS]) else None
    return None


def _is_header(row: SheetRow, following: list[SheetRow]) -> bool:
    values: dict[int, list[str]] = {}
    for other in following:
        if other.cells != row.cells:
            for column, text in other.cells:
                values.setdefault(column, []).append(text.strip())
    return bool(values) and all(is_column_name(text.strip(), values.get(column, ())) for column, text in row.cells)


def _fill_merged(rows: list[SheetRow], merged: Sequence[MergedCells], header: int | None) -> list[SheetRow]:
    """Repeat values: downwards in all rows, and across the columns of the header."""
    header_number = rows[header].number if header is not None else None
    by_number = {row.number: dict(row.cells) for row in rows}
    numbers = sorted(by_number)
    for cells in merged:
        value = by_number.get(cells.first_row, {}).get(cells.first_column)
        if value is None:
            continue
        if header_number is not None and cells.first_row <= header_number <= cells.last_row:
            # Not beyond the row's last cell: a range may span all 16,384 columns.
            last = max(by_number[header_number])
            for column in range(cells.first_column, min(cells.last_column, last) + 1):
                by_number[header_number].setdefault(column, value)
        for number in _between(numbers, cells.first_row + 1, cells.last_row):
            by_number[number].setdefault(cells.first_column, value)
    return [SheetRow(number, sorted(by_number[number].items())) for number in numbers]


def _between(numbers: list[int], first: int, last: int) -> list[int]:
    return numbers[bisect_left(numbers, first) : bisect_right(numbers, last)]
