"""Reads Markdown: one section per heading, with the Markdown text."""

import re
from collections.abc import Iterator
from functools import cache
from itertools import pairwise

from markdown_it import MarkdownIt

from embedstack.documents.limits import Allowance
from embedstack.documents.readers.cleaning import clean
from embedstack.documents.readers.encodings import decode
from embedstack.documents.readers.outline import Outline, Reading

__all__ = ["add_markdown", "read_markdown"]

# Front matter of static site generators: YAML between lines of "---", TOML between lines of "+++".
_FENCES = {"---": ("---", "..."), "+++": ("+++", "...")}
_MAX_FRONT_MATTER = 65536
_FIELD = re.compile(r"[\w\"-]+[ \t]*[:=]")
_QUOTES = "\"'"
_MAX_HEADING = 1000


def read_markdown(content: bytes, allowance: Allowance) -> Reading:
    """Read CommonMark.

    The text keeps its Markdown syntax, including code blocks and tables, because models are trained on it and positions
    match the file. Only top-level headings open sections, not those in quotes, lists or code. Front matter is omitted;
    its ``title`` becomes the document's title.
    """
    text, encoding = decode(content, allowance)
    text = clean(text)
    fields, text = _split_front_matter(text)
    outline = Outline(allowance)
    add_markdown(text, outline)
    return Reading(outline.sections(), title=_title(fields), encoding=encoding)


def add_markdown(text: str, outline: Outline) -> None:
    """Add Markdown without front matter to a document."""
    lines = text.split("\n")
    body = 0
    for start, end, level, heading in _headings(text):
        outline.add("\n".join(lines[body:start]))
        outline.heading(level, heading, "\n".join(lines[start:end]))
        body = end
    outline.add("\n".join(lines[body:]))


def _split_front_matter(text: str) -> tuple[list[str], str]:
    """The lines of the front matter, and the text after it."""
    lines = text[: _MAX_FRONT_MATTER + 1].split("\n")
    ends = _FENCES.get(lines[0].rstrip(" \t"))
    if ends is None or len(lines) < 2 or not _FIELD.match(lines[1]):
        return [], text
    position = len(lines[0]) + 1
    for number, line in enumerate(lines[1:], start=1):
        if number > 1 and line.rstrip(" \t") in ends:
            # The last line may be truncated at the maximum length.
            if number == len(lines) - 1 and len(text) > _MAX_FRONT_MATTER:
                break
            return lines[1:number], text[position + len(line) + 1 :]
        position += len(line) + 1
    return [], text


def _title(fields: list[str]) -> str | None:
    for line in fields:
        name = line[: len("title")]
        value = line[len("title") :].lstrip(" \t")
        if name == "title" and value.startswith((":", "=")):
            value = value[1:].strip(" \t")
            value = value.removeprefix(value[:1] if value[:1] in _QUOTES else "")
            value = value.removesuffix(value[-1:] if value[-1:] in _QUOTES else "")
            if value:
                return value
    return None


@cache
def _parsers() -> tuple[MarkdownIt, MarkdownIt]:
    """Parsers of blocks and of inline syntax; creating them takes a millisecond."""
    return MarkdownIt("commonmark").disable("inline"), MarkdownIt("commonmark")


def _headings(text: str) -> Iterator[tuple[int, int, int, str]]:
    # Parse blocks only; inline syntax matters only in headings.
    parser, inline = _parsers()
    tokens = parser.parse(text)
    for token, content in pairwise(tokens):
        if token.type == "heading_open" and token.level == 0 and token.map:
            spans = inline.parseInline(content.content[:_MAX_HEADING])[0].children or []
            title = "".join(" " if span.type.endswith("break") else span.content for span in spans)
            yield token.map[0], token.map[1], int(token.tag[1:]), title
