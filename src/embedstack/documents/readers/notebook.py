"""Reads Jupyter notebooks (nbformat 3 and 4): Markdown by heading, code, and the text of outputs."""

import re
from collections.abc import Iterator
from typing import Any

from embedstack.documents.limits import Allowance
from embedstack.documents.readers.cleaning import clean
from embedstack.documents.readers.json_text import parse_json
from embedstack.documents.readers.markdown import add_markdown
from embedstack.documents.readers.outline import Outline, Reading

__all__ = ["read_notebook"]

# Colours of a terminal.
_ESCAPE = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_TEXT_OUTPUTS = ("text/markdown", "text/plain")


def read_notebook(content: bytes, allowance: Allowance) -> Reading:
    """Read a notebook.

    Code and outputs are fenced as in Markdown. Of an output's representations, the text is read; pictures and widgets
    are not.

    Raises:
        DocumentRefused: It is not JSON, or has no cells ("corrupt").
    """
    notebook, encoding = parse_json(content, allowance)
    metadata = _dictionary(_dictionary(notebook).get("metadata"))
    language = _string(_dictionary(metadata.get("language_info")).get("name"))
    cells = list(_cells(_dictionary(notebook)))
    if not cells and "nbformat" not in _dictionary(notebook):
        allowance.refuse("corrupt", "is JSON, but not a Jupyter notebook. Correct its suffix.")
    outline = Outline(allowance)
    for cell in cells:
        kind = cell.get("cell_type")
        source = clean(_string(cell.get("source", cell.get("input"))))
        if kind == "code":
            outline.add(_fenced(source, language))
            for output in _list(cell.get("outputs")):
                outline.add(_fenced(_output_text(_dictionary(output)), ""))
        elif kind == "heading":
            outline.heading(int(cell["level"]) if cell.get("level") in range(1, 7) else 1, source)
        elif kind == "raw":
            outline.add(source)
        else:
            add_markdown(source, outline)
    return Reading(outline.sections(), title=_string(metadata.get("title")) or None, encoding=encoding)


def _cells(notebook: dict[str, Any]) -> Iterator[dict[str, Any]]:
    worksheets = [notebook, *map(_dictionary, _list(notebook.get("worksheets")))]
    for worksheet in worksheets:
        yield from map(_dictionary, _list(worksheet.get("cells")))


def _output_text(output: dict[str, Any]) -> str:
    data = _dictionary(output.get("data"))
    texts = [
        *(data.get(media_type) for media_type in _TEXT_OUTPUTS),
        output.get("text"),
        output.get("traceback"),
    ]
    text = next((text for text in map(_string, texts) if text.strip()), "")
    return clean(_ESCAPE.sub("", text))


def _fenced(text: str, language: str) -> str:
    text = text.strip("\n")
    return f"```{language}\n{text}\n```" if text.strip() else ""


def _string(value: object) -> str:
    """A text, which may be stored as a list of lines."""
    if isinstance(value, str):
        return value
    lines = [line for line in _list(value) if isinstance(line, str)]
    # Lines of a traceback have no line ends.
    separator = "" if any("\n" in line for line in lines) else "\n"
    return separator.join(lines)


def _dictionary(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
