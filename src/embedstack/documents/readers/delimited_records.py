"""Splits the text of a CSV or TSV file into records, by the dialect that its first lines have.

RFC 4180 is followed where a file follows it. Other files are read without loss: a row whose quotes do not match is read
as written, line by line.
"""

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from typing import Any, NamedTuple

from embedstack.documents.limits import Allowance

__all__ = ["Dialect", "detect_dialect", "read_records"]

# In case of doubt, the first.
_DELIMITERS = ",;\t|"
_SAMPLE_ROWS = 100
_SAMPLE = 64 * 1024
# Rows may have different numbers of cells; a delimiter whose rows are this much more alike is the right one.
_SHARE_STEPS = 20
_ESCAPED_QUOTE = re.compile(r'(?<!\\)((?:\\\\)*+)\\"')
_NUMBER = re.compile(r"[-+]?\d{1,15}(?:[.,]\d{1,15})?")


class Dialect(NamedTuple):
    """How a file separates cells.

    Attributes:
        delimiter: The character between cells.
        quote: The character around cells that contain delimiters; None if quotes are text.
        width: The most common number of cells.
    """

    delimiter: str
    quote: str | None = '"'
    width: int = 1


def detect_dialect(text: str) -> tuple[Dialect, str]:
    """The dialect of a file, and its text without a line that names the delimiter, and with escapes of RFC 4180."""
    # Excel supports a first line that names the delimiter.
    first, _, rest = text.partition("\n")
    named = first.strip().lower()
    delimiters = _DELIMITERS
    if named.startswith("sep=") and len(named) == 5:
        delimiters, text = named[4], rest
    sample = text[:_SAMPLE]
    if len(text) > _SAMPLE:
        sample = sample[: sample.rfind("\n") + 1] or sample
    dialect = _best_fit(sample, delimiters)
    if '\\"' in sample:
        unescaped = _unescape(sample)
        other = _best_fit(unescaped, delimiters)
        if _mismatches(unescaped, other) < _mismatches(sample, dialect):
            dialect, sample, text = other, unescaped, _unescape(text)
    if _is_quote_text(sample, dialect):
        dialect = dialect._replace(quote=None)
    return dialect, text


def _unescape(text: str) -> str:
    return _ESCAPED_QUOTE.sub(r'\1""', text)


def _mismatches(sample: str, dialect: Dialect) -> int:
    return sum(not is_valid for _, is_valid in _parse(sample, dialect))


def _best_fit(sample: str, delimiters: str) -> Dialect:
    dialects = [Dialect(delimiter, _quote(sample, delimiter)) for delimiter in delimiters]
    fits = [_fit(sample, dialect) for dialect in dialects]
    best = max(range(len(fits)), key=fits.__getitem__)
    return dialects[best]._replace(width=max(1, fits[best][2]))


def _quote(sample: str, delimiter: str) -> str:
    """The quote: an apostrophe if most cells are in apostrophes, and none in quotation marks."""
    if '"' in sample or "'" not in sample:
        return '"'
    before, after = rf"(?:^|{re.escape(delimiter)}) *'", rf"' *(?:{re.escape(delimiter)}|$)"
    opened, closed = (len(re.findall(pattern, sample, re.MULTILINE)) for pattern in (before, after))
    return "'" if opened == closed > 0.9 * sample.count("'") / 2 else '"'


def _is_quote_text(sample: str, dialect: Dialect) -> bool:
    """Whether quotes do not match, and no cell has them on both sides."""
    quoted = any(
        len(cell) > 1 and cell[0] == cell[-1] == dialect.quote
        for line in sample.split("\n")
        for cell in map(str.strip, line.split(dialect.delimiter))
    )
    return not quoted and _mismatches(sample, dialect) > 0


