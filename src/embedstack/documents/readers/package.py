"""Reads the parts of an Office file, a zip of XML files (ECMA-376 part 2)."""

import io
import zipfile
import zlib
from collections.abc import Callable
from xml.parsers import expat

from embedstack.documents.limits import Allowance

__all__ = ["EndElement", "StartElement", "open_package", "parse_part"]

StartElement = Callable[[str, dict[str, str]], None]
EndElement = Callable[[str], None]

# A docx has tens of parts, and one for each picture. zipfile creates an object for each part when it is opened.
_MAX_PARTS = 10_000
_PART_HEADER = b"PK\x01\x02"
_BLOCK_BYTES = 64 * 1024


class _HasEntities(Exception):
    """A part declares a document type. Office writes none, and entities can expand without limit."""


def open_package(content: bytes, allowance: Allowance) -> zipfile.ZipFile:
    """Open an Office file.

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
    data: Callable[[str], None] | None = None,
) -> None:
    """Parse a part while decompressing it. Memory does not grow with its size, nor recursion with its depth.

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
    # Without namespace processing: expat would copy the namespace name, which may be long, for every element.
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = _refuse_doctype
    parser.StartElementHandler = lambda element, attributes: start(
        _local(element), {_local(key): value for key, value in attributes.items() if not key.startswith("xmlns")}
    )
    if end:
        parser.EndElementHandler = lambda element: end(_local(element))
    if data:
        parser.CharacterDataHandler = data
    _check_part(package, name, allowance)
    try:
        with package.open(name) as part:
            size, position = _BLOCK_BYTES, -1
            while block := part.read(size):
                allowance.take_inflated(len(block))
                parser.Parse(block, False)
                # Before version 2.6, expat parses an incomplete token from its start with every block.
                size = _BLOCK_BYTES if parser.CurrentByteIndex > position else 2 * size
                position = parser.CurrentByteIndex
        parser.Parse(b"", True)
    except _HasEntities:
        allowance.refuse("corrupt", "declares a document type, which Office never does. Save it as docx again.")
    except expat.ExpatError as error:
        if expat.ErrorString(error.code) == expat.errors.XML_ERROR_NO_MEMORY:
            raise MemoryError from error
        allowance.refuse("corrupt", "has a part that is not XML. Save it as docx again.")
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError, ValueError):
        allowance.refuse("corrupt", "has a damaged part; it may be truncated. Upload it again.")


def _check_part(package: zipfile.ZipFile, name: str, allowance: Allowance) -> None:
    part = package.getinfo(name)
    if part.flag_bits & 1:
        allowance.refuse("encrypted", "is a zip with a password. Save it without one.")
    # ECMA-376 part 2 allows no other methods, and Python decompresses those without a limit.
    if part.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        allowance.refuse("corrupt", "uses a compression method that docx does not allow. Save it as docx again.")
    allowance.check_inflated(part.file_size)


def _local(name: str) -> str:
    return name.rpartition(":")[2]


def _refuse_doctype(*_: object) -> None:
    raise _HasEntities
