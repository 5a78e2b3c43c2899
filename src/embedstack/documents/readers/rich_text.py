"""Reads RTF (Rich Text Format 1.9.1): one section per heading.

striprtf, the usual library, loses headings, footnotes and text boxes, and takes quadratic time for some fields.
"""

import re
from dataclasses import dataclass, field

from embedstack.documents.document import Section
from embedstack.documents.limits import Allowance
from embedstack.documents.readers.outline import Outline, Reading

__all__ = ["read_rich_text"]

# A control word, a byte in hexadecimal digits, a control symbol, a brace, or text.
_TOKEN = re.compile(r"\\([A-Za-z]{1,32})(-?[0-9]{1,10})? ?|\\'([0-9A-Fa-f]{2})|\\(.)|([{}])|[^\\{}\r\n]+", re.DOTALL)
_HEADING = re.compile(r"heading ([1-9])", re.IGNORECASE)
_BODY_LEVEL = 9
_TITLE_LEVEL = -1

# Groups that are not text of the document: tables of the file, pictures, fields' codes, headers, comments.
_SKIPPED = frozenset({
    "annotation", "atnauthor", "atnid", "author", "buptim", "category", "colortbl", "comment", "company", "creatim",
    "datafield", "doccomm", "filetbl", "fldinst", "footer", "footerf", "footerl", "footerr", "ftncn", "ftnsep",
    "ftnsepc", "header", "headerf", "headerl", "headerr", "hlinkbase", "keywords", "listtable", "manager",
    "nonesttables", "objclass", "objdata", "objname", "operator", "pict", "printim", "private", "revtbl", "revtim",
    "shprslt", "sn", "subject", "sv", "tc", "xe",
})  # fmt: skip
# Groups of newer versions, which older readers skip, with text of the document.
_STARRED_TEXT = frozenset({"shpinst", "shptxt", "shpgrp"})
# Groups whose text is not of the document, but is needed.
_DESTINATIONS = {"fonttbl": "fonts", "stylesheet": "styles", "title": "title"}
_NOTES = frozenset({"footnote", "shptxt"})
_BLOCK_ENDS = frozenset({"par", "sect", "page", "column"})
_CHARACTERS = {
    "line": "\n", "softline": "\n", "tab": "\t", "emdash": "\u2014", "endash": "\u2013", "emspace": "\u2003",
    "enspace": "\u2002", "qmspace": "\u2005", "bullet": "\u2022", "lquote": "\u2018", "rquote": "\u2019",
    "ldblquote": "\u201c", "rdblquote": "\u201d", "nestcell": " | ",
}  # fmt: skip
_SYMBOLS = {"~": "\xa0", "_": "-", "{": "{", "}": "}", "\\": "\\", "\n": "\n", "\r": "\n"}
_SETS = {"ansi": "cp1252", "mac": "mac_roman", "pc": "cp437", "pca": "cp850"}
# Encodings of fonts by \fcharset.
_CHARSETS = {
    0: "cp1252", 77: "mac_roman", 128: "cp932", 129: "cp949", 130: "johab", 134: "gbk", 136: "big5", 161: "cp1253",
    162: "cp1254", 163: "cp1258", 177: "cp1255", 178: "cp1256", 186: "cp1257", 204: "cp1251", 222: "cp874",
    238: "cp1250", 254: "cp437", 255: "cp850",
}  # fmt: skip
_CODE_PAGES = {
    **{number: f"cp{number}" for number in (437, 850, 852, 855, 857, 860, 862, 863, 865, 866, 874, 932, 949, 1250,
                                            1251, 1252, 1253, 1254, 1255, 1256, 1257, 1258)},
    936: "gbk", 950: "big5", 1361: "johab", 10000: "mac_roman", 10007: "mac_cyrillic", 65001: "utf_8",
}  # fmt: skip
_BAR = " | "
_SURROGATE = re.compile("[\ud800-\udfff]")