def _fit(sample: str, dialect: Dialect) -> tuple[int, float, int]:
    """How well a dialect fits: how alike rows are, how many cells have no other delimiter, and cells per row.

    All are 0 for a delimiter that splits nothing.
    """
    rows = [record for record, _ in islice(_parse(sample, dialect), _SAMPLE_ROWS) if any(map(str.strip, record))]
    widths = Counter(len(record) for record in rows)
    if not widths:
        return 0, 0.0, 0
    width, count = max(widths.items(), key=lambda item: (item[1], item[0]))
    if width == 1:
        return 0, 0.0, 0
    cells = [cell for record in rows for cell in record]
    others = set(_DELIMITERS) - {dialect.delimiter}
    plain = sum(_NUMBER.fullmatch(cell.strip()) is not None or others.isdisjoint(cell) for cell in cells)
    return round(_SHARE_STEPS * count / len(rows)), round(plain / len(cells), 1), width


def read_records(text: str, dialect: Dialect, allowance: Allowance) -> Iterator[list[str]]:
    """The records of a table, counted as rows. A note says how many have quotes that do not match."""
    mismatches = 0
    for record, is_valid in _parse(text, dialect):
        allowance.take_row()
        mismatches += not is_valid
        yield record
    if mismatches:
        rows = "1 row has" if mismatches == 1 else f"{mismatches:,} rows have"
        allowance.notes.append(
            f"{rows} quotes that do not match, and {'was' if mismatches == 1 else 'were'} read as written."
        )


def _parse(text: str, dialect: Dialect) -> Iterator[tuple[list[str], bool]]:
    """Records, and whether their quotes match."""
    lines = io.StringIO(text, newline="").readlines()
    start = reread = 0
    reader = _reader(lines, start, dialect)
    while reread <= len(text):
        first = start + reader.line_num
        try:
            record = next(reader)
        except StopIteration:
            return
        except csv.Error:
            is_valid = False
        else:
            is_valid = not _swallows_rows(lines[first : start + reader.line_num], dialect)
        if is_valid:
            yield record, True
            continue
        yield _split(lines[first], dialect), dialect.quote is None
        reread += sum(map(len, lines[first + 1 : start + reader.line_num]))
        start = first + 1
        reader = _reader(lines, start, dialect)
    # A file that was read twice has too many records in which a quote opens and does not close.
    for line in lines[start:]:
        yield _split(line, dialect), dialect.quote is None


def _reader(lines: list[str], start: int, dialect: Dialect) -> Any:
    # Its type has no public name.
    return csv.reader(
        map(lines.__getitem__, range(start, len(lines))),
        delimiter=dialect.delimiter,
        quotechar=dialect.quote,
        quoting=csv.QUOTE_MINIMAL if dialect.quote else csv.QUOTE_NONE,
        skipinitialspace=dialect.delimiter != " ",
        # An unclosed quote would otherwise move the rest of the table into one cell.
        strict=True,
    )


def _swallows_rows(lines: list[str], dialect: Dialect) -> bool:
    """Whether a record of several lines is several rows, in one of which a quote opens and in another one closes."""
    # Only tabs are rare enough in text for this conclusion.
    return (
        len(lines) > 1 < dialect.width
        and dialect.delimiter == "\t"
        and all(line.count("\t") == dialect.width - 1 for line in lines if line.strip())
    )


def _split(line: str, dialect: Dialect) -> list[str]:
    """The cells of a line. A quote closes a cell only before a delimiter or the end of the line."""
    quote, delimiter = dialect.quote, dialect.delimiter
    line = line.rstrip("\r\n")
    if quote is None or quote not in line:
        return line.split(delimiter)
    cells = []
    position, last_closing = 0, len(line) - 1 if line.endswith(quote) else line.rfind(quote + delimiter)
    while position <= len(line):
        start = position
        while line.startswith(" ", start):
            start += 1
        if line.startswith(quote, start) and start < last_closing:
            end = line.find(quote + delimiter, start + 1)
            end = len(line) - 1 if end < 0 else end
            cells.append(line[start + 1 : end].replace(quote * 2, quote))
            position = end + 2
        else:
            end = line.find(delimiter, position)
            end = len(line) if end < 0 else end
            cells.append(line[position:end])
            position = end + 1
    return cells
