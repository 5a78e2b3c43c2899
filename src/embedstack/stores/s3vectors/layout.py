"""How records and the facts of a collection are laid out in S3 Vectors."""

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
#: Metadata that no filter can ask for, and that so may be long.
NOT_FILTERABLE = [_TEXT, _HASH]

# Limits of S3 Vectors (https://docs.aws.amazon.com/AmazonS3/latest/userguide/s3-vectors-limitations.html). A filter may
# compare with so many values (".../s3-vectors-index-mode.html").
_MAX_DIMENSIONS = 4096
_MAX_METADATA = 40 * 1024
_MAX_FILTERABLE = 2 * 1024
_MAX_KEYS = 50
_MAX_TAG = 256
_MAX_COMPARED = 100

_TAG = "embedstack:collection-"


def to_tags(info: CollectionInfo) -> dict[str, str]:
    """An index's tags that say what its vectors are.

    In base64, since a tag cannot hold every character that a prompt can, and in pieces.

    Raises:
        ConfigurationError: S3 Vectors cannot hold such vectors.
    """
    if info.dimensions > _MAX_DIMENSIONS:
        raise ConfigurationError(
            f"S3 Vectors takes vectors of up to {_MAX_DIMENSIONS} dimensions; {info.model_id} gives {info.dimensions}."
        )
    if info.sparse_dimensions is not None:
        raise ConfigurationError("S3 Vectors holds no sparse vectors: use Postgres, or leave sparse_dimensions out.")
    facts = base64.b64encode(json.dumps(asdict(info), separators=(",", ":")).encode()).decode()
    return {f"{_TAG}{start // _MAX_TAG}": facts[start : start + _MAX_TAG] for start in range(0, len(facts), _MAX_TAG)}


def from_tags(tags: dict[str, str]) -> CollectionInfo | None:
    """What an index's tags say; None where it is not one of ours.

    Raises:
        StoreError: The tags were changed by something else.
    """
    pieces = [tags[f"{_TAG}{number}"] for number in range(len(tags)) if f"{_TAG}{number}" in tags]
    try:
        return CollectionInfo(**json.loads(base64.b64decode("".join(pieces)))) if pieces else None
    except (ConfigurationError, RecursionError, TypeError, ValueError) as error:
        raise StoreError(
            f"The index's tags {_TAG}… do not describe a collection ({type(error).__name__}): they were changed by "
            "something else. Restore them, or make the collection again."
        ) from None


def to_vector(record: Record, info: CollectionInfo) -> dict[str, Any]:
    """A record as PutVectors takes it.

    Raises:
        RecordRefused, DimensionMismatch, NonFiniteVector: It cannot be held.
    """
    check_record(record, info)
    what = f"record {record.id[:80]!r}"
    for name, value in record.metadata.items():
        if name in (CONTEXT, *NOT_FILTERABLE):
            raise RecordRefused(f"The metadata of {what} may not be named {name!r}: the store needs that name.")
        if not _can_be_held(value):
            raise RecordRefused(
                f"The metadata {name!r} of {what} is not a string, a number, a boolean, or a list of strings or of "
                "numbers that is not empty, which is what S3 Vectors holds: leave it out or write it otherwise."
            )
    context = record.context or info.context
    filterable = {**record.metadata, **({CONTEXT: context} if context is not None else {})}
    # Beside the hash: the names that no filter can ask for are fixed when an index is made.
    unfiltered = filterable.pop(UNFILTERED, "")
    digest = f"{record.content_hash.hex()} {unfiltered}" if unfiltered else record.content_hash.hex()
    metadata = {**filterable, _TEXT: record.text, _HASH: digest}
    size, filterable_size = _size(metadata), _size(filterable)
    if filterable_size > _MAX_FILTERABLE or size > _MAX_METADATA or len(metadata) > _MAX_KEYS:
        raise RecordRefused(
            f"The metadata of {what} has {len(metadata)} names, {size} bytes with its text and {filterable_size} "
            f"without; S3 Vectors takes {_MAX_KEYS} names, {_MAX_METADATA} bytes, and {_MAX_FILTERABLE} of them beside "
            "the text: cut smaller chunks or keep less beside them."
        )
    return {
        "key": record.id,
        "data": {"float32": np.asarray(record.vector, np.float32).tolist()},
        "metadata": metadata,
    }


def _can_be_held(value: Any) -> bool:
    """Whether the service takes a value; of an array it takes less than its user guide says."""
    if not isinstance(value, list):
        return isinstance(value, (str, int, float))
    are_strings = all(isinstance(one, str) for one in value)
    are_numbers = all(isinstance(one, (int, float)) and not isinstance(one, bool) for one in value)
    return bool(value) and (are_strings or are_numbers)


def _size(metadata: Mapping[str, Any]) -> int:
    """Bytes of metadata as the service counts them, measured since AWS does not say: not those of JSON.

    4, and for each entry 8 with those of its name and of its value: a string's in UTF-8, 4 for a number, none for a
    boolean, and for each element of an array 4 more.
    """
    return 4 + sum(8 + len(name.encode()) + _value_size(value) for name, value in metadata.items())


def _value_size(value: Any) -> int:
    if isinstance(value, list):
        return sum(4 + _value_size(one) for one in value)
    if isinstance(value, str):
        return len(value.encode())
    return 0 if isinstance(value, bool) else 4


def from_vector(vector: dict[str, Any]) -> Record:
    """A record from what the service gives; its vector is empty where the service gave none.

    Raises:
        StoreError: It is not a record of this project's.
    """
    try:
        return _record(vector)
    except (AttributeError, LookupError, OverflowError, TypeError, ValueError) as error:
        raise StoreError(
            f"The index holds a vector that is not a record of a collection ({type(error).__name__}): something else "
            "has written it. Delete it, or keep collections in an index of their own."
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
    """Conditions as QueryVectors takes them.

    Raises:
        FilterRefused: They compare with more values than it takes.
    """
    compared = sum(len(condition.value) if condition.operator == "$in" else 1 for condition in conditions)
    if compared > _MAX_COMPARED:
        raise FilterRefused(
            f"The filter compares with {compared} values; S3 Vectors takes {_MAX_COMPARED}: search in parts, or keep "
            "what they have in common in a metadata of its own."
        )
    documents: list[dict[str, Any]] = []
    for condition in conditions:
        value = list(condition.value) if condition.operator == "$in" else condition.value
        documents.append({condition.name: {condition.operator: value}})
        if condition.operator == "$ne":
            # What the service makes of a vector without that name is not documented.
            documents.append({condition.name: {"$exists": True}})
    if len(documents) < 2:
        return documents[0] if documents else None
    return {"$and": documents}
