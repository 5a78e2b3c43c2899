"""Rotary position embeddings (Su et al., 2021, https://arxiv.org/abs/2104.09864), as in GPT-NeoX and transformers."""

from typing import TYPE_CHECKING

import numpy as np
from openvino import opset13 as ops

from embedstack_server.compute.graph.layers import constant, integers, scalar, text_length

if TYPE_CHECKING:
    import openvino as ov
    from numpy.typing import NDArray

__all__ = ["Rotary", "inverse_frequencies"]


def inverse_frequencies(head_size: int, base: float, divisor: float = 1.0) -> "NDArray[np.float32]":
    """The angle per position of each pair: ``base ** (-2 i / head_size) / divisor``, float32 (head_size / 2,)."""
    # In float32, as in training and in transformers: the angle at position 8,000 differs visibly in another precision.
    exponents = np.arange(0, head_size, 2, dtype=np.float32) / np.float32(head_size)
    return (np.float32(1) / np.float32(base) ** exponents / np.float32(divisor)).astype(np.float32)


class Rotary:
    """Rotates the heads of queries and keys by their positions, which are counted from 0.

    One object serves all layers with the same frequencies, so that its tables are in the graph once.
    """

    def __init__(self, frequencies: "NDArray[np.float32]", max_positions: int, ids: "ov.Node") -> None:
        """Compute the tables.

        Args:
            frequencies: Angle per position of each pair, float32 (head_size / 2,); see :func:`inverse_frequencies`.
            max_positions: Maximum number of tokens.
            ids: Token ids, whose shape (texts, tokens) tells the number of positions.
        """
        angles = np.arange(max_positions, dtype=np.float32)[:, np.newaxis] * frequencies
        length = text_length(ids)

        def table(values: "NDArray[np.float32]") -> "ov.Node":
            both_halves = constant(np.concatenate([values, values], axis=1))
            rows = ops.slice(both_halves, integers(0), length, integers(1), integers(0))
            return ops.unsqueeze(rows, integers(0, 1))

        self._cosines, self._sines = table(np.cos(angles)), table(np.sin(angles))
        self._half = len(frequencies)

    def rotate(self, heads: "ov.Node") -> "ov.Node":
        """Rotate (texts, heads, tokens, head_size): number i is paired with number i + head_size / 2."""
        axis, step = integers(-1), integers(1)
        first = ops.slice(heads, integers(0), integers(self._half), step, axis)
        second = ops.slice(heads, integers(self._half), integers(2 * self._half), step, axis)
        turned = ops.concat([ops.multiply(second, scalar(-1)), first], -1)
        return ops.add(ops.multiply(heads, self._cosines), ops.multiply(turned, self._sines))
