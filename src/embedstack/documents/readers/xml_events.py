"""Parses XML into events, with memory that does not grow with its size, and without recursion.

Entities that contain others are refused, because they can expand without limit, and external ones, because they would
read other files.
"""

from collections.abc import Callable
from typing import IO
from xml.parsers import expat

from embedstack.documents.limits import Allowance

__all__ = ["EndElement", "NotWellFormed", "StartElement", "TextData", "parse_xml"]

StartElement = Callable[[str, dict[str, str]], None]
EndElement = Callable[[str], None]
TextData = Callable[[str], None]

_BLOCK_BYTES = 64 * 1024
# Characters of an entity, which a document may repeat for every four bytes.
_MAX_ENTITY = 200


class NotWellFormed(Exception):
    """The content is not XML.

    Attributes:
        line: The line of the error, from 1.
    """

    def __init__(self, line: int) -> None:
        super().__init__(f"not well-formed at line {line}")
        self.line = line


class _IsRefused(Exception):
    """The document type declares entities or default attributes that are refused."""


def parse_xml(
    stream: IO[bytes],
    allowance: Allowance,
    *,
    start: StartElement,
    end: EndElement | None = None,
    data: TextData | None = None,
    skipped: TextData | None = None,
    encoding: str | None = None,
) -> None:
    """Parse a stream.

    Args:
        stream: The XML.
        allowance: Refuses the document.
        start: Called with an element's local name, and its attributes by local name. An attribute with a prefix takes
            precedence over one without.
        end: Called with an element's local name.
        data: Called with text.
        skipped: Called with the name of an entity that an external document type may define.
        encoding: Overrides the declared encoding.

    Raises:
        NotWellFormed: The content is not XML.
        DocumentRefused: It declares long, nested or external entities, or default attributes ("corrupt").
    """
    # Without namespace processing: expat would copy the namespace name, which may be long, for every element.
    parser = expat.ParserCreate(encoding)
    parser.buffer_text = True
    parser.EntityDeclHandler = _check_entity
    # Default attributes can expand like entities: each element repeats them.
    parser.AttlistDeclHandler = _refuse_attributes
    parser.StartElementHandler = lambda element, attributes: start(_local(element), _by_local_name(attributes))
    if end:
        parser.EndElementHandler = lambda element: end(_local(element))
    if data:
        parser.CharacterDataHandler = data
    if skipped:
        parser.SkippedEntityHandler = lambda name, is_parameter: None if is_parameter else skipped(name)
    try:
        size, position = _BLOCK_BYTES, -1
        while block := stream.read(size):
            parser.Parse(block, False)
            # Before version 2.6, expat parses an incomplete token from its start with every block.
            size = _BLOCK_BYTES if parser.CurrentByteIndex > position else 2 * size
            position = parser.CurrentByteIndex
        parser.Parse(b"", True)
    except _IsRefused:
        allowance.refuse("corrupt", "declares entities in its document type. Save it without a document type.")
    except expat.ExpatError as error:
        if expat.ErrorString(error.code) == expat.errors.XML_ERROR_NO_MEMORY:
            raise MemoryError from error
        raise NotWellFormed(error.lineno) from error


def _by_local_name(attributes: dict[str, str]) -> dict[str, str]:
    named = {key: value for key, value in attributes.items() if ":" not in key}
    for key, value in attributes.items():
        if ":" in key and not key.startswith("xmlns"):
            named[_local(key)] = value
    return named


def _local(name: str) -> str:
    return name.rpartition(":")[2]


def _check_entity(
    _name: str, is_parameter: bool, value: str | None, _base: str | None, *_identifiers: str | None
) -> None:
    # External parameter entities, such as lists of character names, are never loaded.
    if value is None and is_parameter:
        return
    if value is None or len(value) > _MAX_ENTITY or not {"&", "%"}.isdisjoint(value):
        raise _IsRefused


def _refuse_attributes(*_: object) -> None:
    raise _IsRefused
