"""Which of a docx file's styles are headings."""

import re
import zipfile
from dataclasses import dataclass

from embedstack.documents.limits import Allowance
from embedstack.documents.readers.package import parse_part

__all__ = ["heading_levels"]

# Word writes the names of its own styles in English in every language; their ids are translated.
_HEADING = re.compile(r"heading ([1-9])", re.IGNORECASE)
_TITLE_LEVEL = -1
_NO_HEADING = 9


@dataclass(slots=True)
class _Style:
    based_on: str | None = None
    level: int | None = None


def heading_levels(package: zipfile.ZipFile, part: str, allowance: Allowance) -> dict[str, int]:
    """Outline levels by style id: 0 for "heading 1", -1 for "Title", which stands above.

    A style has its own level, that of its name, or that of the style it is based on.
    """
    styles: dict[str, _Style] = {}
    current = _Style()

    def start(element: str, attributes: dict[str, str]) -> None:
        nonlocal current
        value = attributes.get("val", "")
        if element == "style":
            current = _Style()
            if attributes.get("type") == "paragraph":
                styles[attributes.get("styleId", "")] = current
        elif element == "basedOn":
            current.based_on = value
        elif element == "outlineLvl" and value.isdecimal():
            current.level = int(value[:2])
        elif element == "name" and current.level is None:
            current.level = _level_of_name(value)

    parse_part(package, part, allowance, start=start)
    levels: dict[str, int] = {}
    for style in styles:
        level = _inherited(style, styles)
        if level is not None and level < _NO_HEADING:
            levels[style] = level
    return levels


def _level_of_name(name: str) -> int | None:
    if name.lower() == "title":
        return _TITLE_LEVEL
    heading = _HEADING.fullmatch(name)
    return int(heading[1]) - 1 if heading else None


def _inherited(style: str, styles: dict[str, _Style]) -> int | None:
    seen = set()
    name: str | None = style
    while name in styles and name not in seen:
        seen.add(name)
        if styles[name].level is not None:
            return styles[name].level
        name = styles[name].based_on
    return None
