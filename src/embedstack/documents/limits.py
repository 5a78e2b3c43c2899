"""How much a document may cost to read, and the account of one that is being read."""

from dataclasses import dataclass
from typing import NoReturn

from embedstack.errors import DocumentRefused, RefusalReason

__all__ = ["Allowance", "ReadLimits", "shown"]

_MIB = 1024 * 1024
# A key of S3 has up to 1,024 bytes; its end tells more than its start.
_SHOWN_START, _SHOWN_END = 80, 110


@dataclass(frozen=True, slots=True)
class ReadLimits:
    """What a document may take.

    Attributes:
        max_bytes: Size of the file.
        max_text_characters: Characters of text in it. Its text is in memory as a whole, at up to 4 bytes a character.
        max_pages: Pages of a PDF.
        max_rows: Rows of a table or a JSON Lines file.
        max_inflated_bytes: Bytes that the parts of a docx file inflate to.
        max_seconds: Seconds that reading any document may take; see :meth:`seconds_for`.
        base_seconds: Seconds that reading a small document may take.
        seconds_per_mib: Seconds more for each MiB of the file.
        max_memory_bytes: Address space of the process that reads, its libraries included (on Linux).
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

    def seconds_for(self, size: int) -> float:
        """Seconds that reading a file of so many bytes may take: a large one needs more, a small one must not."""
        return min(self.max_seconds, self.base_seconds + self.seconds_per_mib * size / _MIB)


def shown(source: str) -> str:
    """A source as a message or a log may show it: on one line, without control characters, shortened in the middle."""
    if len(source) > _SHOWN_START + _SHOWN_END:
        source = f"{source[:_SHOWN_START]}…{source[-_SHOWN_END:]}"
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
        for character in source
    )


class Allowance:
    """What is left of the limits while one document is read, and the words in which it is refused.

    Attributes:
        source: The document's, as a message may show it.
        limits: As given.
        notes: What a person may want to know; readers add to it.
    """

    def __init__(self, source: str, limits: ReadLimits) -> None:
        self.source = shown(source)
        self.notes: list[str] = []
        self.limits = limits
        self._bytes = self._characters = self._rows = self._pages = self._inflated = 0

    def refuse(self, reason: RefusalReason, what: str) -> NoReturn:
        """Refuse the document.

        Args:
            reason: The error's.
            what: What is wrong and what to do; follows the document's name.

        Raises:
            DocumentRefused: Always.
        """
        raise DocumentRefused(f"{self.source} {what}", reason=reason)

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

    def check_inflated(self, number: int) -> None:
        """See that bytes that compressed ones say to inflate to are allowed, before they do."""
        self._check(
            self._inflated + number, self.limits.max_inflated_bytes, "bytes when inflated", "max_inflated_bytes"
        )

    def take_inflated(self, number: int) -> None:
        """Count bytes that came out of compressed ones."""
        self._inflated += number
        self._check(self._inflated, self.limits.max_inflated_bytes, "bytes when inflated", "max_inflated_bytes")

    def _check(self, taken: int, limit: int, unit: str, setting: str) -> None:
        if taken > limit:
            self.refuse(
                "too_large",
                f"has more than {limit:,} {unit}: split it. A program of yours may read it with a larger "
                f"ReadLimits({setting}=…).",
            )
