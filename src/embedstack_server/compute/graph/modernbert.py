"""The graph of ModernBERT, from token ids to the last hidden state."""

from typing import TYPE_CHECKING

import openvino as ov
from openvino import opset13 as ops

from embedstack_server.compute.graph.attention import attend, split_heads, window_bias
from embedstack_server.compute.graph.layers import activate, padding_bias
from embedstack_server.compute.graph.rotary import Rotary, inverse_frequencies

if TYPE_CHECKING:
    from embedstack_server.compute.graph.layers import Layers
    from embedstack_server.model.architectures.modernbert import ModernBertConfig
    from embedstack_server.model.architectures.rope import Rope

__all__ = ["encode"]


def encode(layers: "Layers", config: "ModernBertConfig", ids: ov.Node, float_mask: ov.Node) -> ov.Node:
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
    words = layers.embedding(ids, config.word_embeddings, config.vocabulary_size, config.hidden_size)
    x = _norm(layers, config, words, "embeddings.norm")
    everywhere = padding_bias(float_mask)
    nearby = ops.add(everywhere, window_bias(ids, config.radius))
    global_rotary, local_rotary = (_rotary(config, rope, ids) for rope in (config.global_rope, config.local_rope))
    for number, is_local in enumerate(config.is_local):
        layer = f"layers.{number}."
        # The embeddings, which are normalized already, enter the first layer's attention as they are.
        normed = _norm(layers, config, x, f"{layer}attn_norm") if number else x
        rotary, bias = (local_rotary, nearby) if is_local else (global_rotary, everywhere)
        x = ops.add(x, _attention(layers, config, normed, rotary, bias, f"{layer}attn."))
        x = ops.add(x, _feed_forward(layers, config, _norm(layers, config, x, f"{layer}mlp_norm"), f"{layer}mlp."))
    return _norm(layers, config, x, "final_norm")


def _norm(layers: "Layers", config: "ModernBertConfig", x: ov.Node, name: str) -> ov.Node:
    return layers.layer_norm(x, name, config.hidden_size, config.norm_eps, bias=config.norm_bias)


def _rotary(config: "ModernBertConfig", rope: "Rope", ids: ov.Node) -> Rotary:
    frequencies = inverse_frequencies(config.hidden_size // config.heads, rope.base, rope.divisor)
    return Rotary(frequencies, config.max_positions, ids)


def _attention(
    layers: "Layers", config: "ModernBertConfig", x: ov.Node, rotary: Rotary, bias: ov.Node, layer: str
) -> ov.Node:
    size, heads, has_bias = config.hidden_size, config.heads, config.attention_bias
    query, key, value = (
        split_heads(
            # Errors in the values affect the result directly, so they stay exact with int8.
            layers.linear(x, f"{layer}Wqkv", size, size, bias=has_bias, exact=part == 2, part=(part, 3)),
            heads,
            size // heads,
        )
        for part in range(3)
    )
    merged = attend(rotary.rotate(query), rotary.rotate(key), value, bias)
    return layers.linear(merged, f"{layer}Wo", size, size, bias=has_bias)


def _feed_forward(layers: "Layers", config: "ModernBertConfig", x: ov.Node, layer: str) -> ov.Node:
    size, inner_size, has_bias = config.hidden_size, config.inner_size, config.mlp_bias
    inner, gate = (layers.linear(x, f"{layer}Wi", size, inner_size, bias=has_bias, part=(part, 2)) for part in range(2))
    gated = ops.multiply(activate(config.activation, inner), gate)
    return layers.linear(gated, f"{layer}Wo", inner_size, size, bias=has_bias)
