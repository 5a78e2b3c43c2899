"""Results of a call: a vector for each text, or the error that explains why it has none."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from embedstack.errors import EmbedStackError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

__all__ = ["BatchResult", "EmbedResult", "Failure", "ResultCollector"]


@dataclass(frozen=True, slots=True)
class Failure:
    """A text without a vector.

    Attributes:
        index: Position in the caller's texts.
        error: The reason; carries the same index.
    """

    index: int
    error: EmbedStackError


@dataclass(frozen=True, slots=True)
class EmbedResult:
    """The result of a call with ``on_error="collect"``: every text has a vector or a failure.

    Attributes:
        vectors: float32 (embedded texts, dimensions), in the order of the texts.
        indices: int (embedded texts,): position of each vector's text.
        failures: The other texts, in order.
    """

    vectors: "NDArray[np.float32]"
    indices: "NDArray[np.intp]"
    failures: tuple[Failure, ...] = ()


@dataclass(frozen=True, slots=True)
class BatchResult:
    """The result of one batch of consecutive texts.

    Attributes:
        first: Position of the first text in the caller's texts.
        count: Texts in the batch.
        indices: int (embedded texts,): positions in the caller's texts, ascending.
        vectors: float32 (embedded texts, dimensions).
        failures: The other texts.
    """

    first: int
    count: int
    indices: "NDArray[np.intp]"
    vectors: "NDArray[np.float32]"
    failures: tuple[Failure, ...] = ()

    def items(self) -> "Iterator[NDArray[np.float32] | EmbedStackError]":
        """The vector or error of each text, in the order of the texts."""
        errors = {failure.index: failure.error for failure in self.failures}
        vectors = iter(self.vectors)
        for index in range(self.first, self.first + self.count):
            yield errors[index] if index in errors else next(vectors)


class ResultCollector:
    """Collects the results of one call's batches."""

    def __init__(self, total: int, dimensions: int, on_progress: "Callable[[int, int | None], None] | None") -> None:
        self._total = total
        self._dimensions = dimensions
        self._on_progress = on_progress
        self._results: list[BatchResult] = []

    def add(self, result: BatchResult) -> None:
        """Add the result of the next batch."""
        self._results.append(result)
        if self._on_progress is not None:
            self._on_progress(result.first + result.count, self._total)

    def vectors(self) -> "NDArray[np.float32]":
        """All vectors, in the order of the texts."""
        parts = [result.vectors for result in self._results if len(result.vectors)]
        if len(parts) == 1:
            return parts[0]
        return np.concatenate(parts) if parts else np.empty((0, self._dimensions), np.float32)

    def result(self) -> EmbedResult:
        """All vectors and all failures."""
        indices = [np.empty(0, np.intp), *(result.indices for result in self._results)]
        failures = tuple(failure for result in self._results for failure in result.failures)
        return EmbedResult(self.vectors(), np.concatenate(indices), failures)
