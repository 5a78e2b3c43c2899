"""Reads PDF: one section per page."""

from collections import defaultdict
from contextlib import suppress
from functools import partial
from itertools import islice
from typing import NamedTuple

from pypdfium2 import PdfDocument, PdfiumError
from pypdfium2.raw import (
    FORMTYPE_XFA_FULL,
    FPDF_ERR_PASSWORD,
    FPDF_ERR_SECURITY,
    FPDF_GetMetaText,
    FPDFBookmark_GetTitle,
)

from embedstack.documents.document import Section
from embedstack.documents.limits import Allowance
from embedstack.documents.readers.cleaning import clean, clean_line
from embedstack.documents.readers.outline import Reading
from embedstack.documents.readers.pdf_annotations import Annotations, read_annotations
from embedstack.documents.readers.pdf_scans import read_scan
from embedstack.documents.readers.pdf_strings import read_string
from embedstack.documents.readers.pdf_text import LINE_END_HYPHEN, HyphenJoiner, is_readable, mixes_scripts

__all__ = ["read_pdf"]

# PDFium's character for a hyphen at a line end that it has removed.
_PDFIUM_HYPHEN = "\ufffe"
_MAX_BOOKMARKS = 10_000
_OCR = "EMBEDSTACK_OCR=true reads scanned pages by OCR, except in a function."


class _Page(NamedTuple):
    text: str  # with marks at hyphenated line ends
    is_unreadable: bool  # whether its fonts do not map to Unicode
    is_doubtful: bool  # whether they map some letters wrongly
    is_scanned: bool  # whether its text comes from OCR
    files: int  # number of attached files


def read_pdf(content: bytes, allowance: Allowance) -> Reading:
    """Read a PDF with PDFium, Chrome's PDF engine.

    A page's headings are those of the first bookmark on it, or of the last bookmark before it. Filled form fields
    follow the page's text as ``name: value`` lines. Words that are hyphenated at line ends are joined. Pages without
    text, such as scans, and pages whose fonts do not map to Unicode are read by OCR if it is on. They and attached
    files are counted in notes. Encrypted PDFs that open without a password are read.

    Raises:
        DocumentRefused: The PDF needs a password ("encrypted"), a page cannot be read ("corrupt"; the message has its
            number), no page has text ("empty"), or no page's text can be mapped to Unicode ("undecodable").
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
    with suppress(PdfiumError):
        document.init_forms()  # without it, the fields' values are not available
    pages = [_read_page(document, index, allowance) for index in range(len(document))]
    joiner = HyphenJoiner(page.text for page in pages)
    headings = _headings(document, len(pages))
    sections = [
        Section(joiner.join(page.text), headings[index], page=index + 1)
        for index, page in enumerate(pages)
        if page.text
    ]
    _note_omissions(pages, len(sections), allowance)
    if document.get_formtype() == FORMTYPE_XFA_FULL:
        allowance.notes.append("It is an XFA form, whose fields were not read. Print it to a new PDF.")
    files = document.count_attachments() + sum(page.files for page in pages)
    if files:
        were = "file was" if files == 1 else "files were"
        allowance.notes.append(f"{files} attached {were} not read. Save and ingest what you need.")
    return Reading(sections, title=read_string(partial(FPDF_GetMetaText, document, b"Title")))


def _note_omissions(pages: list[_Page], with_text: int, allowance: Allowance) -> None:
    unreadable = sum(page.is_unreadable for page in pages)
    empty = sum(not page.text and not page.is_unreadable for page in pages)
    scanned = sum(page.is_scanned for page in pages)
    hint = "" if allowance.limits.ocr_languages else f" {_OCR}"
    if unreadable and not with_text:
        allowance.refuse(
            "undecodable",
            f"has fonts that do not map to Unicode on {unreadable} of {len(pages)} pages, and no readable text. Export "
            f"it again with embedded Unicode maps.{hint}",
        )
    if not with_text:
        allowance.refuse("empty", f"has no text on any of {len(pages)} pages.{hint}")
    if scanned:
        allowance.notes.append(f"Pages read by OCR: {scanned} of {len(pages)}.")
    if unreadable:
        allowance.notes.append(
            f"{unreadable} of {len(pages)} pages have fonts that do not map to Unicode. Their text was omitted.{hint}"
        )
    doubtful = sum(page.is_doubtful for page in pages)
    if doubtful:
        allowance.notes.append(
            f"{doubtful} of {len(pages)} pages have fonts that map some letters wrongly to Unicode. Check their text."
        )
    if empty:
        allowance.notes.append(f"{empty} of {len(pages)} pages have no text.{hint}")


def _read_page(document: PdfDocument, index: int, allowance: Allowance) -> _Page:
    allowance.take_page()
    try:
        extracted, annotations = _extract(document, index)
    except PdfiumError:
        allowance.refuse("corrupt", f"cannot be read on page {index + 1}. Print it to a new PDF.")
    is_unreadable = not is_readable(extracted)
    text = "" if is_unreadable else clean(extracted.replace(_PDFIUM_HYPHEN, LINE_END_HYPHEN)).strip()
    scan = "" if text else read_scan(document, index, allowance)
    text = "\n".join(filter(None, (text or scan, *map(clean, annotations.lines))))
    allowance.take_characters(len(text))
    return _Page(text, is_unreadable and not scan, mixes_scripts(text), bool(scan), annotations.files)


def _extract(document: PdfDocument, index: int) -> tuple[str, Annotations]:
    # Closed explicitly: waiting for garbage collection would keep all pages in memory.
    page = document[index]
    try:
        text_page = page.get_textpage()
        try:
            return str(text_page.get_text_range()), read_annotations(document, page)
        finally:
            text_page.close()
    finally:
        page.close()


def _headings(document: PdfDocument, pages: int) -> list[tuple[str, ...]]:
    """The headings of each page by the bookmarks."""
    starts = _bookmarks(document)
    headings: list[tuple[str, ...]] = []
    current: tuple[str, ...] = ()
    for page in range(pages):
        paths = starts.get(page)
        headings.append(paths[0] if paths else current)
        current = paths[-1] if paths else current
    return headings


def _bookmarks(document: PdfDocument) -> dict[int, list[tuple[str, ...]]]:
    """Paths of titles by the index of the page on which they start."""
    starts: dict[int, list[tuple[str, ...]]] = defaultdict(list)
    path: list[str] = []
    for bookmark in islice(document.get_toc(), _MAX_BOOKMARKS):
        destination = bookmark.get_dest()
        page = destination.get_index() if destination else None
        del path[bookmark.level :]
        path.append(clean_line(read_string(partial(FPDFBookmark_GetTitle, bookmark))))
        if page is not None and (titles := tuple(filter(None, path))):
            starts[page].append(titles)
    return starts
