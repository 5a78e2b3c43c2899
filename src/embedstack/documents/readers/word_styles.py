"""Heading levels and numbering of a docx file's paragraph styles."""

import re
import zipfile
from dataclasses import dataclass
from typing import NamedTuple

from embedstack.documents.limits import Allowance
from embedstack.documents.readers.package import parse_part

__all__ = ["Style", "read_styles"]

# The names of Word's built-in styles are English in every language; their ids are translated.
_HEADING = re.compile(r"heading ([1-9])", re.IGNORECASE)
_TITLE_LEVEL = -1
_NO_HEADING = 9


class Style(NamedTuple):
    """What a style gives a paragraph.

    Attributes:
        heading: Outline level: 0 for "heading 1", -1 for "Title"; None for body text.
        number: Id of a numbering, and the style that declares it; None without numbering.
        level: Level in the numbering; None if the numbering names the style's level.
    """

    heading: int | None = None
    number: tuple[str, str] | None = None
    level: int | None = None


@dataclass(slots=True)
class _Declared:
    based_on: str | None = None
    heading: int | None = None
    number: tuple[str, str] | None = None
    level: int | None = None


def read_styles(package: zipfile.ZipFile, part: str, allowance: Allowance) -> dict[str, Style]:
    """Paragraph styles by id. What a style does not declare is that of the style it is based on.

    The outline level of a style is its own, or that of its name.
    """
    declared: dict[str, _Declared] = {}
    current = _Declared()
    identity = ""

    def start(element: str, attributes: dict[str, str]) -> None:
        nonlocal current, identity
        value = attributes.get("val", "")
        if element == "style":
            current, identity = _Declared(), attributes.get("styleId", "")
            if attributes.get("type") == "paragraph":
                declared[identity] = current
        elif element == "basedOn":
            current.based_on = value
        elif element == "outlineLvl" and value.isdecimal():
            current.heading = int(value[:2])
        elif element == "name" and current.heading is None:
            current.heading = _heading_of_name(value)
        elif element == "numId":
            current.number = value, identity
        elif element == "ilvl" and value.isdecimal():
            current.level = int(value[:2])

    parse_part(package, part, allowance, start=start)
    return _inherit(declared)


def _heading_of_name(name: str) -> int | None:
    if name.lower() == "title":
        return _TITLE_LEVEL
    heading = _HEADING.fullmatch(name)
    return int(heading[1]) - 1 if heading else None


def _inherit(declared: dict[str, _Declared]) -> dict[str, Style]:
    styles: dict[str, Style] = {}
    for style in declared:
        # Each style is visited once, regardless of the length of inheritance chains.
        chain: dict[str, None] = {}
        name: str | None = style
        while name in declared and name not in styles and name not in chain:
            chain[name] = None
            name = declared[name].based_on
        base = styles.get(name or "", Style())
        for identity in reversed(chain):
            base = styles[identity] = _extend(base, declared[identity])
    return {
        identity: style._replace(heading=None) if (style.heading or 0) >= _NO_HEADING else style
        for identity, style in styles.items()
    }


def _extend(base: Style, declared: _Declared) -> Style:
    return Style(
        base.heading if declared.heading is None else declared.heading,
        declared.number or base.number,
        base.level if declared.level is None and declared.number is None else declared.level,
    )
