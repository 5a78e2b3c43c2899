"""Reads CSV and TSV: one section per row."""

import csv
import io
from collections import Counter
from collections.abc import Iterator

from embedstack.documents.document import Section
from embedstack.documents.limits import Allowance
from embedstack.documents.readers.cleaning import clean, clean_line
from embedstack.documents.readers.encodings import decode
from embedstack.documents.readers.outline import Reading

__all__ = ["read_delimited"]

_DELIMITERS = ",;\t|"
_SAMPLE_ROWS = 50
_SAMPLE = 64 * 1024


def read_delimited(content: bytes, allowance: Allowance) -> Reading:
    """Read a table in RFC 4180 format. The delimiter is detected: comma, semicolon, tab or bar.

    A row becomes ``column: value`` lines; empty values are omitted. The first record is the header unless it contains a
    number. A column without a name is called "column 1" and so on. ``row`` counts records including the header, like a
    spreadsheet.

    Raises:
        DocumentRefused: Quotes do not match, or a cell has more than 131,072 characters. The message has the row.
    """
    text, encoding = decode(content, allowance)
    delimiter, text = _delimiter(text)
    records = enumerate(_records(text, delimiter, allowance), start=1)
    sections: list[Section] = []
    columns: list[str] | None = None
    for number, record in records:
        if not any(cell.strip() for cell in record):
            continue
        if columns is None:
            columns = _header(record)
            if columns:
                continue
        lines = _lines(record, columns)
        allowance.take_characters(len(lines))
        if lines:
            sections.append(Section(lines, row=number))
    return Reading(sections, encoding=encoding)


def _records(text: str, delimiter: str, allowance: Allowance) -> Iterator[list[str]]:
    # Strict, because an unclosed quote would otherwise move the rest of the table into one cell.
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    number = 0
    while True:
        number += 1
        try:
            record = next(reader)
        except StopIteration:
            return
        except csv.Error:
            allowance.refuse(
                "corrupt",
                f"cannot be read as a table at row {number} (line {reader.line_num}). Quote cells that contain quotes "
                f"and double the quotes inside; a cell may have up to {csv.field_size_limit():,} characters.",
            )
        allowance.take_row()
        yield record


def _delimiter(text: str) -> tuple[str, str]:
    # Excel supports a first line that names the delimiter.
    first, _, rest = text.partition("\n")
    if first.lower().startswith("sep=") and len(first) == 5:
        return first[4], rest
    return max(_DELIMITERS, key=lambda delimiter: _fit(text[:_SAMPLE], delimiter)), text


def _fit(sample: str, delimiter: str) -> tuple[float, int]:
    # The share of rows with the most common number of cells, then that number; 0 for a delimiter that splits nothing.
    widths: Counter[int] = Counter()
    try:
        for record in csv.reader(io.StringIO(sample, newline=""), delimiter=delimiter):
            if record:
                widths[len(record)] += 1
            if widths.total() == _SAMPLE_ROWS:
                break
    except csv.Error:
        return 0.0, 0
    if not widths:
        return 0.0, 0
    width, rows = widths.most_common(1)[0]
    return (rows / widths.total(), width) if width > 1 else (0.0, 0)


def _header(record: list[str]) -> list[str]:
    names = [clean_line(cell) for cell in record]
    if any(map(_is_number, names)):
        return []
    return [name or _column(position) for position, name in enumerate(names)]


def _column(position: int) -> str:
    return f"column {position + 1}"


def _is_number(cell: str) -> bool:
    try:
        float(cell.replace(",", "."))
    except ValueError:
        return False
    return True


def _lines(record: list[str], columns: list[str]) -> str:
    # By position: copying the column names for each row would take time proportional to their number.
    lines = []
    for position, cell in enumerate(record):
        text = clean(cell).strip()
        if text:
            lines.append(f"{columns[position] if position < len(columns) else _column(position)}: {text}")
    return "\n".join(lines)
