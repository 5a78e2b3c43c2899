"""Numbers of a docx file's lists and clauses, which Word computes and does not store (ECMA-376 part 1, 17.9)."""

import re
import zipfile
from dataclasses import dataclass, field

from embedstack.documents.limits import Allowance
from embedstack.documents.readers.cleaning import clean_line
from embedstack.documents.readers.package import parse_part

__all__ = ["Numbering", "read_numbering"]

_LEVELS = 9
_BULLET = "-"
_PLACEHOLDER = re.compile("%([1-9])")
# "%1" to "%9" with words between them.
_MAX_TEXT = 60
_MAX_VALUE = 999_999
_ROMAN = (
    (1000, "m"), (900, "cm"), (500, "d"), (400, "cd"), (100, "c"), (90, "xc"), (50, "l"), (40, "xl"), (10, "x"),
    (9, "ix"), (5, "v"), (4, "iv"), (1, "i"),
)  # fmt: skip
_MAX_ROMAN = 3999
_ALPHABET = 26
_MAX_LETTERS = 5


@dataclass(slots=True)
class _Level:
    start: int = 1
    format: str = "decimal"
    text: str = ""
    restart: int | None = None  # the level, from 1, after which this one restarts; 0 for never
    is_legal: bool = False  # whether all numbers are written as decimals
    style: str = ""


@dataclass(slots=True)
class _List:
    """An abstract numbering: the levels that numberings share, and their counters."""

    levels: dict[int, _Level] = field(default_factory=dict)
    style_link: str = ""  # a style whose numbering is used instead
    counters: dict[int, int] = field(default_factory=dict)


@dataclass(slots=True)
class _Number:
    """A numbering: a list with its own start values or levels."""

    list: str = ""
    levels: dict[int, _Level] = field(default_factory=dict)
    starts: dict[int, int] = field(default_factory=dict)


class Numbering:
    """Counts numbered paragraphs in the document's order."""

    def __init__(self, lists: dict[str, _List], numbers: dict[str, _Number], styles: dict[str, str]) -> None:
        """Start counting.

        Args:
            lists: Abstract numberings by id.
            numbers: Numberings by id.
            styles: Ids of abstract numberings by the name of the numbering style that they declare.
        """
        self._lists = lists
        self._numbers = numbers
        self._styles = styles

    def label(self, number: str, level: int | None, styles: tuple[str, ...] = ()) -> str:
        """Count a paragraph, and return its label, such as "2.1" or "(a)"; empty if it has none.

        Args:
            number: Id of the paragraph's numbering.
            level: The level, from 0; None for the one that is linked to a style.
            styles: The paragraph's style, and the one that declares the numbering.
        """
        numbering = self._numbers.get(number)
        counted = self._list(numbering)
        if numbering is None or counted is None:
            return ""
        levels = {**counted.levels, **numbering.levels}
        if level is None:
            level = next((key for key, value in levels.items() if value.style and value.style in styles), 0)
        level = min(level, _LEVELS - 1)
        self._count(numbering, counted, levels, level)
        return _label(levels, counted.counters, level)

    def _list(self, numbering: _Number | None) -> _List | None:
        own = self._lists.get(numbering.list) if numbering else None
        if own and own.style_link and not own.levels:
            return self._lists.get(self._styles.get(own.style_link, ""), own)
        return own

    @staticmethod
    def _count(numbering: _Number, counted: _List, levels: dict[int, _Level], level: int) -> None:
        counters = counted.counters
        if level in numbering.starts:
            # The first paragraph of a numbering restarts the list that it shares with others.
            counters[level] = numbering.starts.pop(level)
        elif level in counters:
            counters[level] = min(counters[level] + 1, _MAX_VALUE)
        else:
            counters[level] = levels.get(level, _Level()).start
        for higher in range(level):
            counters.setdefault(higher, levels.get(higher, _Level()).start)
        for lower in range(level + 1, _LEVELS):
            restart = levels.get(lower, _Level()).restart
            if restart is None or level < restart:
                counters.pop(lower, None)


