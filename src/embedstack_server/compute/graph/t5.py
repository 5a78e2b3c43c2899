"""The graph of T5's encoder, from token ids to the last hidden state."""

from typing import TYPE_CHECKING

import openvino as ov
from openvino import opset13 as ops

from embedstack_server.compute.graph.attention import attend, split_heads
from embedstack_server.compute.graph.layers import activate, padding_bias
from embedstack_server.compute.graph.relative_positions import relative_position_bias

if TYPE_CHECKING:
    from embedstack_server.compute.graph.layers import Layers
    from embedstack_server.model.architectures.t5 import T5Config

__all__ = ["encode"]

# The scores are not scaled: the factor is part of the trained weights.
_SCORE_SCALE = 1.0


def encode(layers: "Layers", config: "T5Config", ids: ov.Node, float_mask: ov.Node) -> ov.Node:
    """The last hidden state.

    Args:
        layers: The model's weights.
        config: The model's configuration.
        ids: int32 (texts, tokens).
        float_mask: float32 (texts, tokens): 1 for a token, 0 for padding.

    Returns:
        float32 (texts, tokens, hidden size).

    Raises:
        ConfigurationError: A tensor is missing or has a wrong shape.
    """
    # Some files have only the encoder's name of the shared table.
    name = config.word_embeddings if layers.weights.has(config.word_embeddings) else "encoder.embed_tokens.weight"
    x = layers.embedding(ids, name, config.vocabulary_size, config.hidden_size)
    # The first layer's table serves all layers.
    table = "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight"
    by_bucket = layers.weights.get(table, config.buckets, config.heads)
    positions = relative_position_bias(by_bucket, ids, config.max_positions, config.largest_distance)
    bias = ops.add(padding_bias(float_mask), positions)
    for number in range(config.layers):
        attention, feed_forward = (f"encoder.block.{number}.layer.{part}." for part in range(2))
        x = ops.add(x, _attention(layers, config, _norm(layers, config, x, attention), bias, attention))
        x = ops.add(x, _feed_forward(layers, config, _norm(layers, config, x, feed_forward), feed_forward))
    return layers.rms_norm(x, "encoder.final_layer_norm", config.hidden_size, config.rms_norm_eps)


def _norm(layers: "Layers", config: "T5Config", x: ov.Node, layer: str) -> ov.Node:
    return layers.rms_norm(x, f"{layer}layer_norm", config.hidden_size, config.rms_norm_eps)


def _attention(layers: "Layers", config: "T5Config", x: ov.Node, bias: ov.Node, layer: str) -> ov.Node:
    size, width = config.hidden_size, config.heads * config.head_size
    query, key, value = (
        split_heads(
            # Errors in the values affect the result directly, so they stay exact with int8.
            layers.linear(x, f"{layer}SelfAttention.{name}", size, width, bias=False, exact=name == "v"),
            config.heads,
            config.head_size,
        )
        for name in "qkv"
    )
    merged = attend(query, key, value, bias, scale=_SCORE_SCALE)
    return layers.linear(merged, f"{layer}SelfAttention.o", width, size, bias=False)


def _feed_forward(layers: "Layers", config: "T5Config", x: ov.Node, layer: str) -> ov.Node:
    size, inner_size = config.hidden_size, config.inner_size

    def inner(name: str) -> ov.Node:
        return layers.linear(x, f"{layer}DenseReluDense.{name}", size, inner_size, bias=False)

    if config.gated:
        activated = ops.multiply(activate(config.activation, inner("wi_0")), inner("wi_1"))
    else:
        activated = activate(config.activation, inner("wi"))
    return layers.linear(activated, f"{layer}DenseReluDense.wo", inner_size, size, bias=False)
