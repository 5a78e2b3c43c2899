"""Growth of the time to read a document with its size, for repetitive content that may cause superlinear time.

Each content is read in two sizes, one four times the other. A linear reader takes about four times as long for the
larger one, a quadratic reader 16 times.

usage: .venv/bin/python benchmarks/reader_scaling.py [--size 1000000] [--only markdown]
"""
# ruff: noqa: RUF001 - ends of sentences in other scripts

import io
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress

import click

from embedstack.documents import ReadLimits
from embedstack.documents.readers.reading import read_bytes
from embedstack.errors import DocumentRefused

__all__ = ["Case", "cases", "pdf_of_pages", "seconds_to_read"]

#: Creates content of about this many bytes.
Maker = Callable[[int], bytes]

_FACTOR = 4
# Fragments that the readers of some format search, escape, nest or count.
_REPEATED = (
    "<!--", "-->", "<!-->", "<!--x-->", "<!", "<?", "<![CDATA[", "<![CDATA[]]>", "]]>", "<", "</", "<p ", "<p a=\"",
    "<p a='", "<p>", "</p>", "<div>", "<b>", "<a href=x>", "<table><tr><td>", "<ul><li>", "<nav>", "<svg>", "<script>",
    "<script/>", "</script", "<title>", "<textarea>", "<noscript>", "<iframe>", "<template>", "<plaintext>", "<pre>",
    "<br>", "<h1>", "<h1>a<h6>b", "&", "&#", "&amp", "&lt;", "&notit;", "---\n", "---\na: b\n", "+++\n", "title: ",
    "title:\n", "[", "]", "[a](", "[a]: ", "[a]: b\n", "![", "(", ")", "*", "**a", "* ", "- ", "> ", "1. ", "1.\n",
    "_", "_a", "`", "``a`", "```\n", "~~~\n", "#", "# ", "# a\n", "## a\n# b\n", "a\n===\n", "a\n---\n", "\\", "|",
    "|a", "| a |\n", "|-", "\t", "    ", "\t\n", " ", " \n", "\n", "\r", "\r\n", "\f", "\v", "\x85", "\u2028", "\xa0",
    "\u200b", "\u0301", "e\u0301", "\u202e", "\ufeff", "a", "a ", "a\n", "A", "1", "1,", "a,", "a;", "a\t", ",", ";",
    ",\n", '"', '""', '"a"', '"a",', '"\n', "'", "{", "}", "{}", "{\n", '{"a":', '{"a": 1}\n', '{"text": "a"}\n',
    "[]\n", "[[", '["a",', "1\n", "\\u0000", "\\ud800", ".", "...", "!?", '."', ".)", "。", "，", "字", "😀", "é", "ß",
    "<html>", "<!doctype html>", "<meta charset=", "<?xml encoding=", "%PDF-", "1 0 obj\n", "endobj\n", "http://a.b/",
    "data:", "data:a/b;", "data:a/b;c=d", "data:image/png;base64,", "data:image/png;base64,QUJD\n", '"a"b\n', '"a\tb\n',
    '\\"', "'a',", "\xad", "\xad\n", "a-\n", "<ol><li>", "<img alt='", "<img alt=", "[{}, ", "2020,", "\x1e",
)  # fmt: skip
_SUFFIXES = ("", ".txt", ".md", ".html", ".csv", ".jsonl")


class Case:
    """A kind of content, in any size.

    Attributes:
        name: Description.
        source: File name.
        make: Creates the content.
    """

    def __init__(self, name: str, source: str, make: Maker) -> None:
        self.name, self.source, self.make = name, source, make


def cases() -> Iterator[Case]:
    """Every fragment repeated in every text format, and nested or structured content of each format."""
    for suffix in _SUFFIXES:
        for fragment in _REPEATED:
            yield Case(f"{suffix or 'no suffix'} {fragment!r}", f"a{suffix}", _repeat(fragment.encode()))
    for name, source, prefix, repeated, end in _WRAPPED:
        yield Case(name, source, _repeat(repeated, prefix, end))
    yield from _STRUCTURED


def seconds_to_read(content: bytes, source: str) -> float:
    """Processor time to read the content, even if it is rejected, in seconds."""
    started = time.thread_time()
    with suppress(DocumentRefused):
        read_bytes(content, source, ReadLimits(max_rows=sys.maxsize, max_text_characters=sys.maxsize))
    return time.thread_time() - started


