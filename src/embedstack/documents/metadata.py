"""Metadata of documents: from S3 object metadata, tags, and files beside the documents.

A file ``<document>.metadata.json`` holds the metadata of a document in the format of Bedrock knowledge bases::

    {"metadataAttributes": {"year": 2025, "team": "billing", "tags": ["invoice", "tax"]}}
"""

import json
from collections.abc import Mapping
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from typing import Any

from embedstack.documents.limits import display_name
from embedstack.documents.readers.cleaning import clean
from embedstack.errors import InputError
from embedstack.stores.records import is_portable, is_text

__all__ = [
    "MAX_METADATA_FILE_BYTES",
    "RESERVED",
    "described_document",
    "metadata_file",
    "object_metadata",
    "parse_metadata_file",
    "require_metadata",
    "require_names",
]

#: Names of the metadata that ingestion stores with each chunk; ``context`` is a field of the record.
RESERVED = frozenset({"source", "position", "document", "headings", "page", "row", "notes", "context"})

#: Maximum size of a metadata file in bytes, as for knowledge bases
#: (https://docs.aws.amazon.com/bedrock/latest/userguide/knowledge-base-ds.html).
MAX_METADATA_FILE_BYTES = 10 * 1024

_REMEDY = 'Write {"metadataAttributes": {"name": value}}.'
_SUFFIX = ".metadata.json"
# Values of attributes that state their type (Bedrock's MetadataAttributeValue), by type.
_TYPED = {"STRING": "stringValue", "NUMBER": "numberValue", "BOOLEAN": "booleanValue", "STRING_LIST": "stringListValue"}


def metadata_file(source: str) -> str:
    """The name of a document's metadata file."""
    return source + _SUFFIX


def described_document(name: str) -> str | None:
    """The document that a metadata file describes; None for other files."""
    document = name.removesuffix(_SUFFIX)
    return document if document != name and document and not document.endswith("/") else None


def require_names(metadata: Mapping[str, Any], subject: str) -> None:
    """Check that no name is reserved or invalid.

    Args:
        metadata: Values by name.
        subject: Where the metadata comes from, for messages.

    Raises:
        InputError: A name is.
    """
    reserved = sorted(RESERVED & set(metadata))
    if reserved:
        raise InputError(f"{subject} contains reserved names: {', '.join(reserved)}. Rename them.")
    if not all(_is_name(name) for name in metadata):
        raise InputError(
            f"{subject} contains an invalid name. Use non-empty strings of Unicode characters other than NUL that do "
            "not start with '$'."
        )


def require_metadata(metadata: Mapping[str, Any], subject: str) -> dict[str, Any]:
    """Check that every store can hold a document's metadata.

    Values are strings, finite numbers, booleans, and non-empty lists of strings or of numbers: the types that S3
    Vectors supports. Values that are None or empty lists are omitted.

    Args:
        metadata: Values by name.
        subject: Where the metadata comes from, for messages.

    Raises:
        InputError: A name is reserved or empty, or a value has another type.
    """
    require_names(metadata, subject)
    kept = {name: value for name, value in metadata.items() if value is not None and value != []}
    for name, value in kept.items():
        if not is_portable(value):
            raise InputError(
                f"{subject} contains an unsupported value for {name[:80]!r}. Use a string of Unicode characters other "
                "than NUL, a number, a boolean, or a list of strings or of numbers."
            )
    return kept


def parse_metadata_file(content: bytes, source: str) -> dict[str, Any]:
    """Parse a document's metadata file.

    Args:
        content: The file.
        source: The document's key or path, for messages.

    Raises:
        InputError: The file is too large, is not JSON of this format, or contains invalid attributes.
    """
    subject = f"The metadata file of {display_name(source)}"
    if len(content) > MAX_METADATA_FILE_BYTES:
        raise InputError(f"{subject} has more than {MAX_METADATA_FILE_BYTES:,} bytes. Shorten it.")
    try:
        parsed = json.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{subject} is not JSON in UTF-8. {_REMEDY}") from error
    attributes = parsed.get("metadataAttributes") if isinstance(parsed, dict) else None
    if not isinstance(attributes, dict):
        raise InputError(f'{subject} has no object "metadataAttributes". {_REMEDY}')
    return require_metadata({name: _plain_value(value) for name, value in attributes.items()}, subject)


def object_metadata(user_metadata: Mapping[str, str], tags: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """Metadata from an S3 object's user-defined metadata and tags. User-defined metadata takes precedence.

    Other programs also write such metadata, so reserved names are omitted with a note instead of refused.

    Args:
        user_metadata: The values of ``x-amz-meta-*`` headers by lower-case name, as S3 returns them.
        tags: The object's tags.

    Returns:
        The metadata and the notes.
    """
    merged = {**tags, **{name: _decode(value) for name, value in user_metadata.items()}}
    omitted = {name for name in merged if name in RESERVED or not _is_name(name)}
    notes = [f"S3 metadata that was ignored because its names are reserved: {len(omitted)}."] if omitted else []
    return {name: value for name, value in merged.items() if name not in omitted}, notes


def _decode(value: str) -> str:
    """Decode RFC 2047, in which S3 returns characters other than US-ASCII."""
    try:
        return clean(str(make_header(decode_header(value))))
    except (HeaderParseError, LookupError, ValueError):
        return value


def _plain_value(value: Any) -> Any:
    """An attribute's value, without the type that Bedrock's long form states."""
    if not isinstance(value, dict):
        return value
    typed = value.get("value")
    if isinstance(typed, dict) and set(value) <= {"value", "includeForEmbedding"}:
        return typed.get(_TYPED.get(str(typed.get("type")), ""), value)
    return value


def _is_name(name: Any) -> bool:
    # Filters take names that start with "$" for operators.
    return isinstance(name, str) and name != "" and not name.startswith("$") and is_text(name)
