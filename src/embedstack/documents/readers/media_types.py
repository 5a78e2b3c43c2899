"""The media type of a file, by suffix and content. Content that is unambiguous takes precedence."""

import codecs
import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from embedstack.documents.limits import Allowance

if TYPE_CHECKING:
    from embedstack.errors import RefusalReason

__all__ = ["CSV", "DOCX", "HTML", "JSON_LINES", "MARKDOWN", "PDF", "PLAIN", "SUFFIXES", "media_type_of"]

PLAIN = "text/plain"
MARKDOWN = "text/markdown"
HTML = "text/html"
PDF = "application/pdf"
JSON_LINES = "application/jsonl"
CSV = "text/csv"
DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"

#: Supported media types by lower-case suffix.
SUFFIXES = {
    ".txt": PLAIN,
    ".text": PLAIN,
    ".md": MARKDOWN,
    ".markdown": MARKDOWN,
    ".html": HTML,
    ".htm": HTML,
    ".xhtml": HTML,
    ".pdf": PDF,
    ".jsonl": JSON_LINES,
    ".ndjson": JSON_LINES,
    ".csv": CSV,
    ".tsv": CSV,
    ".docx": DOCX,
}

# Signatures of binary files, and their descriptions.
_BINARY = (
    (b"\x89PNG\r\n", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF8", "a GIF image"),
    (b"II*\0", "a TIFF image"),
    (b"MM\0*", "a TIFF image"),
    (b"\x1f\x8b", "compressed by gzip"),
    (b"BZh", "compressed by bzip2"),
    (b"\xfd7zXZ\0", "compressed by xz"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"Rar!\x1a\x07", "a RAR archive"),
    (b"\x7fELF", "a program"),
    (b"MZ\x90\0", "a program"),
    (b"PAR1", "a Parquet file"),
    (b"SQLite format 3\0", "a SQLite database"),
)
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_ZIP = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")
_PAGE = re.compile(rb"<!doctype\s+html|<html[\s>]", re.IGNORECASE)
# Starts and ends of comments and declarations that may precede a page's document type.
_BEFORE_PAGE = ((b"<!--", b"-->"), (b"<?", b"?>"))
# PDF readers accept the header within the first 1,024 bytes (ISO 32000-1, annex H.3.4.1).
_PDF_HEADER = 1024
_HEAD = 4096


def media_type_of(content: bytes, source: str, allowance: Allowance) -> str:
    """The media type for reading a file.

    PDF and docx files are detected with any suffix. HTML or CSV with the suffix ``.txt`` is read as plain text. A file
    without suffix is read by its content, by default as plain text.

    Args:
        content: The file.
        source: Its key or path.
        allowance: Refuses the document.

    Raises:
        DocumentRefused: The file is empty, does not match its suffix ("not_text", "corrupt"), or is not supported
            ("unsupported", "encrypted").
    """
    suffix = _suffix(source)
    named = SUFFIXES.get(suffix)
    if not content:
        allowance.refuse("empty", "is empty (0 bytes).")
    if _is_pdf(content, named):
        return PDF
    if content.startswith(_ZIP):
        return DOCX  # the reader rejects other zip files
    if content.startswith(_OLE):
        _refuse_ole(content, named, allowance)
    binary = _binary(content)
    if binary:
        reason: RefusalReason = "not_text" if named else "unsupported"
        allowance.refuse(
            reason, f"is {binary}, {'which does not match its suffix' if named else 'not a document'}. {_advice()}"
        )
    if named in (PDF, DOCX):
        allowance.refuse("corrupt", f"is not a {suffix[1:]} file. Export it again, or correct its suffix.")
    if named:
        return named
    if suffix:
        allowance.refuse("unsupported", f"has an unsupported format. {_advice()}")
    return HTML if _is_page(content[:_HEAD]) else PLAIN


def _refuse_ole(content: bytes, named: str | None, allowance: Allowance) -> None:
    # Office stores an encrypted docx in an OLE container ([MS-OFFCRYPTO] 2.3.4).
    if "EncryptedPackage".encode("utf-16-le") in content:
        allowance.refuse("encrypted", "is protected by a password. Save it without one.")
    reason: RefusalReason = "corrupt" if named == DOCX else "not_text" if named else "unsupported"
    allowance.refuse(reason, "is in the Office format from before 2007. Save it as docx or PDF.")


def _suffix(source: str) -> str:
    # "notes 1.2" and "Letter to St. Mary" have no suffix that names a format.
    suffix = PurePosixPath(source.replace("\\", "/")).suffix.lower()
    return suffix if suffix[1:].isalnum() and not suffix[1:].isdigit() else ""


def _is_pdf(content: bytes, named: str | None) -> bool:
    if named in (None, PDF):
        return b"%PDF-" in content[:_PDF_HEADER]
    # A text about PDF may start with the signature.
    return content.startswith(b"%PDF-") and b"endobj" in content


def _is_page(head: bytes) -> bool:
    rest = head.removeprefix(codecs.BOM_UTF8).lstrip()
    while end := next((end for start, end in _BEFORE_PAGE if rest.startswith(start)), None):
        rest = rest.partition(end)[2].lstrip()
    return bool(_PAGE.match(rest))


def _binary(content: bytes) -> str | None:
    for start, description in _BINARY:
        # A text may start with the letters of a signature, but contains no NUL.
        if content.startswith(start) and (not start.isalnum() or b"\0" in content[:_HEAD]):
            return description
    return None


def _advice() -> str:
    return f"Convert it to one of {', '.join(sorted(SUFFIXES))}."
