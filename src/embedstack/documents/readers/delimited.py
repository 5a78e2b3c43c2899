"""Reads CSV and TSV: one section per row."""

import re
from itertools import chain, islice

from embedstack.documents.document import Section
from embedstack.documents.limits import Allowance
from embedstack.documents.readers.cleaning import clean, clean_line
from embedstack.documents.readers.data_uris import remove_data_uris
from embedstack.documents.readers.delimited_records import detect_dialect, read_records
from embedstack.documents.readers.encodings import decode
from embedstack.documents.readers.outline import Reading

__all__ = ["read_delimited"]

# Rows that are compared with the first one, to find out whether it is a header.
_COMPARED_ROWS = 50
_MAX_NAME = 100
_NUMBER = re.compile(r"[-+]?[\d.,' ]*\d[\d.,' ]*(?:[eE][-+]?\d{1,4})?\s*[%€$£]?")
# Columns may be years, dates or other periods.
_PERIOD = re.compile(r"(?:1[5-9]|20|21)\d\d|\d{1,4}[-/.]\d{1,2}(?:[-/.]\d{1,4})?(?:[T ][\d:.]+Z?)?")
_DATA = re.compile(r"https?://|[^\s@]+@[^\s@]+\.\w")


def read_delimited(content: bytes, allowance: Allowance) -> Reading:
    """Read a table. The delimiter is detected (comma, semicolon, tab or bar), and the way in which cells are quoted.

    A row becomes ``column: value`` lines; empty values are omitted. A column without a name is called "column 1" and so
    on. ``row`` counts records including the header, like a spreadsheet.

    The first record is the header, unless one of its cells is a number, an address, longer than 100 characters, or a
    value that its column has again. Years and dates are names of columns whose values are something else. Lines of one
    cell above a wider table are sections of their own.
    """
    text, encoding = decode(content, allowance)
    dialect, text = detect_dialect(text)
    records = (
        (number, record)
        for number, record in enumerate(read_records(text, dialect, allowance), start=1)
        if any(cell.strip() for cell in record)
    )
    sections: list[Section] = []
    first: list[tuple[int, list[str]]] = []
    for number, record in records:
        if len(record) > 1 or dialect.width == 1:
            first = [(number, record), *islice(records, _COMPARED_ROWS)]
            break
        _add(sections, clean(record[0]).strip(), number, allowance)
    columns = _header([record for _, record in first])
    for number, record in chain(first[1:] if columns else first, records):
        _add(sections, _lines(record, columns), number, allowance)
    return Reading(sections, encoding=encoding)


def _add(sections: list[Section], text: str, number: int, allowance: Allowance) -> None:
    text = remove_data_uris(text, allowance)
    allowance.take_characters(len(text))
    if text:
        sections.append(Section(text, row=number))


def _header(records: list[list[str]]) -> list[str]:
    """Names of the columns by the first records; empty if the first one is a row."""
    if len(records) < 2:
        return []
    cells = [clean(cell).strip() for cell in records[0]]
    others = [row for row in records[1:] if row != records[0]]
    for position, cell in enumerate(cells):
        if not cell:
            continue
        values = [row[position].strip() for row in others if position < len(row) and row[position].strip()]
        if not _is_name(cell, values):
            return []
    return [clean_line(cell) or _column(position) for position, cell in enumerate(cells)]


def _is_name(cell: str, values: list[str]) -> bool:
    """Whether a cell of the first record may be the name of a column with these values."""
    if len(cell) > _MAX_NAME or _DATA.match(cell) or cell in values:
        return False
    if _PERIOD.fullmatch(cell):
        return 2 * sum(_PERIOD.fullmatch(value) is not None for value in values) <= len(values)
    return not _is_value(cell)


def _is_value(cell: str) -> bool:
    return _NUMBER.fullmatch(cell) is not None


def _column(position: int) -> str:
    return f"column {position + 1}"


def _lines(record: list[str], columns: list[str]) -> str:
    # By position: copying the column names for each row would take time proportional to their number.
    lines = []
    for position, cell in enumerate(record):
        text = clean(cell).strip()
        if text:
            lines.append(f"{columns[position] if position < len(columns) else _column(position)}: {text}")
    return "\n".join(lines)
