"""HTML: a section for each heading, without what is not the page's text."""

import re
from html.parser import HTMLParser

from embedstack.documents.limits import Allowance
from embedstack.documents.readers.cleaning import clean
from embedstack.documents.readers.encodings import decode
from embedstack.documents.readers.outline import Outline, Reading

__all__ = ["read_web_page"]

# Not text: code and styles; or not the page's own: its navigation.
_HIDDEN = frozenset(
    {"script", "style", "template", "noscript", "nav", "svg", "iframe", "object", "canvas", "audio", "video"}
)
_CODE = frozenset({"script", "style"})
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
# Elements that the HTML standard renders as blocks:
# https://html.spec.whatwg.org/multipage/rendering.html#flow-content-3
_BLOCKS = frozenset({
    "address", "article", "aside", "blockquote", "body", "caption", "center", "dd", "details", "dialog", "dir",
    "div", "dl", "dt", "fieldset", "figcaption", "figure", "footer", "form", "head", "header", "hgroup", "hr",
    "html", "legend", "li", "main", "menu", "ol", "optgroup", "option", "p", "pre", "search", "section", "summary",
    "table", "tbody", "tfoot", "thead", "title", "tr", "ul", *_HEADINGS,
})  # fmt: skip
_CELLS = frozenset({"td", "th"})
_TIGHT = frozenset({"li", "tr", "dt", "dd", "option"})

# A character that clean() leaves none of.
_BREAK = "\v"
_HEAD = 4096
_DECLARED = re.compile(
    rb"<meta[^>]{0,1024}?charset\s*=\s*[\"']?\s*([\w.:-]{1,40})"
    rb"|<\?xml[^>]{0,200}?encoding=[\"']([\w.:-]{1,40})",
    re.IGNORECASE,
)


def read_web_page(content: bytes, allowance: Allowance) -> Reading:
    """Read HTML or XHTML, well-formed or not.

    Scripts, styles, templates, navigation, drawings and embedded media are left out; where one of them but a script is
    never closed, what follows is read all the same. Headings h1 to h6 open sections, cells of a row are joined by bars,
    preformatted text keeps its lines. A page that has a title alone is its title.
    """
    found = _DECLARED.search(content[:_HEAD])
    declared = (found[1] or found[2]).decode("ascii") if found else None
    text, encoding = decode(content, allowance, declared)
    page = _parse(clean(text))
    outline = Outline(allowance)
    for block, line in page.blocks:
        if block in _HEADINGS:
            outline.heading(_HEADINGS[block], line)
        else:
            outline.add(f"- {line}" if block == "li" else line, tight=block in _TIGHT)
    sections = outline.sections()
    if page.title and not sections:
        outline.add(page.title)
        sections = outline.sections()
    return Reading(sections, title=page.title or None, encoding=encoding)


def _parse(text: str) -> "_Page":
    hidden = set(_HIDDEN)
    while True:
        page = _Page(frozenset(hidden))
        page.feed(text)
        page.close()
        page.end_block()
        if page.unclosed is None:
            return page
        hidden.discard(page.unclosed)


class _Page(HTMLParser):
    """The blocks of a page in order, each with the element that it is: no tree, so that no depth is too deep."""

    def __init__(self, hidden: frozenset[str]) -> None:
        super().__init__(convert_charrefs=True)
        self.title = ""
        self.blocks: list[tuple[str, str]] = []
        self._hidden = hidden
        self._within: str | None = None  # the outermost hidden element that is open
        self._depth = 0  # how many of its name are
        self._preformatted = 0
        self._block = ""
        self._inline: list[str] = []
        self._has_text = False

    @property
    def unclosed(self) -> str | None:
        """A hidden element that swallowed the rest of the page."""
        return None if self._within in _CODE else self._within

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        del attrs
        if self._within:
            self._depth += tag == self._within
        elif tag in self._hidden:
            self._within, self._depth = tag, 1
        elif tag in _BLOCKS:
            self.end_block()
            # A heading may have a div inside, and is a heading still.
            self._block = self._block if tag == "div" and self._block in _HEADINGS else tag
            self._preformatted += tag == "pre"
        elif tag == "br":
            self._inline.append(_BREAK)
        elif tag in _CELLS and self._has_text:
            self._inline.append(" | ")

    def handle_endtag(self, tag: str) -> None:
        if self._within:
            self._depth -= tag == self._within
            if not self._depth:
                self._within = None
        elif tag in _BLOCKS:
            self.end_block()
            self._block = self._block if tag == "div" and self._block in _HEADINGS else ""
            self._preformatted = max(0, self._preformatted - (tag == "pre"))

    def handle_data(self, data: str) -> None:
        if not self._within:
            self._inline.append(data)
            self._has_text = self._has_text or not data.isspace()

    def parse_marked_section(self, i: int, report: bool = True) -> int:
        # The base raises an AssertionError for those that it does not know. In XHTML, CDATA is text.
        is_text = self.rawdata.startswith("<![CDATA[", i)
        mark = "]]>" if is_text else ">"
        end = self.rawdata.find(mark, i)
        if end < 0:
            return -1
        if is_text and report:
            self.handle_data(self.rawdata[i + 9 : end])
        return end + len(mark)

    def end_block(self) -> None:
        """Make a block of the text since the last one."""
        lines = "".join(self._inline).split(_BREAK)
        self._inline, has_text, self._has_text = [], self._has_text, False
        if not has_text:
            return
        if not self._preformatted:
            lines = [line for line in (" ".join(line.split()) for line in lines) if line]
        if self._block == "title":
            self.title = self.title or " ".join(lines)
        else:
            self.blocks.append((self._block, "\n".join(lines)))
