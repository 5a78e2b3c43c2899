"""Markdown: a section for each heading, its text as it was written."""

import re
from collections.abc import Iterator
from itertools import pairwise

from markdown_it import MarkdownIt

from embedstack.documents.limits import Allowance
from embedstack.documents.readers.cleaning import clean
from embedstack.documents.readers.encodings import decode
from embedstack.documents.readers.outline import Outline, Reading

__all__ = ["read_markdown"]

_FRONT_MATTER = re.compile(
    r"(---|\+\+\+)[ \t]*\n(?=[\w\"-]+[ \t]*[:=])(.{0,65536}?\n)(?:\1|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL
)
_TITLE = re.compile(r"^title[ \t]*[:=][ \t]*[\"']?(.+?)[\"']?[ \t]*$", re.MULTILINE)
_MAX_HEADING = 1000


def read_markdown(content: bytes, allowance: Allowance) -> Reading:
    """Read CommonMark.

    The text stays Markdown, code blocks and tables included: models have read much of it, and a position in it is one
    in the file. Headings are those of the document itself, not those in quotes, lists or code. Front matter is left
    out; its ``title`` becomes the document's.
    """
    text, encoding = decode(content, allowance)
    text = clean(text)
    title = None
    front = _FRONT_MATTER.match(text)
    if front:
        found = _TITLE.search(front[2])
        title = found[1] if found else None
        text = text[front.end() :]
    outline = Outline(allowance)
    lines = text.split("\n")
    body = 0
    for start, end, level, heading in _headings(text):
        outline.add("\n".join(lines[body:start]))
        outline.heading(level, heading, "\n".join(lines[start:end]))
        body = end
    outline.add("\n".join(lines[body:]))
    return Reading(outline.sections(), title=title, encoding=encoding)


def _headings(text: str) -> Iterator[tuple[int, int, int, str]]:
    # Blocks alone: what is inside of paragraphs matters in headings only.
    parser = MarkdownIt("commonmark").disable("inline")
    inline = MarkdownIt("commonmark")
    tokens = parser.parse(text)
    for token, content in pairwise(tokens):
        if token.type == "heading_open" and token.level == 0 and token.map:
            spans = inline.parseInline(content.content[:_MAX_HEADING])[0].children or []
            title = "".join(" " if span.type.endswith("break") else span.content for span in spans)
            yield token.map[0], token.map[1], int(token.tag[1:]), title
