"""Readers of RTF, notebooks, JSON, XML, and text with other suffixes."""

import json
from typing import Any

import pytest

from embedstack.documents import Document, ReadLimits, Section
from embedstack.documents.readers.reading import read_bytes
from embedstack.errors import DocumentRefused


def read(content: bytes | str, source: str, **limits: Any) -> Document:
    return read_bytes(content.encode() if isinstance(content, str) else content, source, ReadLimits(**limits))


def texts(content: bytes | str, source: str) -> list[str]:
    return [section.text for section in read(content, source).sections]


def refusal(content: bytes | str, source: str, **limits: Any) -> DocumentRefused:
    with pytest.raises(DocumentRefused) as refused:
        read(content, source, **limits)
    return refused.value


class TestRichText:
    def test_headings_by_style_or_level_open_sections(self):
        content = (
            r"{\rtf1\ansi{\stylesheet{\s1 heading 1;}{\s15\outlinelevel1 Custom;}}{\info{\title The title}}"
            r"\pard\s1 One\par\pard text\par\pard\s15 Two\par\pard more\par\pard\outlinelevel0 Three\par}"
        )
        document = read(content, "a.rtf")
        assert document.title == "The title"
        assert [(section.headings, section.text) for section in document.sections] == [
            (("One",), "One\n\ntext"),
            (("One", "Two"), "Two\n\nmore"),
            (("Three",), "Three"),
        ]

    @pytest.mark.parametrize(
        ("body", "expected"),
        [
            (r"Gr\'f6\'dfe", "Größe"),
            (r"\u1055?\u1088 ?", "Пр"),
            (r"\uc2\u8364 EU!", "€!"),
            (r"\uc1\u-10179?\u-8704?", "\N{GRINNING FACE}"),
            (r"{\f1\'cf\'f0} and \'e9", "Пр and é"),
            (r"{\f2\'93\'fa\'96\'7b}", "日本"),
            (r"a\tab b\line c\~d\_e\{f\}", "a\tb\nc\xa0d-e{f}"),
            (r"\ldblquote x\rdblquote\emdash", "“x”—"),
            (r"seen{\v hidden}\v also\v0 too", "seentoo"),
            (r"a{\pict 89504e47}{\*\unknown no}{\field{\*\fldinst HYPERLINK x}{\fldrslt link}}", "alink"),
            (r"a{\header no}{\footerr no}{\*\annotation no}", "a"),
            (r"a{\pict\bin5 }{}{}b}c", "ac"),
            (r"{\listtext\pard 1.\tab}first", "1.\tfirst"),
            ("one\\\ntwo", "one\n\ntwo"),
        ],
    )
    def test_characters_and_groups(self, body, expected):
        fonts = r"{\fonttbl{\f0\fcharset0 Arial;}{\f1\fcharset204 Arial Cyr;}{\f2\fcharset128 Mincho;}}"
        assert "\n\n".join(texts(f"{{\\rtf1\\ansi\\ansicpg1252{fonts}\\f0 {body}}}after", "a.rtf")) == expected

    def test_tables_are_lines_with_bars(self):
        cells = r"\intbl Name\cell\intbl first\par second\cell\row\pard\intbl Tom\cell\intbl\cell\row\pard after\par"
        assert texts(rf"{{\rtf1 {cells}}}", "a.rtf") == ["Name | first second\nTom |\n\nafter"]

    def test_footnotes_and_text_boxes_follow_their_paragraph(self):
        content = (
            r"{\rtf1 one{\footnote\pard a note\par} two"
            r"{\shp{\*\shpinst{\sp{\sn x}{\sv y}}{\shptxt boxed\par}}{\shprslt old}}\par three\par}"
        )
        assert texts(content, "a.rtf") == ["one two\n\na note\n\nboxed\n\nthree"]

    def test_unclosed_group_is_noted(self):
        document = read(r"{\rtf1 words", "a.rtf")
        assert (document.sections[0].text, "truncated" in document.notes[0]) == ("words", True)

    @pytest.mark.parametrize("source", ["a.rtf", "a.doc", "a.docx", "a"])
    def test_content_is_detected(self, source):
        assert read(r"{\rtf1 words}", source).media_type == "application/rtf"

    def test_other_content_is_refused(self):
        assert refusal("words", "a.rtf").reason == "corrupt"

    def test_deep_nesting_is_read(self):
        assert texts(r"{\rtf1" + "{" * 100_000 + "deep" + "}" * 100_001, "a.rtf") == ["deep"]


