"""Reads the parts of a zip of XML files: Office (ECMA-376 part 2), OpenDocument and EPUB."""

import io
import zipfile
import zlib
from typing import IO, cast

from embedstack.documents.limits import Allowance
from embedstack.documents.readers.xml_events import (
    EndElement,
    NotWellFormed,
    StartElement,
    TextData,
    parse_xml,
)

__all__ = ["open_package", "parse_part", "read_part", "title_in"]

# A document has tens of parts, and one for each picture. zipfile creates an object for each part when it is opened.
_MAX_PARTS = 10_000
_PART_HEADER = b"PK\x01\x02"
_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError, ValueError)
_BLOCK_BYTES = 64 * 1024


def open_package(content: bytes, allowance: Allowance) -> zipfile.ZipFile:
    """Open a zip.

    Raises:
        DocumentRefused: It is not a zip ("corrupt"), or it has too many parts ("too_large").
    """
    if content.count(_PART_HEADER) > _MAX_PARTS:
        allowance.refuse("too_large", f"is a zip of more than {_MAX_PARTS:,} files. Remove its pictures.")
    try:
        return zipfile.ZipFile(io.BytesIO(content))
    except (zipfile.BadZipFile, ValueError, NotImplementedError):
        allowance.refuse("corrupt", "is a zip that cannot be opened; it may be truncated. Upload it again.")


def parse_part(
    package: zipfile.ZipFile,
    name: str,
    allowance: Allowance,
    *,
    start: StartElement,
    end: EndElement | None = None,
    data: TextData | None = None,
) -> None:
    """Parse an XML part while decompressing it; see :func:`~embedstack.documents.readers.xml_events.parse_xml`.

    Args:
        package: From :func:`open_package`.
        name: The name of an existing part.
        allowance: Counts the actual decompressed bytes.
        start: Called with an element's local name and its attributes by local name.
        end: Called with an element's local name.
        data: Called with text.

    Raises:
        DocumentRefused: The part is damaged, encrypted, not XML, declares entities, or exceeds the limits.
    """
    _check_part(package, name, allowance)
    try:
        with package.open(name) as part:
            stream = cast("IO[bytes]", _CountedPart(part, allowance))
            parse_xml(stream, allowance, start=start, end=end, data=data)
    except NotWellFormed:
        allowance.refuse("corrupt", "has a part that is not XML. Save it again with its program.")
    except _DAMAGE:
        _refuse_damage(allowance)


def read_part(package: zipfile.ZipFile, name: str, allowance: Allowance) -> bytes:
    """Decompress a part; see :func:`parse_part`."""
    _check_part(package, name, allowance)
    content = io.BytesIO()
    try:
        with package.open(name) as part:
            while block := part.read(_BLOCK_BYTES):
                allowance.take_inflated(len(block))
                content.write(block)
    except _DAMAGE:
        _refuse_damage(allowance)
    return content.getvalue()


def title_in(package: zipfile.ZipFile, name: str, allowance: Allowance) -> str | None:
    """The text of the elements called "title" in a part; None without the part or without text."""
    texts: list[str] = []
    is_title = False

    def start(element: str, _: dict[str, str]) -> None:
        nonlocal is_title
        is_title = element == "title"

    def end(_: str) -> None:
        nonlocal is_title
        is_title = False

    def data(text: str) -> None:
        if is_title:
            texts.append(text)

    if name in package.namelist():
        parse_part(package, name, allowance, start=start, end=end, data=data)
    return "".join(texts) or None


class _CountedPart:
    """Counts the bytes that are read."""

    def __init__(self, part: IO[bytes], allowance: Allowance) -> None:
        self._part = part
        self._allowance = allowance

    def read(self, size: int) -> bytes:
        block = self._part.read(size)
        self._allowance.take_inflated(len(block))
        return block


def _check_part(package: zipfile.ZipFile, name: str, allowance: Allowance) -> None:
    part = package.getinfo(name)
    if part.flag_bits & 1:
        allowance.refuse("encrypted", "is a zip with a password. Save it without one.")
    # The formats allow no other methods, and Python decompresses those without a limit.
    if part.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        allowance.refuse("corrupt", "uses a compression method that its format does not allow. Save it again.")
    allowance.check_inflated(part.file_size)


def _refuse_damage(allowance: Allowance) -> None:
    allowance.refuse("corrupt", "has a damaged part; it may be truncated. Upload it again.")
