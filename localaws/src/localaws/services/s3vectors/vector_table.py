"""The vectors of one index: a matrix that is searched by one multiplication, with keys and metadata."""

import zlib
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from localaws.services.s3vectors.filters import Predicate

__all__ = ["Neighbour", "StoredVector", "VectorTable"]

_FIRST_CAPACITY = 64


class StoredVector(NamedTuple):
    """One vector.

    Attributes:
        sequence: Order of insertion; putting the same key again keeps it.
        key: Its key.
        values: Float32 (dimension,).
        metadata: Its metadata.
    """

    sequence: int
    key: str
    values: "NDArray[np.float32]"
    metadata: dict[str, Any]


class Neighbour(NamedTuple):
    """A result of a search."""

    key: str
    distance: float


class VectorTable:
    """Vectors by key in the order of insertion. Not safe for threads: the index has a lock."""

    def __init__(self, dimension: int, metric: Literal["cosine", "euclidean"]) -> None:
        """Create an empty table.

        Args:
            dimension: Length of the vectors.
            metric: The distance metric.
        """
        self._metric = metric
        self._matrix = np.empty((0, dimension), np.float32)
        #: Norm of each vector; NaN for a deleted vector, which makes distances to it NaN.
        self._lengths = np.empty(0, np.float64)
        self._sequences = np.empty(0, np.int64)
        self._keys: list[str] = []
        self._metadata: list[dict[str, Any]] = []
        self._rows: dict[str, int] = {}
        self._next_sequence = 1

    def __len__(self) -> int:
        """The number of vectors."""
        return len(self._rows)

    def __contains__(self, key: str) -> bool:
        """Whether a vector has this key."""
        return key in self._rows

    def put(self, keys: list[str], vectors: "NDArray[np.float32]", metadata: list[dict[str, Any]]) -> None:
        """Store vectors; an existing key is overwritten.

        Args:
            keys: One per vector.
            vectors: Float32 (keys, dimension).
            metadata: One per vector.
        """
        lengths = np.linalg.norm(vectors.astype(np.float64), axis=1)
        for index, key in enumerate(keys):
            row = self._rows.get(key)
            if row is None:
                row = self._append(key)
            self._matrix[row], self._lengths[row], self._metadata[row] = vectors[index], lengths[index], metadata[index]

    def get(self, keys: Iterable[str]) -> Iterator[StoredVector]:
        """The vectors of the keys that exist."""
        for key in dict.fromkeys(keys):
            row = self._rows.get(key)
            if row is not None:
                yield self._stored(row)

    def metadata(self, key: str) -> dict[str, Any]:
        """The metadata of a stored vector."""
        return self._metadata[self._rows[key]]

    def all_metadata(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Keys and metadata of all vectors, in the order of insertion."""
        return ((self._keys[row], self._metadata[row]) for row in sorted(self._rows.values()))

    def delete(self, keys: Iterable[str]) -> None:
        """Delete vectors; missing keys are ignored."""
        for key in keys:
            row = self._rows.pop(key, None)
            if row is not None:
                self._lengths[row], self._metadata[row] = np.nan, {}
        if len(self._keys) > _FIRST_CAPACITY and len(self._rows) * 2 < len(self._keys):
            self._compact()

    def scan(self, after: int = 0, *, segment: int = 0, segments: int = 1) -> Iterator[StoredVector]:
        """Vectors in the order of insertion.

        Args:
            after: Start after the vector with this sequence.
            segment: The segment to return.
            segments: Number of segments; a key is always in the same one.
        """
        first = int(np.searchsorted(self._sequences[: len(self._keys)], after, side="right"))
        for row in range(first, len(self._keys)):
            in_segment = segments == 1 or zlib.crc32(self._keys[row].encode()) % segments == segment
            if in_segment and self._rows.get(self._keys[row]) == row:
                yield self._stored(row)

    def search(self, query: "NDArray[np.float32]", count: int, predicate: "Predicate | None") -> list[Neighbour]:
        """The nearest vectors, nearest first.

        Args:
            query: Float32 (dimension,).
            count: Maximum number of results.
            predicate: Filter on metadata.
        """
        nearest = _nearest(self._distances(query), count, everything=predicate is not None)
        matching = (row for row in nearest if predicate is None or predicate(self._metadata[row]))
        rows = list(islice(matching, count))
        # Distances of the results are computed in float64.
        exact = self._exact_distances(query, rows)
        order = np.argsort(exact, kind="stable").tolist()
        return [Neighbour(self._keys[rows[at]], float(exact[at])) for at in order]

    def _distances(self, query: "NDArray[np.float32]") -> "NDArray[np.float64]":
        """Float64 (rows,) in the order of the distances, from one float32 product; NaN for deleted vectors."""
        size = len(self._keys)
        products, lengths = self._matrix[:size] @ query, self._lengths[:size]
        return -products / lengths if self._metric == "cosine" else lengths**2 - 2.0 * products

    def _exact_distances(self, query: "NDArray[np.float32]", rows: list[int]) -> "NDArray[np.float32]":
        """Float32 (rows,), computed in float64."""
        vectors, wide = self._matrix[rows].astype(np.float64), query.astype(np.float64)
        if self._metric == "cosine":
            distances = 1 - vectors @ wide / (self._lengths[rows] * np.linalg.norm(wide))
        else:
            distances = np.linalg.norm(vectors - wide, axis=1)
        return np.asarray(distances, np.float32)

    def _stored(self, row: int) -> StoredVector:
        # A copy, since the row may be overwritten before the response is sent.
        values = self._matrix[row].copy()
        return StoredVector(int(self._sequences[row]), self._keys[row], values, self._metadata[row])

    def _append(self, key: str) -> int:
        row = len(self._keys)
        if row == len(self._matrix):
            self._resize(max(_FIRST_CAPACITY, 2 * row))
        self._rows[key] = row
        self._keys.append(key)
        self._metadata.append({})
        self._sequences[row] = self._next_sequence
        self._next_sequence += 1
        return row

    def _resize(self, capacity: int) -> None:
        size = len(self._keys)
        matrix = np.empty((capacity, self._matrix.shape[1]), np.float32)
        lengths, sequences = np.empty(capacity, np.float64), np.empty(capacity, np.int64)
        matrix[:size], lengths[:size], sequences[:size] = (
            self._matrix[:size], self._lengths[:size], self._sequences[:size],
        )  # fmt: skip
        self._matrix, self._lengths, self._sequences = matrix, lengths, sequences

    def _compact(self) -> None:
        """Remove the rows of deleted vectors."""
        rows = sorted(self._rows.values())
        self._matrix, self._lengths, self._sequences = (
            self._matrix[rows], self._lengths[rows], self._sequences[rows],
        )  # fmt: skip
        self._keys = [self._keys[row] for row in rows]
        self._metadata = [self._metadata[row] for row in rows]
        self._rows = {key: row for row, key in enumerate(self._keys)}


def _nearest(distances: "NDArray[np.float64]", count: int, *, everything: bool) -> Iterator[int]:
    """Rows by increasing distance, without deleted ones: all of them, or the nearest ``count``."""
    if everything or count >= len(distances):
        candidates = np.flatnonzero(~np.isnan(distances))
    else:
        # NaN is sorted after every number.
        candidates = np.argpartition(distances, count)[:count]
        candidates = candidates[~np.isnan(distances[candidates])]
    order = candidates[np.argsort(distances[candidates], kind="stable")]
    return iter(order.tolist())