def notebook(*cells: dict[str, Any], **metadata: Any) -> str:
    return json.dumps({"nbformat": 4, "metadata": metadata, "cells": cells})


class TestNotebook:
    def test_markdown_code_and_outputs_are_read(self):
        outputs = [
            {"output_type": "stream", "text": ["a\n", "b\n"]},
            {"data": {"text/plain": "<Figure>", "image/png": "iVBORw0KGgo="}},
            {"output_type": "error", "traceback": ["\x1b[0;31mZeroDivisionError\x1b[0m", "by zero"]},
            {"data": {"image/png": "iVBORw0KGgo="}},
        ]
        content = notebook(
            {"cell_type": "markdown", "source": ["# One\n", "\n", "text"]},
            {"cell_type": "code", "source": "x = 1\n# no heading", "outputs": outputs},
            {"cell_type": "markdown", "source": "## Two\n```\nunclosed"},
            {"cell_type": "raw", "source": "raw"},
            {"cell_type": "code", "source": [], "outputs": []},
            language_info={"name": "python"},
        )
        code = (
            "# One\n\ntext\n\n```python\nx = 1\n# no heading\n```\n\n```\na\nb\n```\n\n```\n<Figure>\n```\n\n"
            "```\nZeroDivisionError\nby zero\n```"
        )
        assert [(section.headings, section.text) for section in read(content, "a.ipynb").sections] == [
            (("One",), code),
            (("One", "Two"), "## Two\n\n```\nunclosed\n\nraw"),
        ]

    def test_version_3_is_read(self):
        cells = [
            {"cell_type": "heading", "level": 2, "source": "One"},
            {"cell_type": "code", "input": "print(1)", "outputs": [{"text": "1\n"}]},
        ]
        content = json.dumps({"nbformat": 3, "worksheets": [{"cells": cells}]})
        assert texts(content, "a.ipynb") == ["One\n\n```\nprint(1)\n```\n\n```\n1\n```"]

    @pytest.mark.parametrize(
        ("content", "reason"),
        [
            ('{"cells": [', "corrupt"),
            ("[1]", "corrupt"),
            (notebook(), "empty"),
            ("[" * 200_000, "too_complex"),
            ('{"nbformat": 4, "cells": [1, {"source": {"a": 1}, "outputs": [2]}]}', "empty"),
        ],
    )
    def test_unreadable_notebooks_are_refused(self, content, reason):
        assert refusal(content, "a.ipynb").reason == reason


class TestJson:
    def test_members_are_sections_with_paths(self):
        content = json.dumps({
            "name": "Tom", "size": 3.5, "tame": True, "owner": None,
            "places": {"best": {"name": "sofa"}, "others": ["bed", "roof"]}, "list": [{"a": 1}, {"a": [2, {"b": 3}]}],
        })  # fmt: skip
        assert list(read(content, "a.json").sections) == [
            Section("name: Tom\nsize: 3.5\ntame: true"),
            Section("places\n\nbest.name: sofa\nothers: bed, roof", ("places",)),
            Section("list\n\na: 1\na: 2\na.b: 3", ("list",)),
        ]

    def test_items_of_a_list_are_rows(self):
        assert list(read('[{"name": "Tom"}, {}, "Rex"]', "a.json").sections) == [
            Section("name: Tom", row=1),
            Section("Rex", row=3),
        ]

    @pytest.mark.parametrize(
        "content", ['{"a": 1} // comment', '{"text": "one"}\n{"text": "two"}\n', '{"text": "cut o']
    )
    def test_other_content_is_plain_text_with_a_note(self, content):
        document = read(content, "a.json")
        assert document.sections[0].text == content.strip("\n") or document.sections[0].text == content
        assert "not valid JSON at line" in document.notes[0]

    def test_deep_nesting_is_read_or_refused(self):
        assert texts("[" * 300 + '"deep"' + "]" * 300, "a.json") == ["deep"]
        assert refusal("[" * 200_000, "a.json").reason == "too_complex"


