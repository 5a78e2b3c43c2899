"""What comes of a call: a vector for each text, or the reason why there is none."""

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
        index: Its position in the caller's texts.
        error: Why; carries the same index.
    """

    index: int
    error: EmbedStackError


@dataclass(frozen=True, slots=True)
class EmbedResult:
    """All that came of a call with ``on_error="collect"``; every text is in exactly one of the two.

    Attributes:
        vectors: float32 (embedded texts, dimensions), in the order of the texts.
        indices: int (embedded texts,): which text each vector is of.
        failures: The other texts, in their order.
    """

    vectors: "NDArray[np.float32]"
    indices: "NDArray[np.intp]"
    failures: tuple[Failure, ...] = ()


@dataclass(frozen=True, slots=True)
class BatchResult:
    """What came of one batch of consecutive texts.

    Attributes:
        first: Position of its first text in the caller's texts.
        count: Texts in it.
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
        """Each text's vector or error, in the order of the texts."""
        errors = {failure.index: failure.error for failure in self.failures}
        vectors = iter(self.vectors)
        for index in range(self.first, self.first + self.count):
            yield errors[index] if index in errors else next(vectors)


class ResultCollector:
    """Puts the parts of one call together."""

    def __init__(self, total: int, dimensions: int, on_progress: "Callable[[int, int | None], None] | None") -> None:
        self._total = total
        self._dimensions = dimensions
        self._on_progress = on_progress
        self._parts: list[BatchResult] = []

    def add(self, part: BatchResult) -> None:
        """Take the next part."""
        self._parts.append(part)
        if self._on_progress is not None:
            self._on_progress(part.first + part.count, self._total)

    def vectors(self) -> "NDArray[np.float32]":
        """All vectors, in the order of the texts."""
        if len(self._parts) == 1:
            return self._parts[0].vectors
        return np.concatenate([np.empty((0, self._dimensions), np.float32), *(part.vectors for part in self._parts)])

    def result(self) -> EmbedResult:
        """All vectors and all failures."""
        indices = [np.empty(0, np.intp), *(part.indices for part in self._parts)]
        failures = tuple(failure for part in self._parts for failure in part.failures)
        return EmbedResult(self.vectors(), np.concatenate(indices), failures)
