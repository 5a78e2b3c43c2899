"""Reads HTML: one section per heading, without scripts, navigation and media."""

import re
from itertools import pairwise
from typing import NamedTuple

from embedstack.documents.limits import Allowance
from embedstack.documents.readers.cleaning import clean
from embedstack.documents.readers.encodings import decode
from embedstack.documents.readers.markup import read_markup, unescape
from embedstack.documents.readers.outline import Outline, Reading

__all__ = ["WebPage", "parse_web_page", "read_web_page"]

# Elements that are not text of the page: code, styles, media and navigation.
_HIDDEN = frozenset(
    {"script", "style", "template", "noscript", "nav", "svg", "iframe", "object", "canvas", "audio", "video"}
)
_CODE = frozenset({"script", "style"})
# A template with this attribute is rendered.
_SHADOW_ROOT = "shadowrootmode"
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_PREFORMATTED = frozenset({"pre", "xmp", "listing", "plaintext"})
# Elements that the HTML standard renders as blocks:
# https://html.spec.whatwg.org/multipage/rendering.html#flow-content-3
_BLOCKS = frozenset({
    "address", "article", "aside", "blockquote", "body", "caption", "center", "dd", "details", "dialog", "dir",
    "div", "dl", "dt", "fieldset", "figcaption", "figure", "footer", "form", "head", "header", "hgroup", "hr",
    "html", "legend", "li", "main", "menu", "ol", "optgroup", "option", "p", "search", "section", "summary",
    "table", "tbody", "tfoot", "thead", "title", "tr", "ul", *_HEADINGS, *_PREFORMATTED,
})  # fmt: skip
_CELLS = frozenset({"td", "th"})
_BAR = " | "
_PARAGRAPHS = frozenset({"", "tr", "p", "div"})
_MAX_ROW = 2_000
_TIGHT = frozenset({"li", "tr", "dt", "dd", "option"})
_LISTS = frozenset({"ol", "ul", "menu", "dir"})
_BULLET = "- "
_NUMBER = re.compile(r"(?:^|\s)(?:start|value)\s*=\s*[\"']?\s*(-?\d{1,6})", re.IGNORECASE)
_ALTERNATIVE = re.compile(r"(?:^|\s)alt\s*=\s*(?:\"([^\"]*+)\"|'([^']*+)'|([^\s\"'>]++))", re.IGNORECASE)

# A character that clean() removes.
_BREAK = "\v"
_HEAD = 4096
_DECLARED = re.compile(
    rb"<meta[^>]{0,1024}?charset\s*=\s*[\"']?\s*([\w.:-]{1,40})"
    rb"|<\?xml[^>]{0,200}?encoding=[\"']([\w.:-]{1,40})",
    re.IGNORECASE,
)
_CDATA, _CDATA_END = "<![CDATA[", "]]>"


def read_web_page(content: bytes, allowance: Allowance) -> Reading:
    """Read HTML or XHTML, well-formed or not.

    Scripts, styles, templates, navigation, drawings and embedded media are omitted. An unclosed element hides nothing,
    unless it is a script or style. Headings h1 to h6 open sections, cells of a row are joined by bars, items of ordered
    lists have their numbers, pictures are their alternative texts, and preformatted text keeps its lines. If a page has
    only a title, the title is its text.
    """
    page = parse_web_page(content, allowance)
    outline = Outline(allowance)
    page.add_to(outline)
    sections = outline.sections()
    if page.title and not sections:
        outline.add(page.title)
        sections = outline.sections()
    return Reading(sections, title=page.title or None, encoding=page.encoding)


def parse_web_page(content: bytes, allowance: Allowance, declared: str | None = None) -> "WebPage":
    """Decode and parse a page; see :func:`read_web_page`.

    Args:
        content: The page.
        allowance: Receives notes.
        declared: The encoding that is declared outside of the page, as in an e-mail.
    """
    match = _DECLARED.search(content[:_HEAD])
    if match and not declared:
        declared = (match[1] or match[2]).decode("ascii")
    text, encoding = decode(content, allowance, declared)
    page = _parse(clean(text))
    page.encoding = encoding
    if page.ends_in_comment:
        allowance.notes.append("An unclosed comment hides the end of the page.")
    return page


def _parse(text: str) -> "WebPage":
    hidden = _HIDDEN
    while True:
        page = WebPage(hidden)
        page.ends_in_comment = read_markup(text, page, parsed=_HIDDEN - hidden)
        page.end_block()
        if page.unclosed is None:
            return page
        hidden -= {page.unclosed}


class _Block(NamedTuple):
    element: str
    marker: str  # of a list's item
    text: str
    cell: int = 0  # number of the table's cell


