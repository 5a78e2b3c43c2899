"""What goes into a store, and what a search finds."""

import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from embedstack.errors import DimensionMismatch, NonFiniteVector, RecordRefused

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from embedstack.stores.collection_info import CollectionInfo

    Vector = NDArray[np.float32]

__all__ = ["UNFILTERED", "Hit", "Record", "Stored", "check_record", "check_vector", "hash_text"]

#: Name of a metadata that no filter can ask for and that so may be long in every store; a string.
UNFILTERED = "embedstack-chunks"

# S3 Vectors' limit for a key.
_MAX_ID = 1024
# pgvector's limit for a sparse vector in an index.
_MAX_WEIGHTS = 1000
# An escaped NUL in JSON, and not an escaped backslash before "u0000".
_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")


def hash_text(*parts: str) -> bytes:
    """32 bytes that tell one content from another; parts are kept apart."""
    digest = hashlib.sha256()
    for part in parts:
        content = part.encode()
        digest.update(len(content).to_bytes(8, "big") + content)
    return digest.digest()


@dataclass(frozen=True, slots=True, eq=False)
class Record:
    """A text with its vector.

    Attributes:
        id: Unique in its collection, at most 1,024 characters.
        text: The text that was embedded, without a prompt.
        vector: Float32 (dimensions,).
        metadata: JSON values by name; filters see those at the top.
        context: What kind of text it is; the collection's where it has one.
        content_hash: 32 bytes that change when the text has to be embedded anew; of the text alone where not given.
        sparse: Weights by position, where the collection has sparse vectors.
    """

    id: str
    text: str
    vector: "Vector"
    metadata: Mapping[str, Any] = field(default_factory=dict)
    context: str | None = None
    content_hash: bytes = b""
    sparse: Mapping[int, float] | None = None

    def __post_init__(self) -> None:
        """Hash the text where no hash is given."""
        if not self.content_hash:
            object.__setattr__(self, "content_hash", hash_text(self.text))


@dataclass(frozen=True, slots=True, eq=False)
class Hit:
    """A record that a search found.

    Attributes:
        record: The record; its vector is empty, since no search needs it.
        score: What hits are ordered by, the highest first: the similarity, or what several rankings fuse to.
        similarity: Cosine similarity, -1 to 1; the negative distance in a euclidean collection.
    """

    record: Record
    score: float
    similarity: float


class Stored(NamedTuple):
    """What came of records that were put.

    Attributes:
        inserted: New ones.
        updated: Those whose content, context or metadata had changed.
        unchanged: Those that were there already, and were not written again.
    """

    inserted: int = 0
    updated: int = 0
    unchanged: int = 0

    def plus(self, other: "Stored") -> "Stored":
        """The sum of both."""
        return Stored(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))


def check_vector(vector: "Vector | Sequence[float]", info: "CollectionInfo", what: str) -> "Vector":
    """The vector as float32 (dimensions,).

    Args:
        vector: To be stored, or to be searched with.
        info: The collection.
        what: What it is the vector of, for a message.

    Raises:
        DimensionMismatch: It has another length than the collection's.
        NonFiniteVector: It holds NaN or infinity.
        RecordRefused: It has no direction, and the distance is that between directions.
    """
    checked = np.asarray(vector, np.float32)
    if checked.shape != (info.dimensions,):
        raise DimensionMismatch(
            f"The vector of {what} has the shape {checked.shape}; the collection {info.name} holds vectors of "
            f"{info.dimensions} dimensions by {info.model_id}."
        )
    # One dot product tells both: NaN and infinity stay, and squares of finite float32 can be summed in float64.
    squared = float(np.dot(checked.astype(np.float64), checked.astype(np.float64)))
    if not np.isfinite(squared):
        raise NonFiniteVector(f"The vector of {what} holds NaN or infinity.")
    if squared == 0 and info.distance == "cosine":
        raise RecordRefused(f"The vector of {what} is zero and has no direction: its cosine distance is not defined.")
    return checked


def _check_sparse(sparse: Mapping[int, float], dimensions: int, what: str) -> None:
    if not all(0 <= position < dimensions for position in sparse):
        raise RecordRefused(f"The sparse vector of {what} has a position that is not in 0 to {dimensions - 1}.")
    if not all(math.isfinite(weight) for weight in sparse.values()):
        raise NonFiniteVector(f"The sparse vector of {what} holds NaN or infinity.")
    if len(sparse) > _MAX_WEIGHTS:
        raise RecordRefused(
            f"The sparse vector of {what} has {len(sparse)} weights; an index takes {_MAX_WEIGHTS}: cut the text, or "
            "keep the highest weights."
        )


def check_record(record: Record, info: "CollectionInfo") -> str:
    """See that a store can hold the record.

    Returns:
        Its metadata as JSON.

    Raises:
        DimensionMismatch, NonFiniteVector: As :func:`check_vector`.
        RecordRefused: Its id, text, metadata or context cannot be held; the message names the id.
    """
    what = f"record {record.id[:80]!r}"
    if not 1 <= len(record.id) <= _MAX_ID:
        raise RecordRefused(f"The id of {what} has {len(record.id)} characters; 1 to {_MAX_ID} are allowed.")
    check_vector(record.vector, info, what)
    if info.context is not None and record.context not in (None, info.context):
        raise RecordRefused(
            f"The context of {what} is {record.context!r}; the collection {info.name} holds {info.context!r} only, "
            "since another context has other vectors."
        )
    if record.sparse is not None and info.sparse_dimensions is None:
        raise RecordRefused(f"{what} has a sparse vector, and the collection {info.name} holds none.")
    if record.sparse:
        _check_sparse(record.sparse, info.sparse_dimensions or 0, what)
    try:
        metadata = json.dumps(dict(record.metadata), allow_nan=False, ensure_ascii=False)
        (record.id + record.text + metadata + (record.context or "")).encode()
    except (TypeError, ValueError) as error:
        raise RecordRefused(f"The metadata of {what} is not JSON, or its text is not Unicode.") from error
    if "\0" in record.text or "\0" in record.id or _NUL.search(metadata):
        raise RecordRefused(f"{what} holds the character NUL, which Postgres cannot store: remove it.")
    return metadata
