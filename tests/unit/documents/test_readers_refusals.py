"""What is not read, why, and in which words: content that a person may well upload, and such as is meant to harm."""

import io
import sys
import zipfile

import pytest
from pypdf import PdfWriter

from embedstack.documents import ReadLimits
from embedstack.documents.limits import shown
from embedstack.documents.readers.media_types import SUFFIXES
from embedstack.documents.readers.reading import read_bytes
from embedstack.errors import ConfigurationError, DocumentRefused, InputError
from tests.support.document_files import join_pdf, make_docx, make_pdf, make_zip, paragraph

PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)
OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600)
LOCKED = OLE + "EncryptedPackage".encode("utf-16-le")
PASSWORD_PDF = join_pdf(
    [b"<< /Type /Catalog /Pages 2 0 R >>", b"<< /Type /Pages /Kids [] /Count 0 >>"],
    b"/ID [<00> <00>] /Encrypt << /Filter /Standard /V 1 /R 2 /P -4 /O <%s> /U <%s> >>" % (b"41" * 32, b"42" * 32),
)


def refusal(content: bytes, source: str, **limits: int) -> DocumentRefused:
    with pytest.raises(DocumentRefused) as refused:
        read_bytes(content, source, ReadLimits(**limits))
    return refused.value


@pytest.mark.parametrize(
    ("content", "source", "reason", "words"),
    [
        (b"", "a.txt", "empty", "no bytes"),
        (b" \n\t ", "a.txt", "empty", "no text"),
        (b"<p> </p>", "a.html", "empty", "no text"),
        (PNG, "a.txt", "not_text", "PNG image"),
        (PNG, "a.png", "unsupported", "PNG image"),
        (PNG, "a.pdf", "not_text", "PNG image"),
        (b"\x7fELF\x02\x01" + bytes(50), "a.md", "not_text", "a program"),
        (b"GIF89a" + bytes(50), "a.txt", "not_text", "GIF image"),
        (b"\x1f\x8b\x08" + bytes(50), "a.csv", "not_text", "gzip"),
        (b"Hello", "a.exe", "unsupported", "kind that is not read"),
        (b"Hello", "a.pdf", "corrupt", "not a pdf file inside"),
        (b"Hello", "a.docx", "corrupt", "not a docx file inside"),
        (OLE, "a.doc", "unsupported", "before 2007"),
        (OLE, "a.docx", "corrupt", "before 2007"),
        (LOCKED, "a.docx", "encrypted", "password"),
        (PASSWORD_PDF, "a.pdf", "encrypted", "password"),
        (make_zip({"xl/workbook.xml": "<x/>"}), "a.xlsx", "unsupported", "no docx"),
        (make_zip({"a.txt": "hello"}), "a.txt", "unsupported", "no docx"),
        (make_docx(paragraph("hello"))[:-30], "a.docx", "corrupt", "cut off"),
        (make_docx("<w:p>"), "a.docx", "corrupt", "not XML"),
        (make_docx(""), "a.docx", "empty", "no text"),
        (make_pdf("hello")[:200], "a.pdf", "corrupt", "as application/pdf"),
        (b"%PDF-1.7\n" + bytes(range(256)) * 20, "a.pdf", "corrupt", "as application/pdf"),
    ],
)  # fmt: skip
def test_files_as_they_come(content, source, reason, words):
    error = refusal(content, source)
    assert error.reason == reason
    assert words in str(error)
    assert str(error).startswith(source)
    assert isinstance(error, InputError)
    assert not error.retryable


@pytest.mark.parametrize("suffix", [".txt", ".md", ".html", ".bin", ".PDF", "", ".7"])
def test_a_pdf_is_one_whatever_it_is_called(suffix):
    assert read_bytes(make_pdf("hello"), f"a{suffix}").media_type == "application/pdf"


def test_a_docx_is_one_whatever_it_is_called():
    assert read_bytes(make_docx(paragraph("hello")), "a.zip").sections[0].text == "hello"


