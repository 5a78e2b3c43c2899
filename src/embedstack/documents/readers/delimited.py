"""Reads CSV and TSV: one section per row."""

from itertools import chain, islice

from embedstack.documents.document import Section
from embedstack.documents.limits import Allowance
from embedstack.documents.readers.cleaning import clean, clean_line
from embedstack.documents.readers.column_names import COMPARED_ROWS, is_column_name
from embedstack.documents.readers.data_uris import remove_data_uris
from embedstack.documents.readers.delimited_records import detect_dialect, read_records
from embedstack.documents.readers.encodings import decode
from embedstack.documents.readers.outline import Reading

__all__ = ["read_delimited"]


def read_delimited(content: bytes, allowance: Allowance) -> Reading:
    """Read a table. The delimiter is detected (comma, semicolon, tab or bar), and the way in which cells are quoted.

    A row becomes ``column: value`` lines; empty values are omitted. A column without a name is called "column 1" and so
    on. ``row`` counts records including the header, like a spreadsheet.

    The first record is the header if its cells are names by
    :func:`~embedstack.documents.readers.column_names.is_column_name`. Lines of one cell above a wider table are
    sections of their own.
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
            first = [(number, record), *islice(records, COMPARED_ROWS)]
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
        if not is_column_name(cell, values):
            return []
    return [clean_line(cell) or _column(position) for position, cell in enumerate(cells)]


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