class WebPage:
    """The blocks of a page in order, each with the name of its element. No tree is built, so depth is unlimited.

    Attributes:
        title: The page's title; "" without one.
        encoding: Its encoding by Python's name.
        ends_in_comment: Whether it ends in an unclosed comment.
    """

    def __init__(self, hidden: frozenset[str]) -> None:
        self.title = self.encoding = ""
        self._blocks: list[_Block] = []
        self.ends_in_comment = False
        self._hidden = hidden
        self._within: str | None = None  # the hidden element that is open
        self._depth = 0  # how many elements of that name are open
        self._preformatted = 0
        self._block = ""
        self._marker = ""  # of the next block
        self._lists: list[int | None] = []  # the last number of each open list; None for lists without
        self._rows: list[int | None] = [None]  # of each open table, the first block of the open row
        self._cell = 0
        self._inline: list[str] = []
        self._has_text = False

    @property
    def has_headings(self) -> bool:
        """Whether it has headings."""
        return any(block.element in _HEADINGS for block in self._blocks)

    @property
    def word_count(self) -> int:
        """The number of its words."""
        return sum(len(block.text.split()) for block in self._blocks)

    def add_to(self, outline: Outline, below: int = 0) -> None:
        """Add the page to a document, with its headings below a level."""
        for block in self._blocks:
            if block.element in _HEADINGS:
                outline.heading(below + _HEADINGS[block.element], block.marker.removeprefix(_BULLET) + block.text)
            else:
                outline.add(block.marker + block.text, tight=bool(block.marker) or block.element in _TIGHT)

    @property
    def unclosed(self) -> str | None:
        """A hidden element that is unclosed and would hide the rest of the page."""
        return None if self._within in _CODE else self._within

    def start(self, tag: str, attributes: str) -> None:
        """See :class:`MarkupHandler`."""
        if self._within:
            self._depth += tag == self._within
        elif tag in self._hidden and not (tag == "template" and _SHADOW_ROOT in attributes.lower()):
            self._within, self._depth = tag, 1
        elif tag in _BLOCKS:
            self.end_block()
            # A heading may contain a div and is still a heading.
            self._block = self._block if tag == "div" and self._block in _HEADINGS else tag
            self._preformatted += tag in _PREFORMATTED
            self._start_list(tag, attributes)
            self._start_row(tag)
        elif tag == "img":
            alternative = _ALTERNATIVE.search(attributes)
            if alternative:
                self.text(f" {unescape(alternative[1] or alternative[2] or alternative[3] or '')} ")
        elif tag == "br":
            self._inline.append(_BREAK)
        elif tag in _CELLS:
            self._cell += 1
            self._inline += [_BAR] if self._has_text else []

    def _start_list(self, tag: str, attributes: str) -> None:
        number = _NUMBER.search(attributes) if tag in ("ol", "li") else None
        if tag in _LISTS:
            self._lists.append((int(number[1]) - 1 if number else 0) if tag == "ol" else None)
        elif tag == "li":
            last = self._lists[-1] if self._lists else None
            self._marker = _BULLET
            if last is not None:
                self._lists[-1] = last = int(number[1]) if number else last + 1
                self._marker = f"{last}. "

    def _start_row(self, tag: str) -> None:
        if tag == "table":
            self._rows.append(None)
        elif tag == "tr":
            self._end_row()
            self._rows[-1] = len(self._blocks)

    def _end_row(self) -> None:
        """Join the paragraphs of a row, unless they are a page that is laid out as a table."""
        start, self._rows[-1] = self._rows[-1], None
        blocks = self._blocks[start:] if start is not None else []
        if not blocks or any(block.marker or block.element not in _PARAGRAPHS for block in blocks):
            return
        parts = [blocks[0].text]
        for before, block in pairwise(blocks):
            parts += [" " if block.cell == before.cell else _BAR, block.text]
        line = " ".join("".join(parts).split())
        if len(line) <= _MAX_ROW:
            self._blocks[start:] = [_Block("tr", "", line)]

    def end(self, tag: str) -> None:
        """See :class:`MarkupHandler`."""
        if self._within:
            self._depth -= tag == self._within
            if not self._depth:
                self._within = None
        elif tag in _BLOCKS:
            self.end_block()
            self._block = self._block if tag == "div" and self._block in _HEADINGS else ""
            if tag in _LISTS and self._lists:
                self._lists.pop()
            if tag == "li" or tag in _LISTS:
                self._marker = ""
            if tag in ("tr", "table"):
                self._end_row()
            if tag == "table" and len(self._rows) > 1:
                self._rows.pop()
                self._rows[-1] = None  # the rows of a table in a row stay separate
            self._preformatted = max(0, self._preformatted - (tag in _PREFORMATTED))

    def text(self, text: str) -> None:
        """See :class:`MarkupHandler`."""
        if not self._within:
            self._inline.append(text)
            self._has_text = self._has_text or not text.isspace()

    def end_block(self) -> None:
        """Add the text since the last block as a block."""
        lines = "".join(self._inline).split(_BREAK)
        self._inline, has_text, self._has_text = [], self._has_text, False
        if not has_text:
            return
        if not self._preformatted:
            lines = [line for line in (" ".join(line.split()) for line in lines) if line]
        if self._block == "title":
            # XHTML may have a CDATA section in its title, where the HTML tokenizer reads no markup.
            title = " ".join(lines).removeprefix(_CDATA).removesuffix(_CDATA_END)
            self.title = self.title or title.strip()
        else:
            self._blocks.append(_Block(self._block, self._marker, "\n".join(lines), self._cell))
            self._marker = ""
