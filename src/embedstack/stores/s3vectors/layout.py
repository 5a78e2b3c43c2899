"""How records and the facts of a collection are laid out in S3 Vectors."""

import base64
import json
from dataclasses import asdict
from typing import Any

import numpy as np

from embedstack.errors import ConfigurationError, RecordRefused
from embedstack.stores.collection_info import CollectionInfo
from embedstack.stores.filters import CONTEXT, Condition
from embedstack.stores.records import Record, check_record

__all__ = ["NOT_FILTERABLE", "filter_document", "from_tags", "from_vector", "to_tags", "to_vector"]

_TEXT, _HASH = "embedstack-text", "embedstack-hash"
#: Metadata that no filter can ask for, and that so may be long.
NOT_FILTERABLE = [_TEXT, _HASH]

# Limits of S3 Vectors (https://docs.aws.amazon.com/AmazonS3/latest/userguide/s3-vectors-limitations.html).
_MAX_DIMENSIONS = 4096
_MAX_METADATA = 40 * 1024
_MAX_FILTERABLE = 2 * 1024
_MAX_KEYS = 50
_MAX_TAG = 256

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
    """What an index's tags say; None where it is not one of ours."""
    pieces = [tags[f"{_TAG}{number}"] for number in range(len(tags)) if f"{_TAG}{number}" in tags]
    return CollectionInfo(**json.loads(base64.b64decode("".join(pieces)))) if pieces else None


def to_vector(record: Record, info: CollectionInfo) -> dict[str, Any]:
    """A record as PutVectors takes it.

    Raises:
        RecordRefused, DimensionMismatch, NonFiniteVector: It cannot be held.
    """
    document = check_record(record, info)
    what = f"record {record.id[:80]!r}"
    for name, value in record.metadata.items():
        if name in (CONTEXT, *NOT_FILTERABLE):
            raise RecordRefused(f"The metadata of {what} may not be named {name!r}: the store needs that name.")
        if not isinstance(value, (str, int, float, bool, list)) or (
            isinstance(value, list) and not all(isinstance(one, (str, int, float, bool)) for one in value)
        ):
            raise RecordRefused(
                f"The metadata {name!r} of {what} is not a string, a number, a boolean or a list of them, which is "
                "what S3 Vectors holds."
            )
    context = record.context or info.context
    metadata = {
        **record.metadata,
        **({CONTEXT: context} if context is not None else {}),
        _TEXT: record.text,
        _HASH: record.content_hash.hex(),
    }
    size = len(json.dumps(metadata, ensure_ascii=False).encode())
    if len(document.encode()) > _MAX_FILTERABLE or size > _MAX_METADATA or len(metadata) > _MAX_KEYS:
        raise RecordRefused(
            f"The metadata of {what} has {len(metadata)} names and {size} bytes with its text; S3 Vectors takes "
            f"{_MAX_KEYS} names, {_MAX_METADATA} bytes, and {_MAX_FILTERABLE} of them beside the text: cut smaller "
            "chunks or keep less beside them."
        )
    return {
        "key": record.id,
        "data": {"float32": np.asarray(record.vector, np.float32).tolist()},
        "metadata": metadata,
    }


def from_vector(vector: dict[str, Any]) -> Record:
    """A record from what the service gives; its vector is empty where the service gave none."""
    metadata = dict(vector.get("metadata") or {})
    text, content_hash = str(metadata.pop(_TEXT, "")), bytes.fromhex(str(metadata.pop(_HASH, "")))
    context = metadata.pop(CONTEXT, None)
    values = np.array((vector.get("data") or {}).get("float32", []), np.float32)
    return Record(vector["key"], text, values, metadata, context, content_hash)


def filter_document(conditions: tuple[Condition, ...]) -> dict[str, Any] | None:
    """Conditions as QueryVectors takes them."""
    documents = [
        {
            condition.name: {
                condition.operator: list(condition.value) if condition.operator == "$in" else condition.value
            }
        }
        for condition in conditions
    ]
    if len(documents) < 2:
        return documents[0] if documents else None
    return {"$and": documents}
