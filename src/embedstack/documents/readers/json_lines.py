"""Reads JSON Lines: one section per row."""

import json
import re
from collections.abc import Iterator
from itertools import repeat
from typing import Any, NoReturn

from embedstack.documents.document import Section
from embedstack.documents.limits import Allowance
from embedstack.documents.readers.cleaning import clean, clean_line
from embedstack.documents.readers.data_uris import remove_data_uris
from embedstack.documents.readers.encodings import decode
from embedstack.documents.readers.outline import Reading

__all__ = ["read_json_lines"]

#: Fields for a row's text and title, by priority.
_TEXTS = ("text", "content", "body", "page_content", "passage", "document", "abstract", "description")
_RECORD_SEPARATOR = "\x1e"
_VALUE = re.compile(r"[^\s,]")
_TITLES = ("title", "heading", "headline", "subject")


def read_json_lines(content: bytes, allowance: Allowance) -> Reading:
    """Read JSON Lines (https://jsonlines.org): one JSON value per line. Empty lines are skipped.

    Values of several lines, JSON text sequences (RFC 7464) and one array of all rows are read too. A row's text is its
    title, if any, and its first text field (``text``, ``content``, ``body``, …). A row without text field becomes
    ``name: value`` lines of all its strings at any depth. A row that is a string is its text. Rows without strings are
    counted in a note.

    Raises:
        DocumentRefused: A row is not JSON. The message has its number.
    """
    text, encoding = decode(content, allowance)
    sections: list[Section] = []
    empty_rows = 0
    for number, row in _rows(text.replace(_RECORD_SEPARATOR, "\n"), allowance):
        allowance.take_row()
        section = _section(row, number, allowance)
        if section:
            allowance.take_characters(len(section.text))
            sections.append(section)
        else:
            empty_rows += 1
    if empty_rows:
        allowance.notes.append(f"{empty_rows} of {len(sections) + empty_rows} rows have no text.")
    return Reading(sections, encoding=encoding)


def _rows(text: str, allowance: Allowance) -> Iterator[tuple[int, Any]]:
    """The rows, each with the number of its line."""
    lines = text.split("\n")
    first = next((line for line in lines if line.strip()), "")
    if _is_json(first) and len(first) < len(text.strip()):
        for number, line in enumerate(lines, start=1):
            if line.strip():
                yield number, _parse(line, number, allowance)
        return
    # The first line is the whole text, part of a value, or no JSON.
    rows = list(_values(text, allowance))
    if len(rows) == 1 and isinstance(rows[0][1], list):
        yield from enumerate(rows[0][1], start=1)
    else:
        yield from rows


def _is_json(line: str) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def _values(text: str, allowance: Allowance) -> Iterator[tuple[int, Any]]:
    """Values that are separated by blanks or commas, each with the number of its first line."""
    decoder = json.JSONDecoder()
    position, number = 0, 1
    while match := _VALUE.search(text, position):
        number += text.count("\n", position, match.start())
        try:
            value, end = decoder.raw_decode(text, match.start())
        except RecursionError:
            _refuse_depth(number, allowance)
        except ValueError as error:
            line = error.lineno if isinstance(error, json.JSONDecodeError) else number
            _refuse_row(line, error, allowance)
        yield number, value
        number += text.count("\n", match.start(), end)
        position = end


def _parse(line: str, number: int, allowance: Allowance) -> Any:
    try:
        return json.loads(line)
    except RecursionError:
        _refuse_depth(number, allowance)
    except ValueError as error:
        _refuse_row(number, error, allowance)


def _refuse_depth(number: int, allowance: Allowance) -> NoReturn:
    allowance.refuse("too_complex", f"is nested too deeply in row {number}. Flatten it.")


def _refuse_row(number: int, error: ValueError, allowance: Allowance) -> NoReturn:
    # The error is not chained: its attribute doc contains the row.
    where = f" at column {error.colno}" if isinstance(error, json.JSONDecodeError) else ""
    allowance.refuse("corrupt", f"has no valid JSON in row {number}{where}. Write one JSON value on each line.")


def _section(row: Any, number: int, allowance: Allowance) -> Section | None:
    if not isinstance(row, dict):
        text = remove_data_uris("\n".join(_strings(row)), allowance)
        return Section(text, row=number) if text.strip() else None
    title = clean(_first(row, _TITLES)).strip()
    text = clean(_first(row, _TEXTS)).strip()
    if not text:
        text, title = "\n".join(_strings(row)), ""
    text = remove_data_uris(text, allowance)
    if not text.strip():
        return None
    headings = (clean_line(title),) if title else ()
    return Section(f"{title}\n\n{text}" if title else text, headings, row=number)


def _first(row: dict[str, Any], names: tuple[str, ...]) -> str:
    values = (row.get(name) for name in names)
    return next((value for value in values if isinstance(value, str) and value.strip()), "")


def _strings(row: Any) -> Iterator[str]:
    """All strings of a row in order, as ``name: value`` lines."""
    # A stack instead of recursion, which is limited in depth and would yield each string through every level.
    levels: list[Iterator[tuple[str, Any]]] = [iter([("", row)])]
    while levels:
        entry = next(levels[-1], None)
        if entry is None:
            levels.pop()
            continue
        name, value = entry
        if isinstance(value, str):
            text = clean(value).strip()
            if text:
                yield f"{name}: {text}" if name else text
        elif isinstance(value, dict):
            levels.append((clean_line(inner_name), inner) for inner_name, inner in value.items())
        elif isinstance(value, list):
            levels.append(zip(repeat(name), value))
