"""The parts of an Office file, which is a zip of XML files (ECMA-376 part 2)."""

import io
import zipfile
import zlib
from collections.abc import Callable
from xml.parsers import expat

from embedstack.documents.limits import Allowance

__all__ = ["EndElement", "StartElement", "open_package", "parse_part"]

StartElement = Callable[[str, dict[str, str]], None]
EndElement = Callable[[str], None]

# A docx has tens of parts, and one for each picture. Python makes an object for each before any can be asked for.
_MAX_PARTS = 10_000
_PART_HEADER = b"PK\x01\x02"
_PIECE = 64 * 1024


class _HasEntities(Exception):
    """A part declares a document type: Office writes none, and entities inflate in memory."""


def open_package(content: bytes, allowance: Allowance) -> zipfile.ZipFile:
    """Open the zip.

    Raises:
        DocumentRefused: It is none ("corrupt"), or it has too many parts ("too_large").
    """
    if content.count(_PART_HEADER) > _MAX_PARTS:
        allowance.refuse("too_large", f"is a zip of more than {_MAX_PARTS:,} files: take its pictures out.")
    try:
        return zipfile.ZipFile(io.BytesIO(content))
    except (zipfile.BadZipFile, ValueError, NotImplementedError):
        allowance.refuse("corrupt", "is a zip that cannot be opened; it may be cut off: upload it anew.")


def parse_part(
    package: zipfile.ZipFile,
    name: str,
    allowance: Allowance,
    *,
    start: StartElement,
    end: EndElement | None = None,
    data: Callable[[str], None] | None = None,
) -> None:
    """Read a part as it inflates: nothing but what the handlers keep is in memory, and no depth is too deep.

    Args:
        package: From :func:`open_package`.
        name: Of a part that is there.
        allowance: Counts what it inflates to, whatever the zip says that it does.
        start: Called with an element's local name and its attributes by theirs.
        end: Called with its local name.
        data: Called with text.

    Raises:
        DocumentRefused: It is damaged, encrypted, not XML, declares entities, or is larger than is allowed.
    """
    # Without namespaces: expat would copy a namespace's name, which may be long, for every element.
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
            size, position = _PIECE, -1
            while piece := part.read(size):
                allowance.take_inflated(len(piece))
                parser.Parse(piece, False)
                # Before version 2.6, expat reads a tag, a comment or a text that is not ended from its start each time.
                size = _PIECE if parser.CurrentByteIndex > position else 2 * size
                position = parser.CurrentByteIndex
        parser.Parse(b"", True)
    except _HasEntities:
        allowance.refuse("corrupt", "declares a document type, as Office never does: save it as docx anew.")
    except expat.ExpatError as error:
        if expat.ErrorString(error.code) == expat.errors.XML_ERROR_NO_MEMORY:
            raise MemoryError from error
        allowance.refuse("corrupt", "has a part inside that is not XML: save it as docx anew.")
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError, ValueError):
        allowance.refuse("corrupt", "has a damaged part inside; it may be cut off: upload it anew.")


def _check_part(package: zipfile.ZipFile, name: str, allowance: Allowance) -> None:
    part = package.getinfo(name)
    if part.flag_bits & 1:
        allowance.refuse("encrypted", "is a zip with a password: save it without one.")
    # ECMA-376 part 2 allows no other; Python inflates the others without a bound.
    if part.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        allowance.refuse("corrupt", "is compressed as no docx file is: save it as docx anew.")
    allowance.check_inflated(part.file_size)


def _local(name: str) -> str:
    return name.rpartition(":")[2]


def _refuse_doctype(*_: object) -> None:
    raise _HasEntities
