"""Any bytes are read or refused, and the resulting documents can be stored."""

import io
import re
from typing import get_args

import pytest
from hypothesis import given, settings, strategies as st

from embedstack.documents import Document, read_document
from embedstack.documents.limits import display_name
from embedstack.documents.readers.media_types import SUFFIXES
from embedstack.errors import DocumentRefused, RefusalReason
from tests.support.document_files import make_docx, make_pdf, paragraph, style, styles
from tests.support.office_files import make_epub, make_open_document, make_pptx, make_xlsx, row, shape
from tests.support.outlook_files import make_msg

CONTENT = "Xylophonquarz"
FILES = {
    "a.txt": f"{CONTENT} und Größe.\n\nMore text.\n".encode("cp1252"),
    "a.md": f"---\ntitle: {CONTENT}\n---\n# One *two*\n\n{CONTENT}\n\n```\ncode\n```\n> quote\n\n| a | b |\n".encode(),
    "a.html": f"<title>{CONTENT}</title><nav>x</nav><h1>{CONTENT}</h1><p>a &amp; b<tr><td>1<td>2".encode(),
    "a.pdf": make_pdf(f"{CONTENT} one", "two", title=CONTENT),
    "a.jsonl": f'{{"title": "{CONTENT}", "text": "a\\u00e9"}}\n["x", {{"y": "{CONTENT}"}}]\n"{CONTENT}"\n'.encode(),
    "a.csv": f'name;text\nA;"{CONTENT}; ""b"""\n{CONTENT};2\n'.encode("utf-16"),
    "a.docx": make_docx(
        paragraph(CONTENT, "h") + paragraph("text") + f"<w:tbl><w:tr><w:tc>{paragraph(CONTENT)}</w:tc></w:tr></w:tbl>",
        styles=styles(style("h", "heading 1")),
        core=f"<c><title>{CONTENT}</title></c>",
    ),
    "a.xlsx": make_xlsx(row(1, CONTENT, "2025") + row(2, "x", 3), strings=(f"<t>{CONTENT}</t>",), formats=("d.m.yy",)),
    "a.pptx": make_pptx(shape(CONTENT, placeholder="title") + shape("text"), shape("more")),
    "a.odt": make_open_document(f'<text:h text:outline-level="1">{CONTENT}</text:h><text:p>text</text:p>'),
    "a.epub": make_epub({"a": f"<h1>{CONTENT}</h1><p>text</p>"}, ncx=f"<ncx><text>{CONTENT}</text></ncx>"),
    "a.rtf": rf"{{\rtf1{{\stylesheet{{\s1 heading 1;}}}}\pard\s1 {CONTENT}\par\pard\u8364?\'e9\cell\row}}".encode(),
    "a.eml": (
        f"From: =?utf-8?q?{CONTENT}?= <a@b>\nSubject: {CONTENT}\nContent-Type: multipart/alternative; boundary=x\n\n"
        f"--x\nContent-Type: text/plain; charset=koi8-r\n\n{CONTENT}\n--x\nContent-Type: message/rfc822\n\n"
        f"Subject: {CONTENT}\nContent-Transfer-Encoding: base64\n\nYWJj\n--x--\n"
    ).encode(),
    "a.msg": make_msg({"0037": CONTENT, "1000": f"{CONTENT} one"}, numbers={0x3FFD: 1252}),
    "a.ipynb": f'{{"nbformat": 4, "cells": [{{"cell_type": "markdown", "source": ["# {CONTENT}"]}}]}}'.encode(),
    "a.json": f'{{"a": ["{CONTENT}", 1.5, {{"b": null}}], "{CONTENT}": {{"c": true}}}}'.encode(),
    "a.xml": f'<?xml version="1.0"?><a><title>{CONTENT}</title><b c="d">text <i>{CONTENT}</i></b></a>'.encode(),
}


def read(content: bytes, source: str) -> None:
    outcome = read_or_refuse(content, source)
    if isinstance(outcome, Document):
        check(outcome, source)
        return
    assert outcome.reason in get_args(RefusalReason)
    message = str(outcome)
    assert message.startswith(display_name(source))
    assert message.isprintable()
    assert CONTENT not in message


