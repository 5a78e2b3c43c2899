"""Refusals of unreadable and of malicious files: reasons and messages."""

import io
import sys
import zipfile
from typing import Any

import pytest
from pypdf import PdfWriter

from embedstack.documents import ReadLimits
from embedstack.documents.limits import display_name
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


def refusal(content: bytes, source: str, **limits: Any) -> DocumentRefused:
    with pytest.raises(DocumentRefused) as refused:
        read_bytes(content, source, ReadLimits(**limits))
    return refused.value


@pytest.mark.parametrize(
    ("content", "source", "reason", "words"),
    [
        (b"", "a.txt", "empty", "(0 bytes)"),
        (b" \n\t ", "a.txt", "empty", "no text"),
        (b"<p> </p>", "a.html", "empty", "no text"),
        (PNG, "a.txt", "not_text", "PNG image"),
        (PNG, "a.png", "unsupported", "set EMBEDSTACK_OCR=true"),
        (PNG, "a.docx", "not_text", "PNG image"),
        (PNG, "a", "unsupported", "needs OCR"),
        (PNG, "a.pdf", "not_text", "PNG image"),
        (b"\x7fELF\x02\x01" + bytes(50), "a.md", "not_text", "a program"),
        (b"GIF89a" + bytes(50), "a.txt", "not_text", "GIF image"),
        (b"\x1f\x8b\x08" + bytes(50), "a.csv", "not_text", "gzip"),
        (b"\x01\x02\0Hello", "a.exe", "unsupported", "its format is unknown"),
        (b"Hello", "a.pdf", "corrupt", "not a pdf file"),
        (b"Hello", "a.docx", "corrupt", "not a docx file"),
        (b"Hello", "a.xlsx", "corrupt", "not a xlsx file"),
        (b"Hello", "a.png", "corrupt", "not a png file"),
        (OLE, "a.doc", "unsupported", "before 2007"),
        (OLE, "a.docx", "corrupt", "before 2007"),
        (LOCKED, "a.docx", "encrypted", "password"),
        (PASSWORD_PDF, "a.pdf", "encrypted", "password"),
        (make_zip({"xl/workbook.xml": "<x/>"}), "a.xlsx", "empty", "no text"),
        (make_zip({"xl/styles.xml": "<x/>"}), "a.xlsx", "corrupt", "main part"),
        (make_zip({"a.txt": "hello"}), "a.txt", "not_text", "a zip archive"),
        (make_zip({"a.txt": "hello"}), "a.docx", "corrupt", "a zip archive"),
        (make_zip({"a.txt": "hello"}), "a.zip", "unsupported", "Unpack it"),
        (make_zip({"Index/Document.iwa": "x"}), "a.pages", "unsupported", "Export it"),
        (make_docx(paragraph("hello"))[:-30], "a.docx", "corrupt", "truncated"),
        (make_docx("<w:p>"), "a.docx", "corrupt", "not XML"),
        (make_docx(""), "a.docx", "empty", "no text"),
        (make_pdf("hello")[:200], "a.pdf", "corrupt", "as application/pdf"),
        (b"%PDF-1.7\n" + bytes(range(256)) * 20, "a.pdf", "corrupt", "as application/pdf"),
    ],
)  # fmt: skip
def test_unreadable_files_are_refused_with_reason(content, source, reason, words):
    error = refusal(content, source)
    assert error.reason == reason
    assert words in str(error)
    assert str(error).startswith(source)
    assert isinstance(error, InputError)
    assert not error.retryable


@pytest.mark.parametrize("suffix", [".txt", ".md", ".html", ".bin", ".PDF", "", ".7"])
def test_pdf_is_detected_with_any_suffix(suffix):
    assert read_bytes(make_pdf("hello"), f"a{suffix}").media_type == "application/pdf"


def test_docx_is_detected_with_any_suffix():
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
def test_media_type_without_suffix_is_detected(content, media_type):
    assert read_bytes(content, "folder.d/README").media_type == media_type


@pytest.mark.parametrize(
    "words", ["%PDF-1.7 is how a PDF starts.", "BZhao wrote this.", "PAR1 is a mark.", "GIF89a too"]
)
@pytest.mark.parametrize("source", ["a.txt", "a.md"])
def test_text_may_start_with_a_binary_signature(words, source):
    assert read_bytes(words.encode(), source).sections[0].text == words


@pytest.mark.parametrize("source", ["README", "notes 1.2", "a/Letter to St. Mary", "v1.d/x", ".notes"])
def test_names_without_suffix_are_plain_text(source):
    assert read_bytes(b"words", source).media_type == "text/plain"


