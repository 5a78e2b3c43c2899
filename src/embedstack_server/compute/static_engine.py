"""The engine of static embeddings, in numpy."""

import os
import sys
from typing import TYPE_CHECKING

import numpy as np

from embedstack.errors import ConfigurationError
from embedstack_server.compute.engine import Outputs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from embedstack_server.model.precision import Precision, PrecisionSetting
    from embedstack_server.model.static_folder import StaticFolder

__all__ = ["StaticEngine"]

# A token takes about 0.1 microseconds: a batch of this size takes as long as one of a transformer.
_TOKENS_PER_BATCH = 65_536
# Tokens whose vectors are in memory at once.
_TOKENS_PER_STEP = 4_096


class StaticEngine:
    """Means of the tokens' vectors, in float32; see :class:`~embedstack_server.compute.engine.Engine`."""

    def __init__(self, folder: "StaticFolder", precision: "PrecisionSetting") -> None:
        """Use a folder's vectors.

        Raises:
            ConfigurationError: Another precision than float32 is required.
        """
        if precision not in ("auto", "fp32"):
            raise ConfigurationError(
                f"{folder.path}: static embeddings are computed in fp32, not {precision}. Use precision fp32 or auto."
            )
        self.precision: Precision = "fp32"
        self.workers = os.cpu_count() or 1
        self.longest = sys.maxsize
        self.tokens_per_batch = _TOKENS_PER_BATCH
        self._table = folder.table

    def run(self, ids: list[list[int]]) -> Outputs:
        """Compute a batch."""
        return Outputs(np.stack([self._mean(text) for text in ids]), lambda row: self._table.vectors(ids[row]))

    def run_alone(self, ids: list[int]) -> Outputs:
        """Compute one text."""
        return self.run([ids])

    def _mean(self, ids: "Sequence[int]") -> "NDArray[np.float32]":
        total = sum(
            self._table.vectors(ids[start : start + _TOKENS_PER_STEP]).sum(axis=0)
            for start in range(0, len(ids), _TOKENS_PER_STEP)
        )
        return np.asarray(total / np.float32(len(ids)), np.float32)
