"""Attention biases by the distance of two tokens, in ranges of distances (Raffel et al., 2019, section 2.1)."""

import math
from typing import TYPE_CHECKING

import numpy as np
import openvino as ov
from openvino import opset13 as ops

from embedstack_server.compute.graph.layers import constant, integers, text_length

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["relative_position_bias"]


def relative_position_bias(
    by_bucket: "NDArray[np.float32]", ids: ov.Node, longest: int, largest_distance: int = 128
) -> ov.Node:
    """The attention bias by the distance from query to key: float32 (1, heads, tokens, tokens).

    Args:
        by_bucket: The bias of each range of distances, float32 (ranges, heads).
        ids: Token ids, whose shape (texts, tokens) tells the number of tokens.
        longest: Maximum number of tokens.
        largest_distance: Distance from which on all distances are in the last range.
    """
    farthest = longest - 1
    # One row for each distance from -farthest to farthest.
    buckets = _buckets(np.arange(-farthest, farthest + 1), len(by_bucket), largest_distance)
    by_distance = constant(np.ascontiguousarray(by_bucket[buckets].T))
    length = ops.squeeze(text_length(ids), integers(0))
    positions = ops.range(ops.constant(np.int64(0)), length, ops.constant(np.int64(1)), "i64")
    keys, queries = ops.unsqueeze(positions, integers(0)), ops.unsqueeze(positions, integers(1))
    distance = ops.add(ops.subtract(keys, queries), ops.constant(np.int64(farthest)))
    return ops.unsqueeze(ops.gather(by_distance, distance, ops.constant(np.int64(1))), integers(0))


def _buckets(distances: "NDArray[np.int64]", count: int, largest_distance: int) -> "NDArray[np.int64]":
    """The range of each signed distance.

    Half of the ranges are for preceding tokens, half for following ones. Half of each are for single distances, and the
    other half widen up to the largest distance.
    """
    half = count // 2
    single = half // 2
    far = np.abs(distances)
    # In float32, as in training: with another precision, a distance at a boundary may get another range.
    ratio = np.log(np.maximum(far, 1).astype(np.float32) / single) / np.float32(math.log(largest_distance / single))
    widening = np.minimum(single + (ratio * (half - single)).astype(np.int64), half - 1)
    return np.where(distances > 0, half, 0) + np.where(far < single, far, widening)