def _repeat(fragment: bytes, prefix: bytes = b"", suffix: bytes = b"") -> Maker:
    return lambda size: prefix + fragment * (size // len(fragment)) + suffix


_WRAPPED = (
    ("comments before a page", "a", b"", b"<!--a-->", b"x"),
    ("front matter of blanks", "a.md", b"---\ntitle: a", b" ", b"b\n---\n"),
    ("front matter of titles", "a.md", b"---\na: b\n", b"title:\t\n", b"---\n"),
    ("front matter without an end", "a.md", b"---\n", b"a: b\n", b""),
    ("a long heading", "a.md", b"# ", b"a", b"\ntext"),
    ("headings of brackets", "a.md", b"", b"# " + b"[" * 1000 + b"\n", b""),
    ("headings of stars", "a.md", b"", b"# " + b"*a" * 500 + b"\n", b""),
    ("headings of backticks", "a.md", b"", b"# " + b"".join(b"`" * n + b"a" for n in range(1, 40)) + b"\n", b""),
    ("headings of links", "a.md", b"", b"# " + b"[a](" * 250 + b"\n", b""),
    ("headings of images", "a.md", b"", b"# " + b"![a](" * 200 + b"\n", b""),
    ("headings of entities", "a.md", b"", b"# " + b"&amp;" * 200 + b"\n", b""),
    ("headings of tags", "a.md", b"", b"# " + b"<a b=c " * 140 + b"\n", b""),
    ("headings of unclosed comments", "a.md", b"", b"# " + b"<!--" * 250 + b"\n", b""),
    ("quotes in lists", "a.md", b"", b"> * ", b"a"),
    ("lists in lists by lines", "a.md", b"", b"* a\n  * b\n    * c\n", b""),
    ("lines of a quote", "a.md", b"", b"> a\n", b""),
    ("lines of a loose quote", "a.md", b"> a\n", b"a\n", b""),
    ("items of a list", "a.md", b"", b"- a\n", b""),
    ("items of a loose list", "a.md", b"", b"- a\n\n", b""),
    ("definitions", "a.md", b"", b"[a]: /b 'c'\n", b""),
    ("a definition's title", "a.md", b"[a]: /b '", b"c\n", b""),
    ("a definition's label", "a.md", b"[", b"a\n", b""),
    ("labels that do not end", "a.md", b"", b"[a\n", b""),
    ("HTML blocks", "a.md", b"", b"<div>\n\n", b""),
    ("an HTML tag that does not end", "a.md", b"<a ", b"b=c ", b""),
    ("a quoted title", "a.html", b"<title>", b"a <b>", b"</title>"),
    ("text in a title without an end", "a.html", b"<title>", b"a <b>", b""),
    ("comments in a script", "a.html", b"<script>", b"<!--<script>", b"</script>"),
    ("cells", "a.html", b"<table><tr>", b"<td>a", b""),
    ("a CDATA section of brackets", "a.xhtml", b"<p><![CDATA[", b"]]", b"]]>"),
    ("a CDATA section of tags", "a.xhtml", b"<p><![CDATA[", b"<p>", b"]]>"),
    ("a CDATA section without an end", "a.xhtml", b"<p><![CDATA[", b"<p>", b""),
    ("attributes", "a.html", b"<p ", b"a=b ", b">x"),
    ("quoted attributes", "a.html", b"<p ", b"a='>' ", b">x"),
    ("a wide header", "a.csv", b"", b"a,", b"\n" + b"a\n" * 20_000),
    ("a wide header with rows of its half", "a.csv", b"a," * 10_000 + b"\n", b"b\n", b""),
    ("a quote that does not end", "a.csv", b'a,b\n"', b"a\n", b""),
    ("quotes of a cell", "a.csv", b'a,b\n"', b'""', b'"\n'),
    ("a deep row", "a.jsonl", b'{"text": ' * 900 + b'["b"', b',"a"', b"]" + b"}" * 900),
    ("a deep row of lists", "a.jsonl", b"[" * 900 + b'"b"', b',"a"', b"]" * 900),
    ("a row with a long name", "a.jsonl", b'{"' + b"n" * 100_000 + b'": ["b"', b',"a"', b"]}"),
    ("a row of names", "a.jsonl", b'{"a": "b"', b', "c": "d"', b"}"),
    ("a row of escapes", "a.jsonl", b'{"text": "', b"\\u00e9", b'"}'),
    ("quotes that do not match", "a.csv", b"a,b\n", b'"a"b,c\n', b""),
    ("quotes that are not closed", "a.csv", b"a,b\n", b'"a\n""\n', b""),
    ("quotes that tabs follow", "a.tsv", b"a\tb\n", b'"a\tb\nc"\td\n', b""),
    ("cells of a line with mismatched quotes", "a.csv", b"a,b\n", b'"a"b,', b"\n"),
    ("an array of rows", "a.jsonl", b"[", b'"a",', b'"b"]'),
    ("values of several lines", "a.jsonl", b"", b'{\n"text": "a"\n}\n', b""),
    ("base64 of many lines", "a.md", b"data:a/b;base64,", b"QUJD" * 12 + b"\n", b""),
    ("UTF-8 with stray bytes", "a.txt", b"", "äöü".encode() * 200 + b"\xe9", b""),
    ("words of a declared encoding", "a.html", b"<meta charset=koi8-r>", "бЯЕ ".encode("koi8-r"), b""),
    ("an encoding to guess", "a.txt", b"", b"\xe4\xf6 ", b""),
    ("an encoding to guess in the end", "a.txt", b"\n" * 1000, b"a", b"\xe4"),
    ("bytes of no encoding", "a.txt", b"", b"\x81\x8d\x98", b""),
)


def _docx(body: str, **parts: str) -> bytes:
    word = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as package:
        package.writestr("word/document.xml", f'<w:document xmlns:w="{word}"><w:body>{body}</w:body></w:document>')
        for name, content in parts.items():
            package.writestr(f"word/{name}.xml", f'<w:{name} xmlns:w="{word}">{content}</w:{name}>')
    return file.getvalue()


def _paragraphs(size: int) -> bytes:
    return _docx("<w:p><w:r><w:t>text</w:t></w:r></w:p>" * (size // 40))


def _nested_tables(size: int) -> bytes:
    depth = size // 100
    cell = "<w:p><w:r><w:t>text</w:t></w:r></w:p>"
    return _docx(f"<w:tbl><w:tr><w:tc>{cell}" * depth + "</w:tc></w:tr></w:tbl>" * depth)


def _nested_elements(size: int) -> bytes:
    return _docx("<w:x>" * (size // 11) + "</w:x>" * (size // 11) + "<w:p><w:r><w:t>text</w:t></w:r></w:p>")


def _nested_paragraphs(size: int) -> bytes:
    return _docx("<w:p><w:r><w:t>a</w:t>" * (size // 34) + "</w:r></w:p>" * (size // 34))


def _chain_of_styles(size: int) -> bytes:
    styles = "".join(
        f'<w:style w:type="paragraph" w:styleId="s{number}"><w:basedOn w:val="s{number + 1}"/></w:style>'
        for number in range(size // 85)
    )
    return _docx("<w:p><w:r><w:t>text</w:t></w:r></w:p>", styles=styles)


def _comment(size: int) -> bytes:
    return _docx(f"<!--{'a' * size}--><w:p><w:r><w:t>text</w:t></w:r></w:p>")


def _attribute(size: int) -> bytes:
    return _docx(f'<w:p a="{"a" * size}"><w:r><w:t>text</w:t></w:r></w:p>')


def _namespace(size: int) -> bytes:
    element = f'<x:x xmlns:x="{"n" * (size // 2)}">'
    return _docx(f"{element}{'<x:y/>' * (size // 12)}</x:x><w:p><w:r><w:t>text</w:t></w:r></w:p>")


def _headings(size: int) -> bytes:
    heading = '<w:p><w:pPr><w:outlineLvl w:val="%d"/></w:pPr><w:r><w:t>heading</w:t></w:r></w:p>'
    return _docx("".join(heading % (number % 9) for number in range(size // 90)))


def _clauses(size: int) -> bytes:
    levels = "".join(
        f'<w:lvl w:ilvl="{level}"><w:numFmt w:val="lowerRoman"/><w:lvlText w:val="{"%9" * 30}"/></w:lvl>'
        for level in range(9)
    )
    numbering = f'<w:abstractNum w:abstractNumId="1">{levels}</w:abstractNum>' + "".join(
        f'<w:num w:numId="{number}"><w:abstractNumId w:val="1"/></w:num>' for number in range(size // 500)
    )
    item = (
        '<w:p><w:pPr><w:numPr><w:ilvl w:val="%d"/><w:numId w:val="%d"/></w:numPr></w:pPr><w:r><w:t>a</w:t></w:r></w:p>'
    )
    return _docx("".join(item % (number % 9, number % 50) for number in range(size // 100)), numbering=numbering)


def pdf_of_pages(pages: int) -> bytes:
    """A PDF with 50 lines of text per page, the last of them "page 1 of …"."""
    lines = b"".join(b"(Line %d of a page in a manual of many pages, as one prints it.) Tj T*\n" % n for n in range(49))
    return _pdf(
        [
            b"BT /F1 10 Tf 14 TL 40 790 Td\n%s(page %d of %d.) Tj ET" % (lines, page, pages)
            for page in range(1, pages + 1)
        ]
    )


def _pdf(pages: list[bytes]) -> bytes:
    kids = b" ".join(b"%d 0 R" % (4 + 2 * number) for number in range(len(pages)))
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [%s] /Count %d >>" % (kids, len(pages)),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
    ]
    for number, stream in enumerate(pages):
        objects += [
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents %d 0 R "
            b"/Resources << /Font << /F1 3 0 R >> >> >>" % (5 + 2 * number),
            b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream),
        ]
    content = bytearray(b"%PDF-1.7\n")
    offsets = []
    for number, body in enumerate(objects, start=1):
        offsets.append(len(content))
        content += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    start = len(content)
    content += b"xref\n0 %d\n0000000000 65535 f \n%s" % (len(offsets) + 1, table)
    return bytes(content) + b"trailer << /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(offsets) + 1, start)


def _page_of(fragment: bytes) -> Maker:
    return lambda size: _pdf([b"BT /F1 10 Tf 40 790 Td " + fragment * (size // len(fragment)) + b" ET"])


_STRUCTURED = (
    Case("paragraphs", "a.docx", _paragraphs),
    Case("tables in tables", "a.docx", _nested_tables),
    Case("elements in elements", "a.docx", _nested_elements),
    Case("paragraphs in paragraphs", "a.docx", _nested_paragraphs),
    Case("styles based on each other", "a.docx", _chain_of_styles),
    Case("a long comment", "a.docx", _comment),
    Case("a long attribute", "a.docx", _attribute),
    Case("a long namespace", "a.docx", _namespace),
    Case("headings", "a.docx", _headings),
    Case("clauses", "a.docx", _clauses),
    Case("pages", "a.pdf", lambda size: pdf_of_pages(max(1, size // 4000))),
    Case("letters on a page", "a.pdf", _page_of(b"(a) Tj ")),
    Case("lines on a page", "a.pdf", _page_of(b"(a line) Tj 0 -1 Td ")),
    Case("hyphenated lines on a page", "a.pdf", _page_of(b"(a line ends in a hyphen-) Tj 0 -1 Td (ated word) Tj ")),
    Case("brackets on a page", "a.pdf", _page_of(b"[")),
    Case("dictionaries on a page", "a.pdf", _page_of(b"<<")),
    Case("graphics states on a page", "a.pdf", _page_of(b"q ")),
    Case("damage", "a.pdf", _repeat(b"1 0 obj\n", b"%PDF-1.7\n")),
)


@click.command()
@click.option("--size", default=1_000_000, show_default=True, help="Bytes of the larger content.")
@click.option("--only", default="", help="Only cases whose name contains this.")
@click.option("--all", "show_all", is_flag=True, help="Print every case, not only the slowest.")
def main(size: int, only: str, show_all: bool) -> None:
    """Print the slowest cases, and their time relative to a quarter of the content."""
    rows = []
    for case in cases():
        if only in f"{case.source} {case.name}":
            small = seconds_to_read(case.make(size // _FACTOR), case.source)
            large = seconds_to_read(case.make(size), case.source)
            rows.append((large, large / max(small, 0.001), case))
            if show_all:
                click.echo(f"{large:8.3f} s  x{large / max(small, 0.001):5.1f}  {case.source} {case.name}")
    rows.sort(key=lambda row: -row[0])
    click.echo(f"{len(rows)} cases of {size:,} bytes; the slowest, and their time relative to a quarter of the size:")
    for large, ratio, case in rows[:20]:
        click.echo(f"{large:8.3f} s  x{ratio:5.1f}  {case.source} {case.name}")


if __name__ == "__main__":
    main()
