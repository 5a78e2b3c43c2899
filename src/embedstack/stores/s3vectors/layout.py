"""Maps records and collection properties to vectors and tags of S3 Vectors."""

import base64
import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

import numpy as np

from embedstack.errors import ConfigurationError, FilterRefused, RecordRefused, StoreError
from embedstack.stores.collection_info import CollectionInfo
from embedstack.stores.filters import CONTEXT, Condition
from embedstack.stores.records import UNFILTERED, Record, check_record, is_portable

__all__ = ["NOT_FILTERABLE", "TEXT", "filter_document", "from_tags", "from_vector", "to_tags", "to_vector"]

#: The metadata key of a record's text, which full-text search searches.
TEXT = "embedstack-text"
_HASH = "embedstack-hash"
#: Metadata keys that are not filterable, and so may be long.
NOT_FILTERABLE = [TEXT, _HASH]

# Limits of S3 Vectors (https://docs.aws.amazon.com/AmazonS3/latest/userguide/s3-vectors-limitations.html). The
# number of values in a filter: ".../s3-vectors-index-mode.html".
_MAX_DIMENSIONS = 4096
_MAX_METADATA = 40 * 1024
_MAX_FILTERABLE = 2 * 1024
_MAX_KEYS = 50
_MAX_TAG = 256
_MAX_COMPARED = 100
#: Names of long values in a message.
_NAMED = 3

_TAG = "embedstack:collection-"


def to_tags(info: CollectionInfo) -> dict[str, str]:
    """A collection's properties as tags of its index.

    They are base64-encoded, because tags do not allow every character of a prompt, and split into several tags.

    Raises:
        ConfigurationError: S3 Vectors does not support such vectors.
    """
    if info.dimensions > _MAX_DIMENSIONS:
        raise ConfigurationError(
            f"S3 Vectors supports up to {_MAX_DIMENSIONS} dimensions; {info.model_id} has {info.dimensions}."
        )
    if info.sparse_dimensions is not None:
        raise ConfigurationError("S3 Vectors does not support sparse vectors. Use Postgres, or omit sparse_dimensions.")
    encoded = base64.b64encode(json.dumps(asdict(info), separators=(",", ":")).encode()).decode()
    return {
        f"{_TAG}{start // _MAX_TAG}": encoded[start : start + _MAX_TAG] for start in range(0, len(encoded), _MAX_TAG)
    }


def from_tags(tags: dict[str, str]) -> CollectionInfo | None:
    """The collection's properties from an index's tags; None if embedstack did not create the index.

    Raises:
        StoreError: The tags are invalid.
    """
    pieces = [tags[f"{_TAG}{number}"] for number in range(len(tags)) if f"{_TAG}{number}" in tags]
    try:
        properties = json.loads(base64.b64decode("".join(pieces))) if pieces else None
        if properties is not None:
            # Earlier releases stored a Postgres configuration, which had no effect here.
            properties.pop("text_search", None)
        return None if properties is None else CollectionInfo(**properties)
    except (AttributeError, ConfigurationError, RecursionError, TypeError, ValueError) as error:
        raise StoreError(
            f"The index's tags {_TAG}… do not describe a collection ({type(error).__name__}). Another program changed "
            "them: restore them, or create the collection again."
        ) from None


def to_vector(record: Record, info: CollectionInfo) -> dict[str, Any]:
    """A record as a vector of PutVectors.

    Raises:
        RecordRefused, DimensionMismatch, NonFiniteVector: The record is invalid.
    """
    check_record(record, info)
    subject = f"record {record.id[:80]!r}"
    for name, value in record.metadata.items():
        if name in (CONTEXT, *NOT_FILTERABLE):
            raise RecordRefused(f"The metadata of {subject} contains the reserved name {name!r}. Rename it.")
        if not is_portable(value):
            raise RecordRefused(
                f"The metadata {name[:80]!r} of {subject} is not a string, number (float64), boolean, or non-empty "
                "list of strings or numbers, the types that S3 Vectors supports. Omit or convert it."
            )
    context = record.context or info.context
    filterable = {**record.metadata, **({CONTEXT: context} if context is not None else {})}
    # Stored with the hash: the keys that are not filterable are fixed when an index is created.
    unfiltered = filterable.pop(UNFILTERED, "")
    digest = f"{record.content_hash.hex()} {unfiltered}" if unfiltered else record.content_hash.hex()
    metadata = {**filterable, TEXT: record.text, _HASH: digest}
    size, filterable_size = _size(metadata), _size(filterable)
    if filterable_size > _MAX_FILTERABLE or size > _MAX_METADATA or len(metadata) > _MAX_KEYS:
        longest = sorted(filterable, key=lambda name: -_size({name: filterable[name]}))[:_NAMED]
        raise RecordRefused(
            f"The metadata of {subject} has {len(metadata)} names, {size} bytes with its text and {filterable_size} "
            f"without. S3 Vectors allows {_MAX_KEYS} names, {_MAX_METADATA} bytes with and {_MAX_FILTERABLE} bytes "
            f"without the text. Longest values: {', '.join(ascii(name[:80]) for name in longest) or 'none'}. Use "
            "smaller chunks or less metadata, or Postgres."
        )
    return {
        "key": record.id,
        "data": {"float32": np.asarray(record.vector, np.float32).tolist()},
        "metadata": metadata,
    }


