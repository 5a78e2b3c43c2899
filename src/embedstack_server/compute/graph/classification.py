"""A cross-encoder's classification head, from token vectors to a logit per text."""

from typing import TYPE_CHECKING

import openvino as ov
from openvino import opset13 as ops

from embedstack_server.compute.graph.layers import Layers, activate, constant, integers
from embedstack_server.compute.graph.pooling import pool
from embedstack_server.model.weights import Weights

if TYPE_CHECKING:
    from embedstack_server.model.cross_encoder_folder import CrossEncoderFolder

__all__ = ["classify"]


def classify(encoder: Layers, folder: "CrossEncoderFolder", hidden: ov.Node, float_mask: ov.Node) -> ov.Node:
    """The logits (texts, 1), computed in float32 in every precision.

    Args:
        encoder: The encoder's weights.
        folder: The model.
        hidden: The last hidden state, (texts, tokens, hidden size).
        float_mask: float32 (texts, tokens): 1 for a token, 0 for padding.

    Raises:
        ConfigurationError: A tensor is missing or has a wrong shape.
    """
    head, size = folder.head, folder.config.hidden_size
    whole = Layers(Weights.open(folder.weights))  # the head's tensors do not have the encoder's prefix
    pooled = pool(hidden, float_mask, head.pooling)
    dense = encoder if head.in_encoder else whole
    inner = activate(head.activation, dense.linear(pooled, head.dense, size, size, bias=head.dense_bias, exact=True))
    if head.norm:
        inner = whole.layer_norm(inner, head.norm, size, head.norm_eps, bias=head.norm_bias)
    weights = constant(whole.weights.get(f"{head.output}.weight", 1, size))
    # A product and a sum instead of a matrix product, which would round to bfloat16: similar texts would get equal
    # logits, and lose their order.
    logits = ops.reduce_sum(ops.multiply(inner, weights), integers(1), True)
    return ops.add(logits, constant(whole.weights.get(f"{head.output}.bias", 1)))
