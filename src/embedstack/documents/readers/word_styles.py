"""Heading levels of a docx file's styles."""

import re
import zipfile
from dataclasses import dataclass

from embedstack.documents.limits import Allowance
from embedstack.documents.readers.package import parse_part

__all__ = ["heading_levels"]

# The names of Word's built-in styles are English in every language; their ids are translated.
_HEADING = re.compile(r"heading ([1-9])", re.IGNORECASE)
_TITLE_LEVEL = -1
_NO_HEADING = 9


@dataclass(slots=True)
class _Style:
    based_on: str | None = None
    level: int | None = None


def heading_levels(package: zipfile.ZipFile, part: str, allowance: Allowance) -> dict[str, int]:
    """Outline levels by style id: 0 for "heading 1", -1 for "Title".

    A style has its own level, the level of its name, or that of the style it is based on.
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
    return {
        style: level for style, level in _inherited_levels(styles).items() if level is not None and level < _NO_HEADING
    }


def _level_of_name(name: str) -> int | None:
    if name.lower() == "title":
        return _TITLE_LEVEL
    heading = _HEADING.fullmatch(name)
    return int(heading[1]) - 1 if heading else None


def _inherited_levels(styles: dict[str, _Style]) -> dict[str, int | None]:
    """The level of each style: its own, or that of its nearest base style with a level."""
    levels: dict[str, int | None] = {}
    for style in styles:
        # Each style is visited once, regardless of the length of inheritance chains.
        chain: dict[str, None] = {}
        name: str | None = style
        while name in styles and name not in levels and name not in chain and styles[name].level is None:
            chain[name] = None
            name = styles[name].based_on
        level = None
        if name in levels:
            level = levels[name]
        elif name in styles:
            level = levels[name] = styles[name].level
        levels.update(dict.fromkeys(chain, level))
    return levels
