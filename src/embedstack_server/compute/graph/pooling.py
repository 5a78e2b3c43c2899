"""Pooling and Dense modules of sentence-transformers, from token vectors to a text's vector."""

from typing import TYPE_CHECKING

import numpy as np
import openvino as ov
from openvino import opset13 as ops

from embedstack_server.compute.graph.layers import Layers, integers, scalar
from embedstack_server.model.weights import Weights

if TYPE_CHECKING:
    from collections.abc import Callable

    from embedstack.models.model_info import Pooling
    from embedstack_server.model.sentence_modules import DenseModule

__all__ = ["dense", "pool"]

# Added to padding before taking a maximum: far below any real number.
_NEVER_THE_LARGEST = -1e9
# sentence-transformers' guard against an empty mask, so that the mean is bit-identical.
_SMALLEST_TOKEN_COUNT = 1e-9
_ACTIVATIONS: "dict[str, Callable[[ov.Node], ov.Node]]" = {
    "GELU": lambda x: ops.gelu(x, "erf"),
    "Identity": lambda x: x,
    "ReLU": ops.relu,
    "Sigmoid": ops.sigmoid,
    "Tanh": ops.tanh,
}


def pool(hidden: ov.Node, float_mask: ov.Node, pooling: "Pooling", is_prompt: ov.Node | None = None) -> ov.Node:
    """Pool token vectors (texts, tokens, hidden size) to (texts, hidden size).

    Args:
        hidden: The token vectors.
        float_mask: float32 (texts, tokens): 1 for a token, 0 for padding.
        pooling: How token vectors are combined.
        is_prompt: Boolean (texts, tokens): leading tokens that are left out; None to pool all tokens.
    """
    pooled_mask = float_mask if is_prompt is None else ops.select(is_prompt, scalar(0), float_mask)
    mask = ops.unsqueeze(pooled_mask, integers(-1))
    match pooling:
        case "cls" if is_prompt is not None:
            first = ops.reduce_sum(ops.convert(is_prompt, "i64"), integers(1), True)
            return ops.squeeze(ops.gather(hidden, first, ops.constant(np.int64(1)), 1), integers(1))
        case "cls":
            return ops.gather(hidden, ops.constant(np.int64(0)), ops.constant(np.int64(1)))
        case "last_token":
            # Counted in integers: bfloat16 has no exact numbers above 256.
            count = ops.reduce_sum(ops.convert(float_mask, "i64"), integers(1), True)
            last = ops.subtract(count, ops.constant(np.int64(1)))
            return ops.squeeze(ops.gather(hidden, last, ops.constant(np.int64(1)), 1), integers(1))
        case "max":
            padding = ops.multiply(ops.subtract(scalar(1), mask), scalar(_NEVER_THE_LARGEST))
            return ops.reduce_max(ops.add(hidden, padding), integers(1), False)
        case "mean" | "mean_sqrt_len":
            total = ops.reduce_sum(ops.multiply(hidden, mask), integers(1), False)
            count = ops.maximum(ops.reduce_sum(mask, integers(1), False), scalar(_SMALLEST_TOKEN_COUNT))
            return ops.divide(total, count if pooling == "mean" else ops.sqrt(count))


def dense(x: ov.Node, module: "DenseModule") -> ov.Node:
    """Apply a Dense module: (texts, in) to (texts, out).

    Raises:
        ConfigurationError: The module's weights are unreadable, or a tensor is missing or has a wrong shape.
    """
    layers = Layers(Weights.open(module.weights))
    projected = layers.linear(x, "linear", module.in_features, module.out_features, bias=module.bias)
    return _ACTIVATIONS[module.activation](projected)
