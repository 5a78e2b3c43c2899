"""Rotary position embeddings (Su et al., 2021, https://arxiv.org/abs/2104.09864), as in GPT-NeoX and transformers."""

from typing import TYPE_CHECKING

import numpy as np
from openvino import opset13 as ops

from embedstack_server.compute.graph.layers import constant, integers, scalar, text_length

if TYPE_CHECKING:
    import openvino as ov
    from numpy.typing import NDArray

__all__ = ["DynamicRotary", "Rotary", "inverse_frequencies"]


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
        return _rotated(heads, self._cosines, self._sines, self._half)


class DynamicRotary:
    """:class:`Rotary` with a base that grows with a text's length beyond that of the training texts (dynamic NTK).

    The base is multiplied by ``(factor * tokens / trained_positions - factor + 1) ** (d / (d - 2))`` for heads of
    length d, as in transformers. ``tokens`` is the number of the text's own tokens, so that a vector does not depend on
    the other texts of its batch.
    """

    def __init__(
        self, frequencies: "NDArray[np.float32]", factor: float, trained_positions: int, float_mask: "ov.Node"
    ) -> None:
        """Compute the tables of each text.

        Args:
            frequencies: Angle per position of each pair, float32 (head_size / 2,), before the growth.
            factor: Strength of the growth.
            trained_positions: Number of tokens up to which nothing changes.
            float_mask: float32 (texts, tokens): 1 for a token, 0 for padding.
        """
        self._half = len(frequencies)
        lengths = ops.unsqueeze(ops.reduce_sum(float_mask, integers(1), True), integers(1, 2))
        growth = ops.subtract(ops.multiply(lengths, scalar(factor / trained_positions)), scalar(factor - 1))
        exponents = -np.arange(self._half, dtype=np.float32) / np.float32(self._half - 1)
        scaled = ops.multiply(ops.power(ops.maximum(growth, scalar(1)), constant(exponents)), constant(frequencies))
        length = ops.squeeze(text_length(float_mask), integers(0))
        positions = ops.range(ops.constant(np.int64(0)), length, ops.constant(np.int64(1)), "f32")
        angles = ops.multiply(ops.unsqueeze(positions, integers(1)), scaled)
        both_halves = ops.concat([angles, angles], -1)
        self._cosines, self._sines = ops.cos(both_halves), ops.sin(both_halves)

    def rotate(self, heads: "ov.Node") -> "ov.Node":
        """See :meth:`Rotary.rotate`."""
        return _rotated(heads, self._cosines, self._sines, self._half)


def _rotated(heads: "ov.Node", cosines: "ov.Node", sines: "ov.Node", half: int) -> "ov.Node":
    axis, step = integers(-1), integers(1)
    first = ops.slice(heads, integers(0), integers(half), step, axis)
    second = ops.slice(heads, integers(half), integers(2 * half), step, axis)
    turned = ops.concat([ops.multiply(second, scalar(-1)), first], -1)
    return ops.add(ops.multiply(heads, cosines), ops.multiply(turned, sines))
