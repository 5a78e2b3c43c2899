"""A model whose vector length is learned from the first response, if it is unknown."""

from dataclasses import replace
from typing import TYPE_CHECKING

from embedstack.calls.process_local import Lock
from embedstack.embedders.integrity import check_vectors

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from embedstack.models.model_info import ModelInfo

__all__ = ["LearnedModel"]


class LearnedModel:
    """The facts of a model. A copy and a forked child keep what was learned."""

    def __init__(self, info: "ModelInfo") -> None:
        self._info = info
        self._learned = _Length(info.dimensions)

    @property
    def info(self) -> "ModelInfo":
        """The facts so far."""
        if self._info.dimensions is None and self._learned.dimensions is not None:
            self._info = replace(self._info, dimensions=self._learned.dimensions)
        return self._info

    def check(self, vectors: "NDArray[np.float32]", count: int) -> None:
        """Check the vectors of a response; the first valid ones determine an unknown length.

        Args:
            vectors: The vectors, (texts, dimensions).
            count: Texts that were sent.

        Raises:
            IntegrityError: They are not valid; see :func:`check_vectors`.
        """
        info = self.info
        check_vectors(vectors, info, count)
        if info.dimensions is None and count and self._learned.learn(vectors.shape[1]) != vectors.shape[1]:
            # A concurrent response of another length came first.
            check_vectors(vectors, self.info, count)

    def share_length(self, other: "LearnedModel") -> None:
        """Learn the same length as another client of the same model, from whichever of the two responds first."""
        known = self.info.dimensions or other.info.dimensions
        if known is not None:
            self._learned.learn(known)
        other._learned = self._learned  # noqa: SLF001 - another model of this class


class _Length:
    """The length of a model's vectors: known, or learned once."""

    def __init__(self, dimensions: int | None) -> None:
        self.dimensions = dimensions
        self._lock = Lock()

    def learn(self, dimensions: int) -> int:
        """Record the length, unless it is known already; returns the known one."""
        with self._lock:
            self.dimensions = self.dimensions or dimensions
            return self.dimensions