def test_html_with_txt_suffix_is_plain_text():
    assert read_bytes(b"<!doctype html><p>x", "a.txt").sections[0].text == "<!doctype html><p>x"


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_suffix_has_a_reader_in_any_case(suffix):
    with pytest.raises(DocumentRefused) as refused:
        read_bytes(b"", f"folder/name{suffix.upper()}")
    assert refused.value.reason == "empty"


class TestMaliciousDocx:
    def test_bomb_is_refused_before_decompression(self):
        assert refusal(make_docx(" " * 3_000_000), "a.docx", max_inflated_bytes=2_000_000).reason == "too_large"

    def test_bomb_with_false_size_is_refused_during_decompression(self):
        content = bytearray(make_docx(" " * 3_000_000))
        entry = content.rindex(b"PK\x01\x02", 0, content.rindex(b"word/document.xml"))
        content[entry + 24 : entry + 28] = (100).to_bytes(4, "little")
        assert refusal(bytes(content), "a.docx", max_inflated_bytes=2_000_000).reason in ("too_large", "corrupt")

    def test_decompressed_parts_are_counted_together(self):
        styles = f"<s>{' ' * 1_500_000}</s>"
        error = refusal(make_docx(" " * 1_500_000, styles=styles), "a.docx", max_inflated_bytes=2_000_000)
        assert error.reason == "too_large"

    def test_entities_are_not_expanded(self):
        levels = "".join(f'<!ENTITY e{level} "{f"&e{level - 1};" * 10}">' for level in range(1, 10))
        body = f'<!DOCTYPE a [<!ENTITY e0 "lol">{levels}]><a>&e9;</a>'
        error = refusal(make_zip({"word/document.xml": body}), "a.docx")
        assert (error.reason, "declares entities" in str(error)) == ("corrupt", True)

    def test_unbounded_compression_methods_are_refused(self):
        for compression in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
            assert refusal(make_zip({"word/document.xml": "<a/>"}, compression), "a.docx").reason == "corrupt"

    def test_zip_with_too_many_parts_is_refused(self):
        assert refusal(make_docx("") + b"PK\x01\x02" * 10_001, "a.docx").reason == "too_large"

    def test_part_names_with_parent_folders_are_harmless(self):
        content = make_docx(paragraph("hello"), part="word/../../../etc/passwd")
        assert [section.text for section in read_bytes(content, "a.docx").sections] == ["hello"]

    def test_deeply_nested_xml_is_read(self):
        assert read_bytes(make_docx("<w:x>" * 100_000 + paragraph("deep") + "</w:x>" * 100_000), "a.docx")

    def test_part_with_a_password_is_refused(self):
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
    def test_pdf_with_empty_user_password_is_read(self, algorithm):
        assert read_bytes(self.encrypt("", algorithm), "a.pdf").sections[0].text == "hello"

    @pytest.mark.parametrize("algorithm", ["RC4-128", "AES-256"])
    def test_pdf_with_user_password_is_refused(self, algorithm):
        error = refusal(self.encrypt("secret", algorithm), "a.pdf")
        assert (error.reason, "password" in str(error)) == ("encrypted", True)

    def test_damaged_pdf_after_an_encrypted_one_is_corrupt(self):
        assert refusal(self.encrypt("secret", "AES-256"), "a.pdf").reason == "encrypted"
        assert refusal(join_pdf([b"<< /Type /Catalog >>"]), "a.pdf").reason == "corrupt"


class TestMaliciousPdf:
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
    def test_pdf_with_loops_or_deep_nesting_is_refused(self, objects):
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
def test_deep_nesting_is_read(content, source):
    assert read_bytes(content, source).sections[0].text.endswith("deep")


def test_json_nested_too_deeply_is_refused():
    error = refusal(b'"a"\n' + b"[" * 100_000, "a.jsonl")
    assert (error.reason, "row 2" in str(error)) == ("too_complex", True)


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
def test_display_name_escapes_control_characters(source, expected):
    assert display_name(source) == expected
    error = refusal(b"", source)
    assert str(error).startswith(expected)
    assert str(error).isprintable()


def test_display_name_shortens_long_sources():
    source = f"bucket/{'x' * 2000}/name.xyz"
    assert display_name(source).startswith("bucket/xxx")
    assert display_name(source).endswith("xxx/name.xyz")
    assert len(display_name(source)) < 200


def test_library_errors_become_refusals_without_content(monkeypatch):
    def fail(*_: object) -> None:
        raise ZeroDivisionError("secret content")

    monkeypatch.setattr("embedstack.documents.readers.plain_text.decode", fail)
    error = refusal(b"x", "a.txt")
    assert (error.reason, "secret" in str(error), "ZeroDivisionError" in str(error)) == ("corrupt", False, True)


def test_missing_package_is_a_configuration_error(monkeypatch):
    monkeypatch.setitem(sys.modules, "embedstack.documents.readers.markdown", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'embedstack\[documents\]'"):
        read_bytes(b"# A", "a.md")
