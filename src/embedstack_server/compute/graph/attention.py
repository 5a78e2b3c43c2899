"""Multi-head attention on projected queries, keys and values."""

from typing import TYPE_CHECKING

import numpy as np
import openvino as ov
from openvino import opset13 as ops

from embedstack_server.compute.graph.layers import MASKED_SCORE, integers, scalar, text_length

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["attend", "causal_bias", "split_heads", "window_bias"]


def split_heads(
    projected: ov.Node, heads: int, head_size: int, *, norm: "Callable[[ov.Node], ov.Node] | None" = None
) -> ov.Node:
    """(texts, tokens, heads * head_size) as (texts, heads, tokens, head_size).

    Args:
        projected: Queries, keys or values.
        heads: Number of heads.
        head_size: Length of a head's vector.
        norm: Normalizes each head's vectors.
    """
    split = ops.reshape(projected, integers(0, 0, heads, head_size), True)
    # Before the transposition, which OpenVINO fuses with the operation after it.
    return ops.transpose(norm(split) if norm else split, integers(0, 2, 1, 3))


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


def window_bias(ids: ov.Node, radius: int) -> ov.Node:
    """The attention bias that hides tokens farther away than ``radius``: float32 (1, 1, tokens, tokens).

    Args:
        ids: Token ids, whose shape (texts, tokens) tells the number of tokens.
        radius: Largest distance at which a token is visible, in tokens.
    """
    return _bias(ops.greater(ops.abs(_distances(ids)), ops.constant(np.int32(radius))))


def causal_bias(ids: ov.Node) -> ov.Node:
    """The attention bias that hides the tokens after a token: float32 (1, 1, tokens, tokens).

    One bias serves all layers. The causal mode of OpenVINO's attention computes a mask in every layer.

    Args:
        ids: Token ids, whose shape (texts, tokens) tells the number of tokens.
    """
    return _bias(ops.greater(_distances(ids), ops.constant(np.int32(0))))


def _distances(ids: ov.Node) -> ov.Node:
    """A key's position minus a query's: int32 (queries, keys)."""
    length = ops.convert(ops.squeeze(text_length(ids), integers(0)), "i32")
    positions = ops.range(ops.constant(np.int32(0)), length, ops.constant(np.int32(1)), "i32")
    return ops.subtract(ops.unsqueeze(positions, integers(0)), ops.unsqueeze(positions, integers(1)))


def _bias(is_hidden: ov.Node) -> ov.Node:
    return ops.unsqueeze(ops.select(is_hidden, scalar(MASKED_SCORE), scalar(0)), integers(0, 1))


def _repeat_heads(node: ov.Node, heads: int, groups: int) -> ov.Node:
    """Each head ``groups`` times in a row."""
    order = np.repeat(np.arange(heads // groups), groups)
    return ops.gather(node, ops.constant(order), ops.constant(np.int64(1)))
