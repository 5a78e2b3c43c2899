"""Limits for reading a document, and the usage counts of a document that is being read."""

from dataclasses import dataclass
from typing import NoReturn

from embedstack.errors import DocumentRefused, RefusalReason

__all__ = ["Allowance", "ReadLimits", "display_name"]

_MIB = 1024 * 1024
# An S3 key has up to 1,024 bytes; its end is more informative than its start.
_DISPLAYED_START, _DISPLAYED_END = 80, 110


@dataclass(frozen=True, slots=True)
class ReadLimits:
    """Limits for reading a document.

    Attributes:
        max_bytes: Size of the file in bytes.
        max_text_characters: Characters of text. The whole text is in memory, at up to 4 bytes per character.
        max_pages: Pages of a PDF.
        max_rows: Rows of a table or a JSON Lines file.
        max_inflated_bytes: Uncompressed bytes of an Office file or another zip.
        max_seconds: Maximum seconds for a document of any size; see :meth:`seconds_for`.
        base_seconds: Maximum seconds for a small document.
        seconds_per_mib: Additional seconds for each MiB of the file.
        max_memory_bytes: Address space of the reader process, including libraries (on Linux).
        ocr_languages: Languages for OCR by Tesseract's names, such as ``eng+deu``; None disables OCR.
        max_ocr_pages: Pages read by OCR. The text of others is missing, and a note says so.
        max_ocr_seconds: Seconds of OCR for one page.
        max_image_pixels: Pixels of an image.
    """

    max_bytes: int = 64 * _MIB
    max_text_characters: int = 20_000_000
    max_pages: int = 5_000
    max_rows: int = 200_000
    max_inflated_bytes: int = 256 * _MIB
    max_seconds: float = 300.0
    base_seconds: float = 30.0
    seconds_per_mib: float = 5.0
    max_memory_bytes: int = 768 * _MIB
    ocr_languages: str | None = None
    max_ocr_pages: int = 100
    max_ocr_seconds: float = 60.0
    max_image_pixels: int = 50_000_000

    def seconds_for(self, size: int) -> float:
        """Time limit in seconds for a file of a size in bytes. Larger files are allowed more time, and so is OCR."""
        if self.ocr_languages:
            return self.max_seconds
        return min(self.max_seconds, self.base_seconds + self.seconds_per_mib * size / _MIB)


def display_name(source: str) -> str:
    """A source for messages and logs: on one line, control characters escaped, shortened in the middle."""
    if len(source) > _DISPLAYED_START + _DISPLAYED_END:
        source = f"{source[:_DISPLAYED_START]}…{source[-_DISPLAYED_END:]}"
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
        for character in source
    )


class Allowance:
    """Counts a document's usage against the limits, and refuses the document if it exceeds one.

    Attributes:
        source: The document's display name.
        limits: The limits.
        notes: Remarks for users, which readers append.
    """

    def __init__(self, source: str, limits: ReadLimits) -> None:
        self.source = display_name(source)
        self.notes: list[str] = []
        self._counted: dict[str, tuple[int, int]] = {}  # position and number of each counted note
        self.limits = limits
        self._bytes = self._characters = self._rows = self._pages = self._ocr_pages = self._inflated = 0

    def refuse(self, reason: RefusalReason, problem: str) -> NoReturn:
        """Refuse the document.

        Args:
            reason: The error's reason.
            problem: What is wrong and what to do; follows the document's name in the message.

        Raises:
            DocumentRefused: Always.
        """
        raise DocumentRefused(f"{self.source} {problem}", reason=reason)

    def count_note(self, template: str, number: int) -> None:
        """Add to the number in a note, which is written once.

        Args:
            template: The note with ``{}`` for the number.
            number: What to add.
        """
        position, count = self._counted.get(template, (len(self.notes), 0))
        self._counted[template] = position, count + number
        self.notes[position : position + 1] = [template.format(f"{count + number:,}")]

    def take_bytes(self, number: int) -> None:
        """Count bytes of the file."""
        self._bytes += number
        self._check(self._bytes, self.limits.max_bytes, "bytes", "max_bytes")

    def take_characters(self, number: int) -> None:
        """Count characters of text."""
        self._characters += number
        self._check(self._characters, self.limits.max_text_characters, "characters of text", "max_text_characters")

    def take_row(self) -> None:
        """Count a row."""
        self._rows += 1
        self._check(self._rows, self.limits.max_rows, "rows", "max_rows")

    def take_page(self) -> None:
        """Count a page."""
        self._pages += 1
        self._check(self._pages, self.limits.max_pages, "pages", "max_pages")

    def take_ocr_page(self) -> bool:
        """Count a page for OCR. Returns False, and adds a note, if there are too many."""
        self._ocr_pages += 1
        if self._ocr_pages == self.limits.max_ocr_pages + 1:
            self.notes.append(f"Only the first {self.limits.max_ocr_pages} scanned pages were read by OCR.")
        return self._ocr_pages <= self.limits.max_ocr_pages

    def check_pixels(self, number: int) -> None:
        """Check the size of an image before decoding it."""
        self._check(number, self.limits.max_image_pixels, "pixels", "max_image_pixels")

    def check_inflated(self, number: int) -> None:
        """Check a declared uncompressed size before decompressing."""
        self._check(
            self._inflated + number, self.limits.max_inflated_bytes, "bytes when decompressed", "max_inflated_bytes"
        )

    def take_inflated(self, number: int) -> None:
        """Count decompressed bytes."""
        self._inflated += number
        self._check(self._inflated, self.limits.max_inflated_bytes, "bytes when decompressed", "max_inflated_bytes")

    def _check(self, taken: int, limit: int, unit: str, setting: str) -> None:
        if taken > limit:
            self.refuse(
                "too_large",
                f"has more than {limit:,} {unit}. Split it; in Python, ReadLimits({setting}=…) raises the limit.",
            )