@pytest.mark.parametrize(
    ("content", "media_type"),
    [
        (b"<!DOCTYPE html><p>x", "text/html"),
        (b"\xef\xbb\xbf <!-- a --><!-- b -->\n<html><p>x", "text/html"),
        (b'<?xml version="1.0"?><!DOCTYPE html><p>x', "text/html"),
        (b"<!-- <html> --> words", "text/plain"),
        (b"<!-- <html>", "text/plain"),
        (b"just words", "text/plain"),
        (b"\n" + make_pdf("hello"), "application/pdf"),
    ],
)
def test_without_a_suffix_the_content_says(content, media_type):
    assert read_bytes(content, "folder.d/README").media_type == media_type


@pytest.mark.parametrize(
    "words", ["%PDF-1.7 is how a PDF starts.", "BZhao wrote this.", "PAR1 is a mark.", "GIF89a too"]
)
@pytest.mark.parametrize("source", ["a.txt", "a.md"])
def test_a_text_may_start_as_another_kind_of_file_does(words, source):
    assert read_bytes(words.encode(), source).sections[0].text == words


@pytest.mark.parametrize("source", ["README", "notes 1.2", "a/Letter to St. Mary", "v1.d/x", ".notes"])
def test_a_name_without_a_suffix(source):
    assert read_bytes(b"words", source).media_type == "text/plain"


def test_a_page_called_text_is_text():
    assert read_bytes(b"<!doctype html><p>x", "a.txt").sections[0].text == "<!doctype html><p>x"


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_suffix_in_any_case_has_a_reader(suffix):
    with pytest.raises(DocumentRefused) as refused:
        read_bytes(b"", f"folder/name{suffix.upper()}")
    assert refused.value.reason == "empty"


class TestDocxThatHarms:
    def test_a_bomb_is_refused_before_it_inflates(self):
        assert refusal(make_docx(" " * 3_000_000), "a.docx", max_inflated_bytes=2_000_000).reason == "too_large"

    def test_a_bomb_that_lies_about_its_size_is_refused_as_it_inflates(self):
        content = bytearray(make_docx(" " * 3_000_000))
        entry = content.rindex(b"PK\x01\x02", 0, content.rindex(b"word/document.xml"))
        content[entry + 24 : entry + 28] = (100).to_bytes(4, "little")
        assert refusal(bytes(content), "a.docx", max_inflated_bytes=2_000_000).reason in ("too_large", "corrupt")

    def test_parts_are_counted_together(self):
        styles = f"<s>{' ' * 1_500_000}</s>"
        error = refusal(make_docx(" " * 1_500_000, styles=styles), "a.docx", max_inflated_bytes=2_000_000)
        assert error.reason == "too_large"

    def test_entities_are_not_expanded(self):
        levels = "".join(f'<!ENTITY e{level} "{f"&e{level - 1};" * 10}">' for level in range(1, 10))
        body = f'<!DOCTYPE a [<!ENTITY e0 "lol">{levels}]><a>&e9;</a>'
        error = refusal(make_zip({"word/document.xml": body}), "a.docx")
        assert (error.reason, "document type" in str(error)) == ("corrupt", True)

    def test_compression_that_python_inflates_without_a_bound_is_not_read(self):
        for compression in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
            assert refusal(make_zip({"word/document.xml": "<a/>"}, compression), "a.docx").reason == "corrupt"

    def test_a_zip_of_very_many_files_is_not_listed(self):
        assert refusal(make_docx("") + b"PK\x01\x02" * 10_001, "a.docx").reason == "too_large"

    def test_names_that_climb_out_are_names_in_the_zip_only(self):
        content = make_docx(paragraph("hello"), part="word/../../../etc/passwd")
        assert [section.text for section in read_bytes(content, "a.docx").sections] == ["hello"]

    def test_no_depth_is_too_deep(self):
        assert read_bytes(make_docx("<w:x>" * 100_000 + paragraph("deep") + "</w:x>" * 100_000), "a.docx")

    def test_a_part_with_a_password(self):
        content = bytearray(make_docx(paragraph("hello")))
        for header, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
            position = -1
            while (position := content.find(header, position + 1)) >= 0:
                content[position + offset] |= 1
        assert refusal(bytes(content), "a.docx").reason == "encrypted"