def _size(metadata: Mapping[str, Any]) -> int:
    """Size of metadata in bytes as S3 Vectors counts it. Measured, because AWS does not document it.

    4 bytes, plus for each entry 8 bytes, its name and its value: a string's UTF-8 bytes, 4 for a number, 0 for a
    boolean, and 4 more for each element of an array.
    """
    return 4 + sum(8 + len(name.encode()) + _value_size(value) for name, value in metadata.items())


def _value_size(value: Any) -> int:
    if isinstance(value, list):
        return sum(4 + _value_size(element) for element in value)
    if isinstance(value, str):
        return len(value.encode())
    return 0 if isinstance(value, bool) else 4


def from_vector(vector: dict[str, Any]) -> Record:
    """A record from a vector of S3 Vectors. Its vector is empty if the response contains no data.

    Raises:
        StoreError: embedstack did not write the vector.
    """
    try:
        return _record(vector)
    except (AttributeError, LookupError, OverflowError, TypeError, ValueError) as error:
        raise StoreError(
            f"The index contains a vector that is not a record of a collection ({type(error).__name__}). Another "
            "program wrote it: delete it, and use separate indexes."
        ) from None


def _record(vector: dict[str, Any]) -> Record:
    metadata = dict(vector.get("metadata") or {})
    text = str(metadata.pop(TEXT, ""))
    digest, _, unfiltered = str(metadata.pop(_HASH, "")).partition(" ")
    if unfiltered:
        metadata[UNFILTERED] = unfiltered
    context = metadata.pop(CONTEXT, None)
    values = np.array((vector.get("data") or {}).get("float32", []), np.float32)
    return Record(vector["key"], text, values, metadata, context, bytes.fromhex(digest))


def filter_document(
    conditions: tuple[Condition, ...], *, by_prefix: bool
) -> tuple[dict[str, Any] | None, tuple[Condition, ...]]:
    """Conditions as the filter of QueryVectors, and the conditions that it cannot express.

    S3 Vectors compares numbers, but neither dates nor parts of strings.

    Args:
        conditions: Conditions, all of which apply.
        by_prefix: Whether the index supports ``$startsWith``.

    Returns:
        The filter, which matches every record that all conditions match; None without conditions. Then the conditions
        to compare with each result.

    Raises:
        FilterRefused: They contain more values than S3 Vectors allows, or a name that it cannot filter by.
    """
    documents: list[dict[str, Any]] = []
    remaining = []
    for condition in conditions:
        name = condition.name
        if name in (*NOT_FILTERABLE, UNFILTERED):
            raise FilterRefused(f"{name!r} is a reserved name, which S3 Vectors cannot filter by. Use other metadata.")
        operator, value = _service_operator(condition, by_prefix=by_prefix)
        if operator is not None:
            documents.append({name: {operator: value}})
        else:
            remaining.append(condition)
        if operator in (None, "$ne"):
            # AWS does not document what $ne returns for vectors without that name.
            documents.append({name: {"$exists": True}})
    compared = sum(len(value) if isinstance(value, list) else 1 for value in map(_operand, documents))
    if compared > _MAX_COMPARED:
        raise FilterRefused(
            f"The filter has {compared} values; S3 Vectors allows {_MAX_COMPARED}, and $ne and conditions on dates or "
            "parts of strings take one more. Split the search, or add metadata that the records have in common."
        )
    if len(documents) < 2:
        return documents[0] if documents else None, tuple(remaining)
    return {"$and": documents}, tuple(remaining)


def _service_operator(condition: Condition, *, by_prefix: bool) -> tuple[str | None, Any]:
    """The operator and operand of S3 Vectors; (None, None) if it has none."""
    match condition.operator:
        case "$in":
            return "$in", list(condition.value)
        case "$prefix" if by_prefix:
            return "$startsWith", condition.value
        case "$prefix" | "$contains":
            return None, None
        case _ if isinstance(condition.value, datetime):
            return None, None
        case operator:
            return operator, condition.value


def _operand(document: dict[str, Any]) -> Any:
    (condition,) = document.values()
    (operand,) = condition.values()
    return operand
