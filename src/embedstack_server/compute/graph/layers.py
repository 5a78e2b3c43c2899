"""The layers that encoders are made of, each with its weights by name."""

from typing import TYPE_CHECKING

import numpy as np
import openvino as ov
from openvino import opset13 as ops

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from embedstack_server.model.weights import Weights

__all__ = ["INT8_GROUP_SIZE", "Layers", "constant", "integers", "scalar"]

#: Numbers of a weights' row that share a scale; for ``DYNAMIC_QUANTIZATION_GROUP_SIZE``, which must be the same.
INT8_GROUP_SIZE = 64
_LARGEST_INT8 = 127


def constant(array: "NDArray[np.generic]") -> ov.Node:
    """A constant that shares the array's memory, so that mapped weights are not read before they are compiled."""
    # The processor loads vectors from any address, but OpenVINO's kernels count on whole numbers being aligned.
    return ops.constant(array, shared_memory=bool(array.flags.aligned and array.flags.c_contiguous and array.size))


def integers(*values: int) -> ov.Node:
    """A vector of integers."""
    return ops.constant(np.array(values, np.int64))


def scalar(value: float) -> ov.Node:
    """A number without axes."""
    return ops.constant(np.float32(value))


class Layers:
    """Makes layers from a file's weights."""

    def __init__(self, weights: "Weights", *, int8: bool = False) -> None:
        """Take the weights; with ``int8``, linear layers store theirs as int8."""
        self.weights = weights
        self._int8 = int8

    def linear(
        self, x: ov.Node, name: str, inputs: int, outputs: int, *, bias: bool = True, exact: bool = False
    ) -> ov.Node:
        """``x W^T + b``, with ``W`` (outputs, inputs) and ``b`` (outputs,).

        Args:
            x: Vectors (…, inputs).
            name: The tensors' name, ``.weight`` and ``.bias`` left out.
            inputs: Length of a vector.
            outputs: Length of a resulting vector.
            bias: Whether there is a bias.
            exact: Keep float32 weights even where others are int8.

        Raises:
            ConfigurationError: A tensor is missing or has a wrong shape.
        """
        matrix = self.weights.get(f"{name}.weight", outputs, inputs)
        stored = _int8(matrix) if self._int8 and not exact else constant(matrix)
        product = ops.matmul(x, stored, False, True)
        if not bias:
            return product
        return ops.add(product, constant(self.weights.get(f"{name}.bias", outputs)))

    def layer_norm(self, x: ov.Node, name: str, size: int, epsilon: float) -> ov.Node:
        """Each vector to mean 0 and variance 1, scaled and shifted (Ba et al., 2016).

        Raises:
            ConfigurationError: A tensor is missing or has a wrong shape.
        """
        normed = ops.mvn(x, integers(-1), True, epsilon, "inside_sqrt")
        scale, shift = (constant(self.weights.get(f"{name}.{part}", size)) for part in ("weight", "bias"))
        return ops.add(ops.multiply(normed, scale), shift)


def _int8(matrix: "NDArray[np.float32]") -> ov.Node:
    """A matrix as int8 with scales: the pattern that OpenVINO keeps compressed instead of folding it.

    One scale for each row's every 64 numbers where the row divides so, otherwise one per row: on all-MiniLM-L6-v2's
    golden texts the lowest cosine is 0.9969 with the former and 0.9949 with the latter, at the same speed.
    """
    rows, columns = matrix.shape
    width = INT8_GROUP_SIZE if columns % INT8_GROUP_SIZE == 0 else columns
    groups = matrix.reshape(rows, columns // width, width)
    scale = np.abs(groups).max(axis=2, keepdims=True) / _LARGEST_INT8
    scale[scale == 0] = 1
    quantised = np.rint(groups / scale).astype(np.int8)
    stored = ops.multiply(ops.convert(ops.constant(quantised), "f32"), ops.constant(scale))
    return ops.reshape(stored, integers(rows, columns), False)
