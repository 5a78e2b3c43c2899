"""The graph of Qwen3, from token ids to the last hidden state."""

from typing import TYPE_CHECKING

import openvino as ov
from openvino import opset13 as ops

from embedstack_server.compute.graph.attention import attend, causal_bias, split_heads
from embedstack_server.compute.graph.layers import activate, padding_bias
from embedstack_server.compute.graph.rotary import Rotary, inverse_frequencies

if TYPE_CHECKING:
    from embedstack_server.compute.graph.layers import Layers
    from embedstack_server.model.architectures.qwen3 import Qwen3Config

__all__ = ["encode"]


def encode(layers: "Layers", config: "Qwen3Config", ids: ov.Node, float_mask: ov.Node) -> ov.Node:
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
    x = layers.embedding(ids, config.word_embeddings, config.vocabulary_size, config.hidden_size)
    # Padding follows a text, so no token of a causal model attends to it.
    bias = causal_bias(ids) if config.causal else padding_bias(float_mask)
    frequencies = inverse_frequencies(config.head_size, config.rope.base, config.rope.divisor)
    rotary = Rotary(frequencies, config.max_positions, ids)
    for number in range(config.layers):
        layer = f"layers.{number}."
        normed = _norm(layers, config, x, f"{layer}input_layernorm")
        x = ops.add(x, _attention(layers, config, normed, rotary, bias, f"{layer}self_attn."))
        normed = _norm(layers, config, x, f"{layer}post_attention_layernorm")
        x = ops.add(x, _feed_forward(layers, config, normed, f"{layer}mlp."))
    return _norm(layers, config, x, "norm")


def _norm(layers: "Layers", config: "Qwen3Config", x: ov.Node, name: str) -> ov.Node:
    return layers.rms_norm(x, name, config.hidden_size, config.norm_eps)


def _attention(
    layers: "Layers", config: "Qwen3Config", x: ov.Node, rotary: Rotary, bias: ov.Node, layer: str
) -> ov.Node:
    head_size, has_bias = config.head_size, config.attention_bias

    def project(name: str, heads: int, *, exact: bool = False) -> ov.Node:
        return layers.linear(x, layer + name, config.hidden_size, heads * head_size, bias=has_bias, exact=exact)

    def rotated(name: str, heads: int) -> ov.Node:
        def norm(vectors: ov.Node) -> ov.Node:
            return layers.rms_norm(vectors, f"{layer}{name}_norm", head_size, config.norm_eps)

        return rotary.rotate(split_heads(project(f"{name}_proj", heads), heads, head_size, norm=norm))

    query, key = rotated("q", config.heads), rotated("k", config.key_value_heads)
    # Errors in the values affect the result directly, so they stay exact with int8.
    value = split_heads(project("v_proj", config.key_value_heads, exact=True), config.key_value_heads, head_size)
    merged = attend(query, key, value, bias)
    return layers.linear(merged, f"{layer}o_proj", config.heads * head_size, config.hidden_size, bias=has_bias)


def _feed_forward(layers: "Layers", config: "Qwen3Config", x: ov.Node, layer: str) -> ov.Node:
    size, inner_size = config.hidden_size, config.inner_size
    gate = activate(config.activation, layers.linear(x, f"{layer}gate_proj", size, inner_size, bias=False))
    gated = ops.multiply(gate, layers.linear(x, f"{layer}up_proj", size, inner_size, bias=False))
    return layers.linear(gated, f"{layer}down_proj", inner_size, size, bias=False)
