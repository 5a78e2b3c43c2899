"""Records of vector stores, search hits, and their validation."""

import hashlib
import json
import operator
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from embedstack.errors import DimensionMismatch, NonFiniteVector, RecordRefused
from embedstack.stores.filters import is_number

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from embedstack.stores.collection_info import CollectionInfo

    Vector = NDArray[np.float32]

__all__ = [
    "UNFILTERED",
    "Hit",
    "Record",
    "Stored",
    "check_record",
    "check_sparse",
    "check_vector",
    "hash_text",
    "is_portable",
    "is_text",
]

#: A metadata name whose value cannot be filtered, and so may be long in every store; a string.
UNFILTERED = "embedstack-chunks"

# S3 Vectors' limit for a key, in characters.
_MAX_ID = 1024
# pgvector's limit for a sparse vector in an index.
_MAX_WEIGHTS = 1000
_MAX_FLOAT32 = float(np.finfo(np.float32).max)
_NO_TEXT = re.compile("[\0\ud800-\udfff]")
# An escaped NUL in JSON, but not an escaped backslash followed by "u0000".
_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")


def hash_text(*parts: str) -> bytes:
    """SHA-256 of texts; their boundaries are part of the hash."""
    digest = hashlib.sha256()
    for part in parts:
        content = part.encode()
        digest.update(len(content).to_bytes(8, "big") + content)
    return digest.digest()


@dataclass(frozen=True, slots=True, eq=False)
class Record:
    """A text with its vector.

    Attributes:
        id: Unique in the collection; at most 1,024 characters.
        text: The embedded text, without prompt.
        vector: Float32 (dimensions,).
        metadata: JSON values by name. Filters apply to top-level names.
        context: Kind of the text; defaults to the collection's.
        content_hash: 32 bytes that change when the text has to be embedded again; defaults to the hash of the text.
        sparse: Weights by position, in collections with sparse vectors.
    """

    id: str
    text: str
    vector: "Vector"
    metadata: Mapping[str, Any] = field(default_factory=dict)
    context: str | None = None
    content_hash: bytes = b""
    sparse: Mapping[int, float] | None = None

    def __post_init__(self) -> None:
        """Default the content hash."""
        if not self.content_hash:
            object.__setattr__(self, "content_hash", hash_text(self.text))


@dataclass(frozen=True, slots=True, eq=False)
class Hit:
    """A search hit.

    Attributes:
        record: The record, without its vector.
        score: Hits are ordered by descending score: the similarity, the BM25 score of a keyword search, or the fused
            score of a hybrid search.
        similarity: Cosine similarity, -1 to 1; the negative distance in a euclidean collection; None if the search had
            no vector.
    """

    record: Record
    score: float
    similarity: float | None


class Stored(NamedTuple):
    """The result of an upsert.

    Attributes:
        inserted: Number of new records.
        updated: Number of records whose content, context or metadata changed.
        unchanged: Number of records that were stored already and were not written.
    """

    inserted: int = 0
    updated: int = 0
    unchanged: int = 0

    def plus(self, other: "Stored") -> "Stored":
        """The sums of both results."""
        return Stored(*map(sum, zip(self, other, strict=True)))


def check_vector(vector: "Vector | Sequence[float]", info: "CollectionInfo", subject: str) -> "Vector":
    """Check a vector and convert it to float32 (dimensions,).

    Args:
        vector: A vector to store or to search with.
        info: The collection.
        subject: What the vector belongs to, for messages.

    Raises:
        DimensionMismatch: Its length differs from the collection's.
        NonFiniteVector: It contains NaN, infinity or a number beyond float32.
        RecordRefused: It is not a list of numbers, or it is zero and the collection's distance is cosine.
    """
    try:
        with np.errstate(over="ignore"):
            checked = np.asarray(vector, np.float32)
    except OverflowError:
        raise _non_finite("vector", subject) from None
    except (TypeError, ValueError):
        # Not chained: the error may quote the vector.
        raise RecordRefused(f"The vector of {subject} is not a list of numbers. Pass an embedder's vector.") from None
    if checked.shape != (info.dimensions,):
        raise DimensionMismatch(
            f"The vector of {subject} has the shape {checked.shape}; the collection {info.name} holds vectors of "
            f"{info.dimensions} dimensions from {info.model_id}. Use that model."
        )
    # One dot product detects NaN, infinity and zero: squares of finite float32 values do not overflow float64.
    squared = float(np.dot(checked.astype(np.float64), checked.astype(np.float64)))
    if not np.isfinite(squared):
        raise _non_finite("vector", subject)
    if squared == 0 and info.distance == "cosine":
        raise RecordRefused(
            f"The vector of {subject} is zero, for which cosine distance is undefined. Use another text."
        )
    return checked


