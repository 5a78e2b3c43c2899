"""Reads pptx: one section per slide, with the slide's number as page."""

import dataclasses
import zipfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from embedstack.documents.limits import Allowance
from embedstack.documents.readers.drawing_text import chart_text, drawing_text
from embedstack.documents.readers.office_package import Relationship, core_title, main_part, relationships
from embedstack.documents.readers.outline import Outline, Reading
from embedstack.documents.readers.package import open_package, parse_part

if TYPE_CHECKING:
    from embedstack.documents.document import Section

__all__ = ["read_presentation"]

_DEFAULT_PART = "ppt/presentation.xml"
_TITLES = frozenset({"title", "ctrTitle"})
# Placeholders whose text repeats on each slide.
_REPEATED = frozenset({"sldNum", "dt", "hdr", "ftr"})
_SHAPES = frozenset({"sp", "graphicFrame", "pic", "cxnSp"})
_NOTES = frozenset({"body"})
_OMITTED = "Fallback"
_BAR = " | "


def read_presentation(content: bytes, allowance: Allowance) -> Reading:
    """Read a presentation.

    A slide's title is its heading. Its text, tables, charts, SmartArt and notes follow. Hidden slides, which are read,
    are counted in a note.

    Raises:
        DocumentRefused: See :func:`~embedstack.documents.readers.package.open_package`.
    """
    with open_package(content, allowance) as package:
        part = main_part(package, _DEFAULT_PART, allowance)
        slides: list[str] = []

        def start(element: str, attributes: dict[str, str]) -> None:
            if element == "sldId":
                slides.append(attributes.get("id", ""))

        parse_part(package, part, allowance, start=start)
        related = relationships(package, part, allowance)
        sections: list[Section] = []
        hidden = 0
        for page, slide in enumerate((related[identity].target for identity in slides if identity in related), start=1):
            allowance.take_page()
            handler = _Shapes()
            _parse(package, slide, handler, allowance)
            hidden += handler.is_hidden
            outline = _outline(package, slide, handler, allowance)
            sections += [dataclasses.replace(section, page=page) for section in outline.sections()]
        title = core_title(package, allowance)
    if hidden:
        allowance.notes.append(f"Hidden slides, which were read: {hidden} of {page}.")
    return Reading(sections, title=title)


def _parse(package: zipfile.ZipFile, part: str, handler: "_Shapes", allowance: Allowance) -> None:
    parse_part(package, part, allowance, start=handler.start, end=handler.end, data=handler.data)


def _outline(package: zipfile.ZipFile, slide: str, shapes: "_Shapes", allowance: Allowance) -> Outline:
    outline = Outline(allowance)
    for shape in shapes.shapes:
        if shape.placeholder in _TITLES:
            outline.heading(1, " ".join(shape.blocks))
    for shape in shapes.shapes:
        if shape.placeholder not in _TITLES | _REPEATED:
            outline.add("\n".join(shape.blocks))
    for relationship in relationships(package, slide, allowance).values():
        outline.add(_related_text(package, relationship, allowance))
    return outline


def _related_text(package: zipfile.ZipFile, relationship: Relationship, allowance: Allowance) -> str:
    if relationship.kind == "chart":
        return chart_text(package, relationship.target, allowance)
    if relationship.kind == "diagramData":
        return drawing_text(package, relationship.target, allowance)
    if relationship.kind == "notesSlide":
        notes = _Shapes()
        _parse(package, relationship.target, notes, allowance)
        return "\n".join(block for shape in notes.shapes if shape.placeholder in _NOTES for block in shape.blocks)
    return ""


@dataclass(slots=True)
class _Shape:
    """A shape.

    Attributes:
        placeholder: Its role in the layout; "" for a shape that is not a placeholder.
        blocks: Its paragraphs and table rows.
    """

    placeholder: str = ""
    blocks: list[str] = field(default_factory=list)


class _Shapes:
    """Handles the elements of a slide, and collects its shapes in order."""

    def __init__(self) -> None:
        self.shapes: list[_Shape] = []
        self.is_hidden = False
        self._text: list[str] = []
        self._cells: list[str] = []
        self._in_text = self._in_row = False
        self._fallbacks = 0

    def start(self, element: str, attributes: dict[str, str]) -> None:
        self._in_text = element == "t"
        self._fallbacks += element == _OMITTED
        if element in _SHAPES:
            self.shapes.append(_Shape())
        elif element == "ph" and self.shapes:
            self.shapes[-1].placeholder = attributes.get("type", "obj")
        elif element == "br":
            self._text.append("\n")
        elif element == "tr":
            self._in_row, self._cells = True, []
        elif element == "tc":
            self._cells.append("")
        elif element == "sld":
            self.is_hidden = attributes.get("show") in ("0", "false")

    def data(self, text: str) -> None:
        if self._in_text and not self._fallbacks:
            self._text.append(text)

    def end(self, element: str) -> None:
        self._in_text = False
        self._fallbacks -= element == _OMITTED
        if element == "p":
            text, self._text = "".join(self._text), []
            if self._in_row and self._cells:
                self._cells[-1] = " ".join([*self._cells[-1].split(), *text.split()])
            elif text.strip() and self.shapes:
                self.shapes[-1].blocks.append(text)
        elif element == "tr":
            self._in_row = False
            if any(self._cells) and self.shapes:
                self.shapes[-1].blocks.append(_BAR.join(self._cells))
