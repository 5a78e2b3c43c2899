"""Text of drawings in Office files: shapes, SmartArt and charts (ECMA-376 part 1, clauses 20 and 21)."""

import zipfile
from dataclasses import dataclass, field

from embedstack.documents.limits import Allowance
from embedstack.documents.readers.cell_values import number_text
from embedstack.documents.readers.package import parse_part

__all__ = ["chart_text", "drawing_text"]

# Fallback renderings of content that also exists in a newer form.
_OMITTED = "Fallback"
_BAR = " | "
# Elements of a series with its name, categories and values.
_NAMES, _CATEGORIES, _VALUES = frozenset({"tx"}), frozenset({"cat", "xVal"}), frozenset({"val", "yVal"})
_CACHES = frozenset({"strCache", "numCache", "strLit", "numLit"})
_MAX_DIGITS = 9


def drawing_text(package: zipfile.ZipFile, part: str, allowance: Allowance) -> str:
    """The paragraphs of a drawing, one per line."""
    handler = _Paragraphs()
    parse_part(package, part, allowance, start=handler.start, end=handler.end, data=handler.data)
    return "\n".join(handler.lines)


def chart_text(package: zipfile.ZipFile, part: str, allowance: Allowance) -> str:
    """A chart's titles, and its data as lines with bars between the values of each category."""
    handler = _Chart()
    parse_part(package, part, allowance, start=handler.start, end=handler.end, data=handler.data)
    return "\n".join([*handler.lines, *handler.rows()])


class _Paragraphs:
    """Collects paragraphs."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._parts: list[str] = []
        self._in_text = False
        self._fallbacks = 0

    def start(self, element: str, _: dict[str, str]) -> None:
        self._in_text = element == "t"
        self._fallbacks += element == _OMITTED
        if element == "br":
            self._parts.append(" ")

    def data(self, text: str) -> None:
        if self._in_text and not self._fallbacks:
            self._parts.append(text)

    def end(self, element: str) -> None:
        self._in_text = False
        self._fallbacks -= element == _OMITTED
        if element == "p":
            line, self._parts = "".join(self._parts).strip(), []
            if line:
                self.lines.append(line)


@dataclass(slots=True)
class _Series:
    name: str = ""
    categories: dict[int, str] = field(default_factory=dict)
    values: dict[int, str] = field(default_factory=dict)


class _Chart(_Paragraphs):
    """Collects a chart's titles and series."""

    def __init__(self) -> None:
        super().__init__()
        self._series: list[_Series] = []
        self._role = ""
        self._in_cache = self._in_value = False
        self._index = 0
        self._value: list[str] = []

    def rows(self) -> list[str]:
        """A line with the names of the series, and one for each category."""
        if not any(series.values for series in self._series):
            return []
        categories: dict[int, str] = {}
        for series in self._series:
            categories = {**dict.fromkeys(series.values, ""), **series.categories, **categories}
        names = _BAR.join(["", *(series.name for series in self._series)]).strip()
        return [names] + [
            _BAR.join([categories[index], *(series.values.get(index, "") for series in self._series)])
            for index in sorted(categories)
        ]

    def start(self, element: str, attributes: dict[str, str]) -> None:
        super().start(element, attributes)
        if element == "ser":
            self._series.append(_Series())
        elif element in _NAMES | _CATEGORIES | _VALUES:
            self._role = element
        elif element in _CACHES:
            self._in_cache = True
        elif element == "pt":
            index = attributes.get("idx", "")
            self._index = int(index) if index.isdecimal() and len(index) <= _MAX_DIGITS else 0
        self._in_value = element == "v"

    def data(self, text: str) -> None:
        super().data(text)
        if self._in_value:
            self._value.append(text)

    def end(self, element: str) -> None:
        super().end(element)
        self._in_value = False
        if element == "v":
            value, self._value = " ".join("".join(self._value).split()), []
            if self._series and self._in_cache:
                self._add(self._series[-1], value)
        elif element in _CACHES:
            self._in_cache = False
        elif element == self._role:
            self._role = ""

    def _add(self, series: _Series, value: str) -> None:
        if self._role in _NAMES:
            series.name = f"{series.name} {value}".strip()
        elif self._role in _CATEGORIES:
            series.categories[self._index] = f"{series.categories.get(self._index, '')} {value}".strip()
        elif self._role in _VALUES:
            series.values[self._index] = number_text(value, "number", from_1904=False)