def read_numbering(package: zipfile.ZipFile, part: str | None, allowance: Allowance) -> Numbering:
    """Read a docx file's numberings.

    Args:
        package: The file.
        part: The part with numberings; None if there is none.
        allowance: The document's limits.
    """
    parser = _Parser()
    if part is not None:
        parse_part(package, part, allowance, start=parser.start, end=parser.end)
    return Numbering(parser.lists, parser.numbers, parser.styles)


class _Parser:
    def __init__(self) -> None:
        self.lists: dict[str, _List] = {}
        self.numbers: dict[str, _Number] = {}
        self.styles: dict[str, str] = {}
        self._list = _List()
        self._identity = ""
        self._number: _Number | None = None
        self._position = 0
        self._level: _Level | None = None

    def start(self, element: str, attributes: dict[str, str]) -> None:
        value = attributes.get("val", "")
        if element == "abstractNum":
            self._identity = attributes.get("abstractNumId", "")
            self._list = self.lists[self._identity] = _List()
        elif element == "num":
            self._number = self.numbers[attributes.get("numId", "")] = _Number()
        elif element == "abstractNumId" and self._number:
            self._number.list = value
        elif element == "numStyleLink":
            self._list.style_link = value
        elif element == "styleLink":
            self.styles[value] = self._identity
        elif element == "lvlOverride":
            self._position = _integer(attributes.get("ilvl", ""), 0)
        elif element == "startOverride" and self._number:
            self._number.starts[self._position] = _integer(value, 1)
        elif element == "lvl":
            self._position = _integer(attributes.get("ilvl", ""), 0)
            self._level = _Level()
            (self._number.levels if self._number else self._list.levels)[self._position] = self._level
        elif self._level:
            self._start_in_level(self._level, element, value)

    @staticmethod
    def _start_in_level(level: _Level, element: str, value: str) -> None:
        if element == "start":
            level.start = _integer(value, 1)
        elif element == "numFmt":
            level.format = value
        elif element == "lvlText":
            level.text = clean_line(value)[:_MAX_TEXT]
        elif element == "lvlRestart":
            level.restart = _integer(value, 0)
        elif element == "isLgl":
            level.is_legal = value not in ("0", "false", "off")
        elif element == "pStyle":
            level.style = value

    def end(self, element: str) -> None:
        if element == "num":
            self._number = None
        elif element == "lvl":
            self._level = None


def _integer(value: str, default: int) -> int:
    return min(int(value[:9]), _MAX_VALUE) if value.isascii() and value.isdecimal() else default


def _label(levels: dict[int, _Level], counters: dict[int, int], level: int) -> str:
    declared = levels.get(level)
    if declared is None:
        return ""
    if declared.format == "bullet":
        return _BULLET

    def write(match: re.Match[str]) -> str:
        position = int(match[1]) - 1
        number = counters.get(position, 1)
        return _write(number, "decimal" if declared.is_legal else levels.get(position, _Level()).format)

    return _PLACEHOLDER.sub(write, declared.text).strip()


def _write(number: int, number_format: str) -> str:
    letters, last = divmod(number - 1, _ALPHABET)
    if number_format == "none":
        return ""
    if number_format == "decimalZero":
        return f"{number:02}"
    if number_format.endswith("Letter") and 0 <= letters < _MAX_LETTERS:
        # After "z" come "aa", "bb", …
        return _cased(chr(ord("a") + last) * (letters + 1), number_format)
    if number_format.endswith("Roman") and 0 < number <= _MAX_ROMAN:
        return _cased(_roman(number), number_format)
    return str(number)


def _cased(label: str, number_format: str) -> str:
    return label.upper() if number_format.startswith("upper") else label


def _roman(number: int) -> str:
    parts = []
    for value, letters in _ROMAN:
        count, number = divmod(number, value)
        parts.append(letters * count)
    return "".join(parts)