class TestXml:
    def test_elements_are_paragraphs_and_titles_headings(self):
        content = (
            '<?xml version="1.0" encoding="ISO-8859-1"?>\n<book><title>The <b>title</b></title>\n'
            "<chapter><title>One</title>"
            "<para>Some <emphasis>emphasized</emphasis> <x/>text\n  goes on.</para><para><b>Bold</b> start</para>"
            "<row><cell>a</cell><cell>b</cell></row></chapter>\n"
            "<chapter><title>Größe</title><![CDATA[a < b]]></chapter></book>"
        ).encode("latin-1")
        document = read(content, "a.xml")
        assert (document.title, document.media_type) == ("The title", "application/xml")
        assert [(section.headings, section.text) for section in document.sections] == [
            (
                ("The title", "One"),
                "The title\n\nOne\n\nSome emphasized text goes on.\n\nBold start\n\na\n\nb",
            ),
            (("The title", "Größe"), "Größe\n\na < b"),
        ]

    def test_attributes_are_read_without_text(self):
        assert texts('<a><b name="one" value="two"/><b name="three"/></a>', "a.xml") == [
            "name: one\nvalue: two\nname: three"
        ]

    def test_entities_of_an_external_document_type_are_characters(self):
        content = '<!DOCTYPE html PUBLIC "x" "http://example.com/x.dtd"><a>caf&eacute;&nbsp;&unknown;</a>'
        assert texts(content, "a.xml") == ["café"]

    def test_short_entities_and_unused_external_ones_are_read(self):
        declared = (
            '<!ENTITY version "1.2"><!ENTITY % latin PUBLIC "-//W3C//ENTITIES" "http://example.com/x.ent">%latin;'
        )
        assert texts(f"<!DOCTYPE a [{declared}]><a>&version; caf&eacute;</a>", "a.xml") == ["1.2 café"]

    @pytest.mark.parametrize(
        "declaration",
        [
            '<!ENTITY a "ha"><!ENTITY b "&a;&a;">',
            '<!ENTITY b SYSTEM "file:///etc/passwd">',
            f'<!ENTITY b "{"x" * 201}">',
            '<!ATTLIST a x CDATA "long">',
        ],
    )
    def test_declared_entities_are_refused(self, declaration):
        error = refusal(f"<!DOCTYPE a [{declaration}]><a>&b;</a>", "a.xml")
        assert (error.reason, "declares entities" in str(error)) == ("corrupt", True)

    def test_other_content_is_plain_text_with_a_note(self):
        document = read("<a>\n<b>words</a>", "a.xml")
        assert "words" in document.sections[0].text
        assert document.notes == ("The file is not well-formed XML at line 2 and was read as plain text.",)

    def test_content_is_detected_without_suffix(self):
        assert read('<?xml version="1.0"?><a>b</a>', "feed").media_type == "application/xml"

    def test_deep_nesting_is_read(self):
        assert texts("<a>" * 100_000 + "deep" + "</a>" * 100_000, "a.xml") == ["deep"]


@pytest.mark.parametrize(
    "suffix", ["rst", "log", "yaml", "toml", "ini", "py", "java", "tex", "adoc", "srt", "sql", "c++", "unknown", "conf"]
)
def test_text_with_any_suffix_is_plain_text(suffix):
    document = read(f"Größe in {suffix}\n\x1b[31mred\x1b[0m\n", f"a.{suffix}")
    assert (document.media_type, document.sections[0].text.split("\n")[0]) == ("text/plain", f"Größe in {suffix}")


@pytest.mark.parametrize(
    ("source", "content", "media_type"),
    [
        ("a.rss", '<?xml version="1.0"?><rss><title>News</title></rss>', "application/xml"),
        ("a.svg", '<?xml version="1.0"?><svg><text>News</text></svg>', "application/xml"),
        ("a.xls", "<html><table><tr><td>News</table>", "text/html"),
        ("a.php", "<!doctype html><p>News", "text/html"),
        ("a.log", "From: a\nTo: b\nSubject: c\n\nNews", "text/plain"),
    ],
)
def test_markup_with_unknown_suffix_is_detected(source, content, media_type):
    document = read(content, source)
    assert (document.media_type, document.sections[0].text[-4:]) == (media_type, "News")


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("utf-16", "Später fällig."),
        ("utf-16-le", "Später fällig."),
        ("utf-32", "Später fällig."),
        ("cp1251", "Счета оплачиваются в течение тридцати дней от даты выставления. " * 5),
    ],
)
def test_text_with_unknown_suffix_may_have_any_encoding(encoding, text):
    assert read(text.encode(encoding), "a.log").sections[0].text.strip() == text.strip()


@pytest.mark.parametrize(
    "content",
    [bytes(range(256)) * 20, b"\x00\x01\x02\x03" * 100, b"MZ\x90\0" + bytes(100), b"\x1f\x8b\x08" + bytes(50)],
)
@pytest.mark.parametrize("source", ["a.bin", "a.dat"])
def test_binary_files_with_unknown_suffix_are_unsupported(content, source):
    error = refusal(content, source)
    assert error.reason == "unsupported"
    assert str(error).startswith(source)