def check_sparse(sparse: Mapping[int, float], dimensions: int, subject: str) -> None:
    """Check a sparse vector.

    Args:
        sparse: Weights by position.
        dimensions: Length of the collection's sparse vectors.
        subject: What it belongs to, for messages.

    Raises:
        NonFiniteVector: A weight is NaN, infinity or beyond float32.
        RecordRefused: It does not map positions to numbers, a position is out of range, or there are too many.
    """
    try:
        positions = [operator.index(position) for position in sparse]
        weights = [float(weight) for weight in sparse.values()]
    except OverflowError:
        raise _non_finite("sparse vector", subject) from None
    except (AttributeError, TypeError, ValueError):
        raise RecordRefused(
            f"The sparse vector of {subject} does not map positions to numbers. Pass a dictionary, such as {{17: 0.5}}."
        ) from None
    if not all(0 <= position < dimensions for position in positions):
        raise RecordRefused(
            f"The sparse vector of {subject} has a position outside 0 to {dimensions - 1}. Use the model of the "
            "collection's sparse vectors."
        )
    if not all(abs(weight) <= _MAX_FLOAT32 for weight in weights):
        raise _non_finite("sparse vector", subject)
    if len(sparse) > _MAX_WEIGHTS:
        raise RecordRefused(
            f"The sparse vector of {subject} has {len(sparse)} weights; the index limit is {_MAX_WEIGHTS}. Shorten the "
            "text, or keep the highest weights."
        )


def _non_finite(kind: str, subject: str) -> NonFiniteVector:
    return NonFiniteVector(
        f"The {kind} of {subject} contains NaN, infinity or a number beyond float32. Embed the text again."
    )


def is_text(value: object) -> bool:
    """Whether a value is a string that every store can hold: one without NUL and unpaired surrogates."""
    return isinstance(value, str) and _NO_TEXT.search(value) is None


def is_portable(value: object) -> bool:
    """Whether every store can hold a metadata value: those of S3 Vectors.

    These are strings, numbers, booleans, and non-empty lists of strings or of numbers. S3 Vectors accepts fewer lists
    than its user guide documents.
    """
    if isinstance(value, list):
        return bool(value) and (all(map(is_text, value)) or all(map(is_number, value)))
    return isinstance(value, bool) or is_text(value) or is_number(value)


def check_record(record: Record, info: "CollectionInfo") -> str:
    """Check that a record can be stored.

    Returns:
        The record's metadata as JSON.

    Raises:
        DimensionMismatch, NonFiniteVector: See :func:`check_vector`.
        RecordRefused: The id, text, metadata or context is invalid. The message names the id.
    """
    subject = f"record {record.id[:80]!r}"
    if not 1 <= len(record.id) <= _MAX_ID:
        raise RecordRefused(f"The id of {subject} has {len(record.id)} characters; 1 to {_MAX_ID} are allowed.")
    check_vector(record.vector, info, subject)
    if info.context is not None and record.context not in (None, info.context):
        raise RecordRefused(
            f"The context of {subject} is {record.context!r}; the collection {info.name} holds {info.context!r} only."
        )
    if record.sparse is not None and info.sparse_dimensions is None:
        raise RecordRefused(f"{subject} has a sparse vector, but the collection {info.name} has none.")
    if record.sparse:
        check_sparse(record.sparse, info.sparse_dimensions or 0, subject)
    try:
        metadata = json.dumps(dict(record.metadata), allow_nan=False, ensure_ascii=False)
        (record.id + record.text + metadata + (record.context or "")).encode()
    except (RecursionError, TypeError, ValueError) as error:
        raise RecordRefused(
            f"The metadata of {subject} is not JSON, or its text is not Unicode ({type(error).__name__}). Use strings "
            "without lone surrogates, finite numbers, booleans, lists and dictionaries."
        ) from None
    if "\0" in record.text or "\0" in record.id or _NUL.search(metadata):
        raise RecordRefused(f"{subject} contains the character NUL, which Postgres cannot store. Remove it.")
    return metadata
