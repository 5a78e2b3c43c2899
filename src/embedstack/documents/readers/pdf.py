"""Reads PDF: one section per page."""

import re
from contextlib import suppress

from pypdfium2 import PdfDocument, PdfiumError
from pypdfium2.raw import FPDF_ERR_PASSWORD, FPDF_ERR_SECURITY

from embedstack.documents.document import Section
from embedstack.documents.limits import Allowance
from embedstack.documents.readers.cleaning import clean, count_controls
from embedstack.documents.readers.outline import Reading

__all__ = ["read_pdf"]

# Placeholders for characters of fonts without a Unicode mapping.
_PLACEHOLDERS = re.compile("[\ufffd\ue000-\uf8ff]|\\(cid:\\d+\\)")
_MAX_PLACEHOLDERS = 0.3
# PDFium replaces a hyphen and line end by this character.
_LINE_END_HYPHEN = "\ufffe"


def read_pdf(content: bytes, allowance: Allowance) -> Reading:
    """Read a PDF with PDFium, Chrome's PDF engine.

    Pages without text, such as scans, and pages with fonts without Unicode mapping are counted in a note. Encrypted
    PDFs that open without a password are read. Words that are hyphenated at line ends are joined.

    Raises:
        DocumentRefused: The PDF needs a password ("encrypted"), a page cannot be read ("corrupt"; the message has its
            number), or no page has text ("empty").
    """
    _clear_last_error()
    try:
        document = PdfDocument(content)
    except PdfiumError as error:
        if error.err_code == FPDF_ERR_PASSWORD:
            allowance.refuse("encrypted", "is protected by a password. Save it without one.")
        if error.err_code == FPDF_ERR_SECURITY:
            allowance.refuse("encrypted", "is encrypted by an unsupported method. Save it without protection.")
        raise
    try:
        return _read(document, allowance)
    finally:
        document.close()


def _clear_last_error() -> None:
    # PDFium fails on some files without setting an error, and would report that of the previous file.
    with suppress(PdfiumError):
        PdfDocument(b"no PDF")


def _read(document: PdfDocument, allowance: Allowance) -> Reading:
    sections = []
    pages = len(document)
    for index in range(pages):
        allowance.take_page()
        try:
            extracted = _page_text(document, index)
        except PdfiumError:
            allowance.refuse("corrupt", f"cannot be read on page {index + 1}. Print it to a new PDF.")
        text = _readable(extracted)
        if text:
            allowance.take_characters(len(text))
            sections.append(Section(text, page=index + 1))
    missing = pages - len(sections)
    if not sections:
        allowance.refuse("empty", f"has no text on any of {pages} pages. Scanned pages need OCR first.")
    if missing:
        allowance.notes.append(f"{missing} of {pages} pages have no text. Scanned pages need OCR first.")
    return Reading(sections, title=document.get_metadata_value("Title"))


def _page_text(document: PdfDocument, index: int) -> str:
    # Closed explicitly: waiting for garbage collection would keep all pages in memory.
    page = document[index]
    try:
        text_page = page.get_textpage()
        try:
            return str(text_page.get_text_range())
        finally:
            text_page.close()
    finally:
        page.close()


def _readable(extracted: str) -> str:
    joined = _join_hyphenated(extracted)
    text = clean(joined).strip()
    placeholders = sum(len(match.group()) for match in _PLACEHOLDERS.finditer(text)) + count_controls(joined)
    return text if placeholders <= _MAX_PLACEHOLDERS * len(text) else ""


def _join_hyphenated(text: str) -> str:
    first, *rest = text.split(_LINE_END_HYPHEN)
    parts = [first]
    for before, part in zip([first, *rest], rest, strict=False):
        # "exam-ple" is one word; "S-Plus" and "2-fold" keep their hyphen.
        is_one_word = before[-1:].isalpha() and part[:1].islower()
        parts.append(part if is_one_word else f"-{part}")
    return "".join(parts)
