"""Documents that cannot be read, and names that are easily mistaken: what people upload by accident, or to do harm."""

import functools
import io
import json
import zipfile
from typing import Any, BinaryIO

__all__ = ["ODD_KEYS", "hostile_documents", "long_text"]

_BLOCK = b" " * (1 << 20)
# More than a docx file may inflate to (ReadLimits.max_inflated_bytes).
_BOMB_BLOCKS = 260
_PART = 1 << 20
_TEXT = "Invoices are due within thirty days of their date.\n"


class _LongText(io.RawIOBase):
    """The bytes; a single read of it may give fewer than were asked for."""

    def __init__(self, size: int) -> None:
        self._size, self._at = size, 0
        self._block = _TEXT.encode() * (_PART // len(_TEXT))

    def readable(self) -> bool:
        """It is for reading only."""
        return True

    def seekable(self) -> bool:
        """As a file is."""
        return True

    def tell(self) -> int:
        """Where the next byte comes from."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go somewhere else."""
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        return self._at

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer, as far as there is text."""
        start = self._at % len(_TEXT)
        part = self._block[start : start + min(len(buffer), self._size - self._at)]
        buffer[: len(part)] = part
        self._at += len(part)
        return len(part)


def long_text(size: int) -> BinaryIO:
    """A text file of so many bytes, which are made while it is read."""
    return io.BufferedReader(_LongText(size), _PART)


def _bomb() -> bytes:
    """A docx file of a few hundred kilobytes that inflates to 260 MB."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        with archive.open("word/document.xml", "w") as part:
            for _ in range(_BOMB_BLOCKS):
                part.write(_BLOCK)
    return file.getvalue()


def _locked_pdf() -> bytes:
    """A PDF that nobody opens without its password."""
    objects = [b"<< /Type /Catalog /Pages 2 0 R >>", b"<< /Type /Pages /Kids [] /Count 0 >>"]
    content, offsets = b"%PDF-1.7\n", []
    for number, body in enumerate(objects, 1):
        offsets.append(len(content))
        content += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    encrypt = b"<< /Filter /Standard /V 1 /R 2 /P -4 /O <%s> /U <%s> >>" % (b"41" * 32, b"42" * 32)
    return (
        content
        + b"xref\n0 3\n0000000000 65535 f \n"
        + table
        + b"trailer << /Size 3 /Root 1 0 R /ID [<00> <00>] /Encrypt %s >>\nstartxref\n%d\n%%%%EOF\n"
        % (encrypt, len(content))
    )


@functools.cache
def hostile_documents() -> dict[str, tuple[bytes, str]]:
    """Content and the reason that it is refused for (``DocumentRefused.reason``), by name."""
    return {
        "hostile/bomb.docx": (_bomb(), "too_large"),
        "hostile/picture.txt": (b"\x89PNG\r\n\x1a\n" + bytes(5_000), "not_text"),
        "hostile/program.md": (b"\x7fELF\x02\x01" + bytes(range(256)) * 40, "not_text"),
        "hostile/locked.pdf": (_locked_pdf(), "encrypted"),
        "hostile/broken.pdf": (b"%PDF-1.7\n" + bytes(range(256)) * 20, "corrupt"),
        "hostile/empty.txt": (b"", "empty"),
        "hostile/blank.html": (b"<!doctype html><html><body> </body></html>", "empty"),
        "hostile/half characters.txt": (b"\xff\xfe" + _TEXT.encode("utf-16-le") + b"\x00\xd8A\x00" * 20, "undecodable"),
        "hostile/another mark.txt": (b"\xef\xbb\xbf" + ("Später fällig. " * 5).encode("latin-1"), "undecodable"),
        "hostile/cut off.jsonl": (json.dumps({"text": _TEXT}).encode() + b'\n{"text": "Invoi', "corrupt"),
        "hostile/program.exe": (b"MZ" + bytes(2_000), "unsupported"),
        "hostile/climbs/%2e%2e/etc/passwd": (b"root\0x\0" * 50, "not_text"),
    }


#: Content that is read, by names and in encodings that are easily mistaken.
ODD_KEYS: dict[str, bytes] = {
    "odd/a name with  spaces + plus & more=%41.txt": f"By its spaces and signs. {_TEXT}".encode(),
    "odd/Straße/日本語/🦔.md": f"# Igel\n\nBy its letters. {_TEXT}".encode(),
    "odd/'quoted\"; DROP TABLE documents;--.txt": f"By its quotes. {_TEXT}".encode(),
    "odd/../../climbs.txt": f"By its way. {_TEXT}".encode(),
    "odd/no suffix": f"By no suffix. {_TEXT}".encode(),
    "odd/cyrillic.txt": ("Счета оплачиваются в течение тридцати дней от даты выставления. " * 5).encode("cp1251"),
    "odd/wide.txt": f"In two bytes each. {_TEXT}".encode("utf-16"),
}
