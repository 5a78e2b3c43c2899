"""PDF: form fields, bookmarks, hyphens, ligatures, and text that is not language."""

import io
from typing import Any

import pytest
from pypdf import PdfWriter
from pypdf.annotations import FreeText
from pypdf.generic import ArrayObject, ByteStringObject, DictionaryObject, NameObject, NumberObject, TextStringObject

from embedstack.documents import Section
from embedstack.documents.readers.pdf_text import LINE_END_HYPHEN, HyphenJoiner, is_readable, mixes_scripts
from embedstack.documents.readers.reading import read_bytes
from embedstack.errors import DocumentRefused
from tests.support.document_files import make_pdf

ENGLISH = "This is a page of text in a language that has vowels, as any language in Latin script has. " * 3


def written(writer: PdfWriter) -> bytes:
    target = io.BytesIO()
    writer.write(target)
    return target.getvalue()


def make_form(*fields: dict[str, Any]) -> bytes:
    """A page with form fields: name, kind, value, and optionally tooltip and flags."""
    writer = PdfWriter(clone_from=io.BytesIO(make_pdf("The form.")))
    widgets = ArrayObject(writer._add_object(make_widget(**field)) for field in fields)
    writer.pages[0][NameObject("/Annots")] = widgets
    writer.root_object[NameObject("/AcroForm")] = DictionaryObject({NameObject("/Fields"): widgets})
    return written(writer)


def make_widget(name: str, kind: str, value: str, tooltip: str = "", flags: int = 0) -> DictionaryObject:
    is_button = kind == "/Btn"
    entries = {
        "/Type": NameObject("/Annot"), "/Subtype": NameObject("/Widget"), "/FT": NameObject(kind),
        "/T": TextStringObject(name), "/TU": TextStringObject(tooltip), "/Ff": NumberObject(flags),
        "/V": NameObject(value) if is_button else TextStringObject(value),
        "/Rect": ArrayObject(map(NumberObject, (10, 10, 100, 30))),
        "/Opt": ArrayObject(map(TextStringObject, ("Rome", "Oslo"))),
    }  # fmt: skip
    if is_button:
        states = DictionaryObject({NameObject(state): DictionaryObject() for state in {value, "/Off"}})
        entries |= {"/AS": NameObject(value), "/AP": DictionaryObject({NameObject("/N"): states})}
        del entries["/Opt"]
    return DictionaryObject({NameObject(key): entry for key, entry in entries.items()})


def test_values_of_form_fields_follow_the_text():
    content = make_form(
        {"name": "form1[0].Name[0]", "kind": "/Tx", "value": "Ann Größe"},
        {"name": "f2", "kind": "/Tx", "value": "Main Street 1", "tooltip": "Street and number"},
        {"name": "empty", "kind": "/Tx", "value": ""},
        {"name": "secret", "kind": "/Tx", "value": "hunter2", "flags": 1 << 13},
        {"name": "city", "kind": "/Ch", "value": "Oslo", "flags": 1 << 17},
        {"name": "agreed", "kind": "/Btn", "value": "/Yes"},
        {"name": "declined", "kind": "/Btn", "value": "/Off"},
        {"name": "kind", "kind": "/Btn", "value": "/Private"},
    )
    assert read_bytes(content, "a.pdf").sections[0].text.split("\n") == [
        "The form.", "Name: Ann Größe", "Street and number: Main Street 1", "city: Oslo", "agreed: yes",
        "kind: Private",
    ]  # fmt: skip


def test_free_text_on_a_page_is_read():
    writer = PdfWriter(clone_from=io.BytesIO(make_pdf("", "b")))
    writer.add_annotation(0, FreeText(text="typed on it", rect=(50, 550, 200, 650)))
    document = read_bytes(written(writer), "a.pdf")
    assert [section.text for section in document.sections] == ["typed on it", "b"]
    assert document.notes == ()


def test_attached_files_are_noted():
    writer = PdfWriter(clone_from=io.BytesIO(make_pdf("text")))
    for name in ("a.txt", "b.txt"):
        writer.add_attachment(name, b"hello")
    assert read_bytes(written(writer), "a.pdf").notes == (
        "2 attached files were not read. Save and ingest what you need.",
    )


