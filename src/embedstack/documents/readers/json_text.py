"""Reads JSON: one section per row of a list, or per member of an object."""

import json
from collections.abc import Iterator
from typing import Any

from embedstack.documents.document import Section
from embedstack.documents.limits import Allowance
from embedstack.documents.readers.cleaning import clean, clean_line
from embedstack.documents.readers.data_uris import remove_data_uris
from embedstack.documents.readers.encodings import decode
from embedstack.documents.readers.outline import Outline, Reading
from embedstack.documents.readers.plain_text import read_plain_text

__all__ = ["parse_json", "read_json"]

_NAMES_OF_CONSTANTS = {True: "true", False: "false"}


def read_json(content: bytes, allowance: Allowance) -> Reading:
    """Read JSON.

    Each value becomes a ``path.to.name: value`` line. The items of a list are rows; the members of an object that are
    lists or objects are sections. Content that is not JSON, such as JSON with comments, is read as plain text with a
    note.

    Raises:
        DocumentRefused: It is nested too deeply ("too_complex").
    """
    text, encoding = decode(content, allowance)
    value, problem = _parse(text, allowance)
    if problem is not None:
        allowance.notes.append(f"The file is not valid JSON{problem} and was read as plain text.")
        return read_plain_text(content, allowance)
    if isinstance(value, list):
        return Reading(list(_rows(value, allowance)), encoding=encoding)
    outline = Outline(allowance)
    members = value if isinstance(value, dict) else {"": value}
    simple = {name: member for name, member in members.items() if not isinstance(member, dict | list)}
    for row in _lines(simple):
        outline.add(row, tight=True)
    for name, member in members.items():
        if isinstance(member, dict | list):
            outline.heading(1, name)
            for row in _lines(member):
                outline.add(row, tight=True)
    return Reading(outline.sections(), encoding=encoding)


def parse_json(content: bytes, allowance: Allowance) -> tuple[Any, str]:
    """Decode and parse a file whose format is JSON.

    Returns:
        The value, and the encoding by Python's name.

    Raises:
        DocumentRefused: It is not JSON ("corrupt"), or nested too deeply ("too_complex").
    """
    text, encoding = decode(content, allowance)
    value, problem = _parse(text, allowance)
    if problem is not None:
        allowance.refuse("corrupt", f"has no valid JSON{problem}; it may be truncated. Upload it again.")
    return value, encoding


def _parse(text: str, allowance: Allowance) -> tuple[Any, str | None]:
    """The value of a text, and None; or None, and where the text is not JSON."""
    try:
        return json.loads(text), None
    except RecursionError:
        allowance.refuse("too_complex", "is nested too deeply. Flatten it.")
    except ValueError as error:
        # The error is not chained: its attribute doc contains the text.
        return None, f" at line {error.lineno}" if isinstance(error, json.JSONDecodeError) else ""


def _rows(values: list[Any], allowance: Allowance) -> Iterator[Section]:
    for number, value in enumerate(values, start=1):
        allowance.take_row()
        text = remove_data_uris("\n".join(_lines(value)), allowance)
        allowance.take_characters(len(text))
        if text.strip():
            yield Section(text, row=number)


def _lines(value: Any) -> Iterator[str]:
    """A line for each value: its path, and the value."""
    # A stack instead of recursion, which would yield each line through every level.
    levels: list[tuple[str, Iterator[tuple[str, Any]]]] = [("", iter([("", value)]))]
    while levels:
        path, entries = levels[-1]
        name, entry = next(entries, (None, None))
        if name is None:
            levels.pop()
            continue
        inner = ".".join(part for part in (path, name) if part)
        if isinstance(entry, dict):
            levels.append((inner, ((clean_line(key), member) for key, member in entry.items())))
        elif isinstance(entry, list):
            if any(isinstance(item, dict | list) for item in entry):
                levels.append((inner, (("", item) for item in entry)))
            else:
                yield from _line(inner, ", ".join(filter(None, map(_text, entry))))
        else:
            yield from _line(inner, _text(entry))


def _line(path: str, text: str) -> Iterator[str]:
    if text:
        yield f"{path}: {text}" if path else text


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return _NAMES_OF_CONSTANTS[value]
    return clean(value).strip() if isinstance(value, str) else repr(value)