class TestPdfWithPasswords:
    @staticmethod
    def encrypt(user_password: str, algorithm: str) -> bytes:
        writer = PdfWriter(clone_from=io.BytesIO(make_pdf("hello")))
        writer.encrypt(user_password, f"{user_password}owner", algorithm=algorithm)
        target = io.BytesIO()
        writer.write(target)
        return target.getvalue()

    @pytest.mark.parametrize("algorithm", ["RC4-40", "RC4-128", "AES-128", "AES-256"])
    def test_one_that_anybody_may_open_is_read(self, algorithm):
        assert read_bytes(self.encrypt("", algorithm), "a.pdf").sections[0].text == "hello"

    @pytest.mark.parametrize("algorithm", ["RC4-128", "AES-256"])
    def test_one_that_needs_its_password_is_refused(self, algorithm):
        error = refusal(self.encrypt("secret", algorithm), "a.pdf")
        assert (error.reason, "password" in str(error)) == ("encrypted", True)

    def test_a_damaged_file_after_it_is_damaged(self):
        assert refusal(self.encrypt("secret", "AES-256"), "a.pdf").reason == "encrypted"
        assert refusal(join_pdf([b"<< /Type /Catalog >>"]), "a.pdf").reason == "corrupt"


class TestPdfThatHarms:
    @pytest.mark.parametrize(
        "objects",
        [
            [b"<< /Type /Catalog /Pages 2 0 R >>", b"<< /Type /Pages /Kids [2 0 R 2 0 R] /Count 1000000000 >>"],
            [b"<< /Type /Catalog /Pages 2 0 R >>", b"2 0 R"],
            [b"<< /Type /Catalog /Pages 2 0 R >>", b"[" * 100_000],
            [b"<< /Type /Catalog >>"],
            [],
        ],
    )
    def test_loops_and_depth(self, objects):
        assert refusal(join_pdf(objects), "a.pdf").reason in ("corrupt", "empty", "too_complex")


@pytest.mark.parametrize(
    ("content", "source"),
    [
        (b"<div>" * 20_000 + b"deep", "a.html"),
        (b"> " * 20_000 + b"deep", "a.md"),
        (b"* " * 20_000 + b"deep", "a.md"),
        (b"[" * 300 + b'"deep"' + b"]" * 300, "a.jsonl"),
        (b'{"a": [' * 450 + b'"deep"' + b"]}" * 450, "a.jsonl"),
    ],
)
def test_nesting_is_read(content, source):
    assert read_bytes(content, source).sections[0].text.endswith("deep")


def test_nesting_that_json_does_not_follow_is_refused():
    error = refusal(b'"a"\n' + b"[" * 100_000, "a.jsonl")
    assert (error.reason, "row 2" in str(error)) == ("corrupt", True)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("docs/notes.xyz", "docs/notes.xyz"),
        ("../../etc/passwd\0.xyz", r"../../etc/passwd\x00.xyz"),
        ("a\nERROR forged line\x1b[31m.xyz", r"a\nERROR forged line\x1b[31m.xyz"),
        ("innocent\u202efdp.xyz", r"innocent\u202efdp.xyz"),
        ("lone \udcff.xyz", r"lone \udcff.xyz"),
        ("Straße 日本.xyz", "Straße 日本.xyz"),
    ],
)
def test_a_message_shows_a_source_safely(source, expected):
    assert shown(source) == expected
    error = refusal(b"x", source)
    assert str(error).startswith(expected)
    assert str(error).isprintable()


def test_a_message_shows_both_ends_of_a_long_source():
    source = f"bucket/{'x' * 2000}/name.xyz"
    assert shown(source).startswith("bucket/xxx")
    assert shown(source).endswith("xxx/name.xyz")
    assert len(shown(source)) < 200


def test_what_a_library_stumbles_over_is_a_refusal(monkeypatch):
    def fail(*_: object) -> None:
        raise ZeroDivisionError("secret content")

    monkeypatch.setattr("embedstack.documents.readers.plain_text.decode", fail)
    error = refusal(b"x", "a.txt")
    assert (error.reason, "secret" in str(error), "ZeroDivisionError" in str(error)) == ("corrupt", False, True)


def test_a_missing_package_is_a_matter_of_configuration(monkeypatch):
    monkeypatch.setitem(sys.modules, "embedstack.documents.readers.markdown", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'embedstack\[documents\]'"):
        read_bytes(b"# A", "a.md")
