"""PDF: a section for each page."""

import io
import re

from pypdf import PasswordType, PdfReader
from pypdf.errors import DependencyError, FileNotDecryptedError, LimitReachedError

from embedstack.documents.document import Section
from embedstack.documents.limits import Allowance
from embedstack.documents.readers.cleaning import clean, count_controls
from embedstack.documents.readers.outline import Reading

__all__ = ["read_pdf"]

# What a font without a table of its characters gives: placeholders, not words.
_PLACEHOLDERS = re.compile("[\ufffd\ue000-\uf8ff]|\\(cid:\\d+\\)")
_MAX_PLACEHOLDERS = 0.3


def read_pdf(content: bytes, allowance: Allowance) -> Reading:
    """Read a PDF, with pypdf.

    Pages without text, as a scan has, are counted in a note, and so are those whose font does not say which characters
    it shows. A PDF that any reader opens without a password is read; where it is encrypted by AES, that takes the
    package cryptography, which a function's package does not hold.

    Raises:
        DocumentRefused: It needs a password ("encrypted"), a page cannot be read ("corrupt"; the message has its
            number), a stream inflates to more than pypdf's limits ("too_large"), or no page has text ("empty").
    """
    try:
        return _read(content, allowance)
    except DependencyError:
        # Raised as soon as the file is opened, where anything has to be decrypted.
        allowance.refuse("encrypted", "is encrypted by AES: save it without protection, as `qpdf --decrypt` does.")


def _read(content: bytes, allowance: Allowance) -> Reading:
    reader = PdfReader(io.BytesIO(content))
    if reader.is_encrypted and reader.decrypt("") == PasswordType.NOT_DECRYPTED:
        allowance.refuse("encrypted", "is protected by a password: save it without one.")
    sections = []
    number = 0
    for number, page in enumerate(reader.pages, start=1):
        allowance.take_page()
        try:
            extracted = page.extract_text()
        except (MemoryError, RecursionError, DependencyError, FileNotDecryptedError):
            raise
        except LimitReachedError:
            allowance.refuse(
                "too_large", f"holds more on page {number} than is read of one page: print it anew as PDF."
            )
        except Exception:  # noqa: BLE001 - whatever pypdf stumbles over is in the file
            allowance.refuse("corrupt", f"cannot be read on page {number}: print it anew as PDF.")
        text = _readable(extracted)
        if text:
            allowance.take_characters(len(text))
            sections.append(Section(text, page=number))
    missing = number - len(sections)
    if not sections:
        allowance.refuse("empty", f"has no text on any page, of {number}: scanned pages need OCR first.")
    if missing:
        allowance.notes.append(f"{missing} of {number} pages have no text: scanned pages need OCR first.")
    return Reading(sections, title=_title(reader))


def _readable(extracted: str) -> str:
    text = clean(extracted).strip()
    placeholders = sum(len(found.group()) for found in _PLACEHOLDERS.finditer(text)) + count_controls(extracted)
    return text if placeholders <= _MAX_PLACEHOLDERS * len(text) else ""


def _title(reader: PdfReader) -> str | None:
    try:
        title = reader.metadata.title if reader.metadata else None
    except Exception:  # noqa: BLE001 - a broken title does not make the text unreadable
        return None
    return title if isinstance(title, str) else None