def read_rich_text(content: bytes, allowance: Allowance) -> Reading:
    """Read RTF.

    Headings are paragraphs with an outline level or a heading style. A table row is a line with bars between its cells.
    List numbers, footnotes and text boxes are read; headers, footers, comments and hidden text are not. A note says if
    the file ends within a group.
    """
    document = _Document(Outline(allowance))
    # One character for each byte.
    text = content.decode("latin-1")
    position = 0
    while match := _TOKEN.search(text, position):
        position = match.end()
        word, argument, byte, symbol, brace = match.groups()
        number = int(argument) if argument else None
        if word:
            if word == "bin":
                position += max(0, number or 0)  # data of a picture
            document.word(word, number)
        elif byte:
            document.byte(int(byte, 16))
        elif symbol:
            document.symbol(symbol)
        elif brace == "{":
            document.open()
        elif brace:
            if not document.close():
                break  # the end of the document; what follows is not part of it
        else:
            document.raw(match[0])
    if document.is_open:
        allowance.notes.append("The file ends within a group. It may be truncated.")
    return Reading(document.sections(), title=document.title)


@dataclass(slots=True)
class _State:
    """Properties that end with their group.

    Attributes:
        destination: What the group's text belongs to: "text", "fonts", "styles", "title", or "" if it is omitted.
        font: Number of the font.
        fallbacks: Number of characters after a Unicode character that older readers show instead.
        is_hidden: Whether text is hidden.
        is_note: Whether the group is a footnote or a text box.
    """

    destination: str = "text"
    font: int | None = None
    fallbacks: int = 1
    is_hidden: bool = False
    is_note: bool = False

    def inner(self) -> "_State":
        """The properties at the start of a group in this one."""
        return _State(self.destination, self.font, self.fallbacks, self.is_hidden)


@dataclass(slots=True)
class _Paragraph:
    """A paragraph that is being read, and the cells before it in its table row."""

    style: int | None = None
    level: int | None = None
    in_table: bool = False
    text: list[str] = field(default_factory=list)
    cells: list[str] = field(default_factory=list)