def read_or_refuse(content: bytes, source: str) -> Document | DocumentRefused:
    try:
        return read_document(io.BytesIO(content), source)
    except DocumentRefused as refused:
        return refused


def check(document: Document, source: str) -> None:
    assert document.source == source
    assert document.sections
    assert document.media_type in SUFFIXES.values()
    for section in document.sections:
        for text in (section.text, *section.headings):
            assert text.strip()
            text.encode()  # no unpaired surrogate
            assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f]", text)
        assert all("\n" not in heading and len(heading) <= 120 for heading in section.headings)
        assert section.page is None or section.page > 0
        assert section.row is None or section.row > 0
    assert document.title is None or (0 < len(document.title) <= 120 and "\n" not in document.title)


@pytest.mark.parametrize("suffix", [*SUFFIXES, ""])
@settings(max_examples=25, deadline=None)
@given(content=st.one_of(st.binary(max_size=300), st.text(max_size=200).map(lambda text: text.encode("utf-8"))))
def test_any_bytes_with_any_suffix_are_read_or_refused(suffix, content):
    read(content, f"a{suffix}")


@given(source=st.text(max_size=40), content=st.sampled_from([b"", b"words", b"\0", FILES["a.pdf"]]))
@settings(max_examples=60, deadline=None)
def test_any_source_is_read_or_refused(source, content):
    read(content, source)


@st.composite
def mutations(draw, content: bytes) -> bytes:
    """A file with bytes changed, and parts deleted, duplicated or inserted."""
    changed = bytearray(content)
    for _ in range(draw(st.integers(1, 6))):
        position = draw(st.integers(0, max(0, len(changed) - 1)))
        end = min(len(changed), position + draw(st.integers(1, 40)))
        kind = draw(st.sampled_from(["byte", "cut", "double", "insert", "truncate", "many"]))
        if kind == "byte":
            changed[position : position + 1] = bytes([draw(st.integers(0, 255))])
        elif kind == "cut":
            del changed[position:end]
        elif kind == "double":
            changed[position:position] = changed[position:end]
        elif kind == "insert":
            changed[position:position] = draw(
                st.sampled_from(
                    [b"<", b">>", b"<<", b"\0", b"0 R", b'"', b"&#0;", b"[[[[", b"\xff\xfe", b"%PDF-", b"PK"]
                )
            )
        elif kind == "many":
            changed[position:position] = changed[position:end] * 200
        else:
            del changed[max(1, position) :]
    return bytes(changed)


@pytest.mark.parametrize("source", FILES)
@settings(max_examples=120, deadline=None)
@given(data=st.data())
def test_damaged_files_are_read_or_refused(source, data):
    read(data.draw(mutations(FILES[source])), source)


# Damage inside a part: in the zip, its checksum would be wrong first.
BODY = (
    '<w:p><w:pPr><w:pStyle w:val="h"/><w:outlineLvl w:val="1"/></w:pPr><w:r><w:t>one</w:t><w:tab/><w:br/></w:r></w:p>'
    "<w:tbl><w:tr><w:tc><w:p><w:r><w:t>cell</w:t></w:r></w:p></w:tc></w:tr></w:tbl><w:del><w:p/></w:del>"
)
TAGS = re.findall("<[^>]+>", BODY)


@settings(max_examples=120, deadline=None)
@given(body=st.lists(st.sampled_from([*TAGS, "words", "&#233;", "&#1;", "&amp;"]), max_size=30).map("".join))
def test_docx_elements_in_any_order_are_read_or_refused(body):
    read(make_docx(body), "a.docx")


@settings(max_examples=150, deadline=None)
@given(
    page=st.lists(
        st.sampled_from([
            "<nav>", "</nav>", "<svg/>", "<p>", "</p>", "<h1>", "</h1>", "<h3>", "<div>", "</div>", "<td>", "<tr>",
            "<pre>", "</pre>", "<br>", "<title>", "</title>", "<script>", "</script>", "<![CDATA[", "]]>", "<!--",
            "-->", "<!x>", "<![if x]>", "<?x", "words", " \n ", "&#xD800;", "&#11;", "&lt;", "<", "</",
        ]),
        max_size=30,
    ).map("".join)
)  # fmt: skip
def test_html_tags_in_any_order_are_read_or_refused(page):
    read(page.encode(), "a.html")
