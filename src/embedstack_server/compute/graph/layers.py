"""Layers of an encoder's graph, with their weights by name."""

from typing import TYPE_CHECKING

import numpy as np
import openvino as ov
from openvino import opset13 as ops

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from embedstack_server.model.weights import Weights

__all__ = [
    "INT8_GROUP_SIZE", "MASKED_SCORE", "Layers", "activate", "constant", "integers", "padding_bias", "scalar",
    "text_length",
]  # fmt: skip

#: Number of weights in a row that share a scale; ``DYNAMIC_QUANTIZATION_GROUP_SIZE`` must be the same.
INT8_GROUP_SIZE = 64
#: Added to the attention score of a masked token before the softmax: far below any real score, and exact in bfloat16.
MASKED_SCORE = -1e4
_LARGEST_INT8 = 127
_ACTIVATIONS: "dict[str, Callable[[ov.Node], ov.Node]]" = {
    "gelu": lambda x: ops.gelu(x, "erf"),
    "gelu_new": lambda x: ops.gelu(x, "tanh"),
    "gelu_pytorch_tanh": lambda x: ops.gelu(x, "tanh"),
    "relu": ops.relu,
    "silu": ops.swish,
    "tanh": ops.tanh,
}


def constant(array: "NDArray[np.generic]") -> ov.Node:
    """A constant that shares the array's memory, so that memory-mapped weights are read only at compilation."""
    # OpenVINO's kernels require aligned numbers.
    return ops.constant(array, shared_memory=bool(array.flags.aligned and array.flags.c_contiguous and array.size))


def integers(*values: int) -> ov.Node:
    """A vector of integers."""
    return ops.constant(np.array(values, np.int64))


def scalar(value: float) -> ov.Node:
    """A scalar constant."""
    return ops.constant(np.float32(value))


def activate(name: str, x: ov.Node) -> ov.Node:
    """Apply an activation, one of ``ACTIVATIONS``."""
    return _ACTIVATIONS[name](x)


def padding_bias(float_mask: ov.Node) -> ov.Node:
    """The attention bias that hides padding: (texts, tokens) to float32 (texts, 1, 1, tokens).

    Args:
        float_mask: float32 (texts, tokens): 1 for a token, 0 for padding.
    """
    padding = ops.subtract(scalar(1), ops.unsqueeze(float_mask, integers(1, 2)))
    return ops.multiply(padding, scalar(MASKED_SCORE))


def text_length(ids: ov.Node) -> ov.Node:
    """Tokens per text, padding included: int64 (1,)."""
    return ops.gather(ops.shape_of(ids, "i64"), integers(1), integers(0))


class Layers:
    """Builds layers from a file's weights."""

    def __init__(self, weights: "Weights", *, int8: bool = False) -> None:
        """Use these weights; with ``int8``, linear layers store them as int8."""
        self.weights = weights
        self._int8 = int8

    def linear(
        self,
        x: ov.Node,
        name: str,
        inputs: int,
        outputs: int,
        *,
        bias: bool = True,
        exact: bool = False,
        part: tuple[int, int] = (0, 1),
    ) -> ov.Node:
        """``x W^T + b``, with ``W`` (outputs, inputs) and ``b`` (outputs,).

        Args:
            x: Vectors (…, inputs).
            name: Name of the tensors, without ``.weight`` and ``.bias``.
            inputs: Length of an input vector.
            outputs: Length of an output vector.
            bias: Whether the layer has a bias.
            exact: Keep float32 weights even if other layers use int8.
            part: (i, n) for the i-th of n layers of this size whose tensors are stored as one, row after row.

        Raises:
            ConfigurationError: A tensor is missing or has a wrong shape.
        """
        index, parts = part
        rows = slice(index * outputs, (index + 1) * outputs)
        matrix = self.weights.get(f"{name}.weight", parts * outputs, inputs)[rows]
        product = self.product(x, matrix, exact=exact)
        if not bias:
            return product
        return ops.add(product, constant(self.weights.get(f"{name}.bias", parts * outputs)[rows]))

    def embedding(self, ids: ov.Node, name: str, rows: int, size: int) -> ov.Node:
        """The vector of each token id, (texts, tokens, size).

        Args:
            ids: int32 (texts, tokens).
            name: Name of the tensor with a vector per id.
            rows: Number of ids; 0 matches any number.
            size: Length of a vector.

        Raises:
            ConfigurationError: The tensor is missing or has a wrong shape.
        """
        return ops.gather(constant(self.weights.get(name, rows, size)), ids, ops.constant(np.int64(0)))

    def product(self, x: ov.Node, matrix: "NDArray[np.float32]", *, exact: bool = False) -> ov.Node:
        """``x W^T``, with ``W`` (outputs, inputs) as int8 if linear layers use int8 and ``exact`` is off."""
        stored = _int8(matrix) if self._int8 and not exact else constant(matrix)
        return ops.matmul(x, stored, False, True)

    def layer_norm(self, x: ov.Node, name: str, size: int, epsilon: float, *, bias: bool = True) -> ov.Node:
        """Layer normalization: mean 0 and variance 1, then scaled and, with a bias, shifted (Ba et al., 2016).

        Raises:
            ConfigurationError: A tensor is missing or has a wrong shape.
        """
        normed = ops.mvn(x, integers(-1), True, epsilon, "inside_sqrt")
        scaled = ops.multiply(normed, constant(self.weights.get(f"{name}.weight", size)))
        return ops.add(scaled, constant(self.weights.get(f"{name}.bias", size))) if bias else scaled

    def rms_norm(self, x: ov.Node, name: str, size: int, epsilon: float, *, offset: float = 0) -> ov.Node:
        """Root mean square normalization (Zhang and Sennrich, 2019, https://arxiv.org/abs/1910.07467).

        Args:
            x: Vectors (..., size).
            name: Name of the tensor with the scale, without ``.weight``.
            size: Length of a vector.
            epsilon: Added to the mean square.
            offset: Added to the stored scale: 1 for models that store its difference from 1.

        Raises:
            ConfigurationError: The tensor is missing or has a wrong shape.
        """
        mean_square = ops.reduce_mean(ops.power(x, scalar(2)), integers(-1), True)
        normed = ops.divide(x, ops.sqrt(ops.add(mean_square, scalar(epsilon))))
        return ops.multiply(normed, constant(self.weights.get(f"{name}.weight", size) + np.float32(offset)))


def _int8(matrix: "NDArray[np.float32]") -> ov.Node:
    """A matrix as int8 with scales, in the pattern that OpenVINO keeps compressed instead of folding it.

    There is one scale for every 64 numbers of a row if its length is a multiple of 64, otherwise one per row. On
    all-MiniLM-L6-v2's golden texts, the lowest cosine is 0.9969 and 0.9949, respectively, at the same speed.
    """
    rows, columns = matrix.shape
    width = INT8_GROUP_SIZE if columns % INT8_GROUP_SIZE == 0 else columns
    groups = matrix.reshape(rows, columns // width, width)
    scale = np.abs(groups).max(axis=2, keepdims=True) / _LARGEST_INT8
    scale[scale == 0] = 1
    quantized = np.rint(groups / scale).astype(np.int8)
    stored = ops.multiply(ops.convert(ops.constant(quantized), "f32"), ops.constant(scale))
    return ops.reshape(stored, integers(rows, columns), False)