def test_bookmarks_are_headings():
    writer = PdfWriter(clone_from=io.BytesIO(make_pdf(*"abcdef")))
    chapter = writer.add_outline_item(title="Chapter 1", page_number=1)
    writer.add_outline_item(title="1.1", page_number=2, parent=chapter)
    writer.add_outline_item(title="1.2", page_number=2, parent=chapter)
    writer.add_outline_item(title="Chapter 2", page_number=4)
    assert [section.headings for section in read_bytes(written(writer), "a.pdf").sections] == [
        (), ("Chapter 1",), ("Chapter 1", "1.1"), ("Chapter 1", "1.2"), ("Chapter 2",), ("Chapter 2",),
    ]  # fmt: skip


def test_lone_surrogates_in_title_and_bookmarks_are_replaced():
    writer = PdfWriter(clone_from=io.BytesIO(make_pdf("a")))
    bookmark = writer.add_outline_item(title="?", page_number=0).get_object()
    assert isinstance(bookmark, DictionaryObject)
    bookmark[NameObject("/Title")] = ByteStringObject(b"\xfe\xff\x00A\xd8\x00")
    assert read_bytes(written(writer), "a.pdf").sections[0].headings == ("A\ufffd",)
    assert read_bytes(make_pdf("a", title="\xfe\xff\xd8\0\0B"), "a.pdf").title == "\ufffdB"


@pytest.mark.parametrize(
    ("pages", "expected"),
    [
        (["infor-\nmation"], "information"),
        (["a well-\nknown fact"], "a well-known fact"),
        (["a long-\nterm plan", "long-term"], "a long-term plan"),
        (["a data-\nbase", "database, data and a base"], "a database"),
        (["an end-\nuser", "the user at the end"], "an end-user"),
        (["S-\nPlus and 2-\nfold and x -\ny"], "S-Plus and 2-\nfold and x -\ny"),
        (["state-of-\nthe-art", "of the"], "state-of-the-art"),
        ([f"infor{LINE_END_HYPHEN}mation, well{LINE_END_HYPHEN}known"], "information, well-known"),
        (["e\ufb03cient \ufb01nd", ""], "efficient find"),
        (["Übermüdungs-\nerscheinung"], "Übermüdungserscheinung"),
    ],
)
def test_hyphenated_words_are_joined_by_the_document(pages, expected):
    assert HyphenJoiner(pages).join(pages[0]) == expected


@pytest.mark.parametrize(
    "text",
    [
        "/g150/g149 /g151/g152 /g153 " * 9,
        "/C12/C34/C56" * 9,
        "(cid:12)(cid:9)" * 9,
        "\ue001\ue002\ue003 \uf0b7" * 9,
        "\x03\x04\x05 a\x06" * 9,
        "\u0378\u0379 \u0380" * 9,
        # glyph numbers that were taken for letters: "This is a page …" with each letter 29 lower
        "".join(chr(ord(character) - 29) for character in ENGLISH if character.isalpha()),
    ],
)
def test_text_that_is_no_language_is_detected(text):
    assert not is_readable(text)


@pytest.mark.parametrize(
    "text",
    [
        "", ENGLISH, "GATTACA" * 40, "0x1f 0x2c 17.5 % " * 20, "すべての人間は、生まれながらにして自由であり" * 5,
        "Wszyscy ludzie rodzą się wolni i równi pod względem swej godności. " * 3,
        "Strč prst skrz krk. Vlk zmrzl, zhltl hrst zrn. " + "Všichni lidé rodí se svobodní a sobě rovní. " * 3,
        "see /usr/lib/x86 and /g1 for more",
    ],
)  # fmt: skip
def test_text_of_any_language_is_readable(text):
    assert is_readable(text)
    assert not mixes_scripts(text)


def test_words_of_several_scripts_are_detected():
    assert mixes_scripts("नटव\u045fह \u0461नकस तव " * 20)
    assert not mixes_scripts("Слово и word 漢字かなカナ 한글 über " * 20)


OCR = "EMBEDSTACK_OCR=true reads scanned pages by OCR, except in a function."


def test_pages_without_unicode_are_omitted_and_noted():
    glyphs = "/g150/g149 /g151/g152 /g153" * 3
    document = read_bytes(make_pdf(glyphs, "Text.", ""), "a.pdf")
    assert document.sections == (Section("Text.", page=2),)
    assert document.notes == (
        f"1 of 3 pages have fonts that do not map to Unicode. Their text was omitted. {OCR}",
        f"1 of 3 pages have no text. {OCR}",
    )
    with pytest.raises(DocumentRefused, match="do not map to Unicode on 1 of 2 pages") as refused:
        read_bytes(make_pdf(glyphs, ""), "a.pdf")
    assert refused.value.reason == "undecodable"
