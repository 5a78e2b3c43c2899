"""Maps records and collection properties to vectors and tags of S3 Vectors."""

import base64
import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from embedstack.errors import ConfigurationError, FilterRefused, RecordRefused, StoreError
from embedstack.stores.collection_info import CollectionInfo
from embedstack.stores.filters import CONTEXT, Condition
from embedstack.stores.records import UNFILTERED, Record, check_record

__all__ = ["NOT_FILTERABLE", "filter_document", "from_tags", "from_vector", "to_tags", "to_vector"]

_TEXT, _HASH = "embedstack-text", "embedstack-hash"
#: Metadata keys that are not filterable, and so may be long.
NOT_FILTERABLE = [_TEXT, _HASH]

# Limits of S3 Vectors (https://docs.aws.amazon.com/AmazonS3/latest/userguide/s3-vectors-limitations.html). The
# number of values in a filter: ".../s3-vectors-index-mode.html".
_MAX_DIMENSIONS = 4096
_MAX_METADATA = 40 * 1024
_MAX_FILTERABLE = 2 * 1024
_MAX_KEYS = 50
_MAX_TAG = 256
_MAX_COMPARED = 100

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
        return CollectionInfo(**json.loads(base64.b64decode("".join(pieces)))) if pieces else None
    except (ConfigurationError, RecursionError, TypeError, ValueError) as error:
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
        if not _is_supported(value):
            raise RecordRefused(
                f"The metadata {name!r} of {subject} is not a string, number, boolean, or non-empty list of strings or "
                "numbers, the types that S3 Vectors supports. Omit or convert it."
            )
    context = record.context or info.context
    filterable = {**record.metadata, **({CONTEXT: context} if context is not None else {})}
    # Stored with the hash: the keys that are not filterable are fixed when an index is created.
    unfiltered = filterable.pop(UNFILTERED, "")
    digest = f"{record.content_hash.hex()} {unfiltered}" if unfiltered else record.content_hash.hex()
    metadata = {**filterable, _TEXT: record.text, _HASH: digest}
    size, filterable_size = _size(metadata), _size(filterable)
    if filterable_size > _MAX_FILTERABLE or size > _MAX_METADATA or len(metadata) > _MAX_KEYS:
        raise RecordRefused(
            f"The metadata of {subject} has {len(metadata)} names, {size} bytes with its text and {filterable_size} "
            f"without. S3 Vectors allows {_MAX_KEYS} names, {_MAX_METADATA} bytes with and {_MAX_FILTERABLE} bytes "
            "without the text. Use smaller chunks or less metadata."
        )
    return {
        "key": record.id,
        "data": {"float32": np.asarray(record.vector, np.float32).tolist()},
        "metadata": metadata,
    }


def _is_supported(value: Any) -> bool:
    """Whether S3 Vectors accepts a metadata value. It accepts fewer arrays than its user guide documents."""
    if not isinstance(value, list):
        return isinstance(value, (str, int, float))
    are_strings = all(isinstance(element, str) for element in value)
    are_numbers = all(isinstance(element, (int, float)) and not isinstance(element, bool) for element in value)
    return bool(value) and (are_strings or are_numbers)


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
    text = str(metadata.pop(_TEXT, ""))
    digest, _, unfiltered = str(metadata.pop(_HASH, "")).partition(" ")
    if unfiltered:
        metadata[UNFILTERED] = unfiltered
    context = metadata.pop(CONTEXT, None)
    values = np.array((vector.get("data") or {}).get("float32", []), np.float32)
    return Record(vector["key"], text, values, metadata, context, bytes.fromhex(digest))


def filter_document(conditions: tuple[Condition, ...]) -> dict[str, Any] | None:
    """Conditions as the filter of QueryVectors.

    Raises:
        FilterRefused: They contain more values than S3 Vectors allows.
    """
    compared = sum(len(condition.value) if condition.operator == "$in" else 1 for condition in conditions)
    if compared > _MAX_COMPARED:
        raise FilterRefused(
            f"The filter has {compared} values; S3 Vectors allows {_MAX_COMPARED}. Split the search, or add metadata "
            "that the records have in common."
        )
    documents: list[dict[str, Any]] = []
    for condition in conditions:
        value = list(condition.value) if condition.operator == "$in" else condition.value
        documents.append({condition.name: {condition.operator: value}})
        if condition.operator == "$ne":
            # The result for vectors without that name is not documented.
            documents.append({condition.name: {"$exists": True}})
    if len(documents) < 2:
        return documents[0] if documents else None
    return {"$and": documents}