class _Document:
    """Handles the tokens of a document."""

    def __init__(self, outline: Outline) -> None:
        self.title: str | None = None
        self._outline = outline
        self._state = _State()
        self._stack: list[_State] = []
        self._paragraph = _Paragraph()
        self._outer: list[_Paragraph] = []  # paragraphs with the open footnotes
        self._notes: list[str] = []  # finished footnotes of the open paragraph
        self._bytes = bytearray()  # not decoded yet: a character may have several
        self._set = "cp1252"
        self._fonts: dict[int, str] = {}
        self._entry: list[str] = []  # text of a style's name or of the title
        self._style: int | None = None
        self._style_level: int | None = None
        self._levels: dict[int, int] = {}
        self._is_starred = False
        self._to_skip = 0

    @property
    def is_open(self) -> bool:
        """Whether a group is open."""
        return bool(self._stack)

    def sections(self) -> list[Section]:
        """The sections."""
        self._decode()
        self._end_paragraph()
        self._end_row()
        return self._outline.sections()

    def open(self) -> None:
        """Start a group."""
        self._decode()
        self._to_skip = 0
        self._stack.append(self._state)
        self._state = self._state.inner()

    def close(self) -> bool:
        """End the open group. Returns False at the end of the document."""
        self._decode()
        self._to_skip, self._is_starred = 0, False
        if self._state.is_note:
            self._end_note()
        closed = self._state
        self._state = self._stack.pop() if self._stack else _State()
        if closed.destination == "styles":
            self._end_style()
        elif closed.destination == "title" and self._state.destination != "title":
            self.title, self._entry = "".join(self._entry), []
        return bool(self._stack)

    def word(self, word: str, number: int | None) -> None:
        """Handle a control word."""
        if word == "u":
            self._unicode(number or 0)
            return
        self._decode()
        self._to_skip = 0
        is_starred, self._is_starred = self._is_starred, False
        if word in _SKIPPED or (is_starred and word not in _STARRED_TEXT):
            self._state.destination = ""
        elif word in _DESTINATIONS:
            self._state.destination = _DESTINATIONS[word]
        elif word in _NOTES and self._state.destination == "text":
            self._start_note()
        elif not self._property(word, number or 0):
            if self._state.destination == "styles":
                self._style_property(word, number)
            elif self._state.destination == "text":
                self._text_word(word, number)

    def symbol(self, symbol: str) -> None:
        """Handle a control symbol."""
        self._decode()
        self._to_skip = 0
        if symbol == "*":
            self._is_starred = True
        elif symbol in "\r\n":
            self.word("par", None)
        elif symbol in _SYMBOLS:
            self._add(_SYMBOLS[symbol])

    def byte(self, value: int) -> None:
        """Handle a byte in the encoding of the font."""
        if self._to_skip:
            self._to_skip -= 1
        elif self._state.destination:
            self._bytes.append(value)

    def raw(self, text: str) -> None:
        """Handle text, with one character for each byte."""
        if self._to_skip:
            skipped = min(self._to_skip, len(text))
            self._to_skip -= skipped
            text = text[skipped:]
        if self._state.destination:
            self._bytes += text.encode("latin-1")

    def _unicode(self, number: int) -> None:
        self._decode()
        # Negative numbers are of 16 bits. Characters beyond them are surrogate pairs.
        self._add(chr(number % 0x10000))
        self._to_skip = self._state.fallbacks

    def _decode(self) -> None:
        if self._bytes:
            encoding = self._fonts.get(self._state.font or 0, self._set) if self._state.font is not None else self._set
            text = self._bytes.decode(encoding, "replace")
            self._bytes.clear()
            self._add(text)

    def _add(self, text: str) -> None:
        if self._state.destination == "text":
            if not self._state.is_hidden:
                self._paragraph.text.append(text)
        elif self._state.destination in ("styles", "title"):
            self._entry.append(text)

    def _property(self, word: str, number: int) -> bool:
        """Handle a property of characters. Returns False for other words."""
        state = self._state
        if word == "uc":
            state.fallbacks = max(0, number)
        elif word in _SETS:
            self._set = _SETS[word]
        elif word == "ansicpg":
            self._set = _CODE_PAGES.get(number, self._set)
        elif word == "f":
            state.font = number
        elif word == "fcharset":
            if state.destination == "fonts" and state.font is not None and number in _CHARSETS:
                self._fonts[state.font] = _CHARSETS[number] if number else self._set
        else:
            return False
        return True

    def _style_property(self, word: str, number: int | None) -> None:
        if word == "s":
            self._style = number
        elif word == "outlinelevel":
            self._style_level = number

    def _end_style(self) -> None:
        name = "".join(self._entry).strip().rstrip(";").strip()
        heading = _HEADING.fullmatch(name)
        level = int(heading[1]) - 1 if heading else _TITLE_LEVEL if name.lower() == "title" else self._style_level
        if level is not None and self._style is not None:
            self._levels[self._style] = level
        self._entry, self._style, self._style_level = [], None, None

    def _text_word(self, word: str, number: int | None) -> None:
        if word in _BLOCK_ENDS:
            self._end_paragraph()
        elif word in _CHARACTERS:
            self._add(_CHARACTERS[word])
        elif word in ("v", "plain"):
            self._state.is_hidden = word == "v" and number != 0
        elif word == "pard":
            self._paragraph.style = self._paragraph.level = None
            self._paragraph.in_table = False
        elif word == "s":
            self._paragraph.style = number
        elif word == "outlinelevel":
            self._paragraph.level = number
        elif word == "intbl":
            self._paragraph.in_table = True
        elif word == "cell":
            self._paragraph.cells.append(self._take_line())
        elif word in ("row", "nestrow"):
            self._end_row()

    def _take_line(self) -> str:
        line = " ".join(_text(self._paragraph.text).split())
        self._paragraph.text = []
        return line

    def _end_row(self) -> None:
        cells, self._paragraph.cells = self._paragraph.cells, []
        if any(cells):
            self._outline.add(_BAR.join(cells), tight=True)
            self._add_notes()

    def _end_paragraph(self) -> None:
        paragraph = self._paragraph
        if paragraph.in_table or self._outer:
            paragraph.text.append(" ")  # a paragraph of a cell or footnote
            return
        self._end_row()
        text, paragraph.text = _text(paragraph.text), []
        level = paragraph.level if paragraph.level is not None else self._levels.get(paragraph.style or 0)
        if not text.strip():
            return
        if level is None or level >= _BODY_LEVEL:
            self._outline.add(text)
        else:
            self._outline.heading(level, text)
        self._add_notes()

    def _add_notes(self) -> None:
        if not self._outer:
            for note in self._notes:
                self._outline.add(note)
            self._notes = []

    def _start_note(self) -> None:
        self._state.is_note = True
        self._outer.append(self._paragraph)
        self._paragraph = _Paragraph()

    def _end_note(self) -> None:
        cells = [*self._paragraph.cells, self._take_line()]
        self._notes.append(_BAR.join(cell for cell in cells if cell))
        self._paragraph = self._outer.pop()


def _text(parts: list[str]) -> str:
    text = "".join(parts)
    if _SURROGATE.search(text):
        text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text
