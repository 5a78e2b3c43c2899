"""Multi-head attention on projected queries, keys and values."""

import numpy as np
import openvino as ov
from openvino import opset13 as ops

from embedstack_server.compute.graph.layers import integers, scalar

__all__ = ["attend", "split_heads"]


def split_heads(projected: ov.Node, heads: int, head_size: int) -> ov.Node:
    """(texts, tokens, heads * head_size) as (texts, heads, tokens, head_size)."""
    split = ops.reshape(projected, integers(0, 0, heads, head_size), True)
    return ops.transpose(split, integers(0, 2, 1, 3))


def attend(query: ov.Node, key: ov.Node, value: ov.Node, bias: ov.Node, *, scale: float | None = None) -> ov.Node:
    """Weighted sums of the values.

    Args:
        query: (texts, heads, tokens, head_size).
        key: The same; or with fewer heads, each of which serves a group of consecutive query heads (Ainslie et al.,
            2023, https://arxiv.org/abs/2305.13245).
        value: As ``key``.
        bias: Added to the scores, float32, can be broadcast to (texts, heads, tokens, tokens).
        scale: Factor of the scores; defaults to ``head_size ** -0.5``.

    Returns:
        (texts, tokens, heads * head_size).
    """
    shape = query.output(0).get_partial_shape()
    heads, head_size = shape[1].get_length(), shape[3].get_length()
    groups = heads // key.output(0).get_partial_shape()[1].get_length()
    if groups > 1:
        key, value = (_repeat_heads(node, heads, groups) for node in (key, value))
    scales = () if scale is None else (scalar(scale),)
    attended = ops.scaled_dot_product_attention(query, key, value, bias, *scales)
    return ops.reshape(ops.transpose(attended, integers(0, 2, 1, 3)), integers(0, 0, heads * head_size), True)


def _repeat_heads(node: ov.Node, heads: int, groups: int) -> ov.Node:
    """Each head ``groups`` times in a row."""
    order = np.repeat(np.arange(heads // groups), groups)
    return ops.gather(node, ops.constant(order), ops.constant(np.int64(1)))
