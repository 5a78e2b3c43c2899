"""The graph of Gemma 3's text model, from token ids to the last hidden state."""

from typing import TYPE_CHECKING

import numpy as np
import openvino as ov
from openvino import opset13 as ops

from embedstack_server.compute.graph.attention import attend, causal_bias, split_heads, window_bias
from embedstack_server.compute.graph.layers import activate, constant, padding_bias, scalar
from embedstack_server.compute.graph.rotary import Rotary, inverse_frequencies

if TYPE_CHECKING:
    from embedstack_server.compute.graph.layers import Layers
    from embedstack_server.model.architectures.gemma3 import Gemma3Config
    from embedstack_server.model.architectures.rope import Rope

__all__ = ["encode"]

# The norms' stored scales are differences from 1.
_SCALE_OFFSET = 1


def encode(layers: "Layers", config: "Gemma3Config", ids: ov.Node, float_mask: ov.Node) -> ov.Node:
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
    x = _embeddings(layers, config, ids)
    everywhere = padding_bias(float_mask)
    if not config.bidirectional:
        everywhere = ops.add(everywhere, causal_bias(ids))
    nearby = ops.add(everywhere, window_bias(ids, config.radius))
    global_rotary, local_rotary = (_rotary(config, rope, ids) for rope in (config.global_rope, config.local_rope))
    for number, is_local in enumerate(config.is_local):
        bias, rotary = (nearby, local_rotary) if is_local else (everywhere, global_rotary)
        layer = f"layers.{number}."
        attended = _attention(layers, config, _norm(layers, config, x, f"{layer}input_layernorm"), bias, rotary, layer)
        x = ops.add(x, _norm(layers, config, attended, f"{layer}post_attention_layernorm"))
        outer = _feed_forward(layers, config, _norm(layers, config, x, f"{layer}pre_feedforward_layernorm"), layer)
        x = ops.add(x, _norm(layers, config, outer, f"{layer}post_feedforward_layernorm"))
    return _norm(layers, config, x, "norm")


def _embeddings(layers: "Layers", config: "Gemma3Config", ids: ov.Node) -> ov.Node:
    name, size = config.word_embeddings, config.hidden_size
    words = layers.weights.get(name, config.vocabulary_size, size)
    # transformers rounds the factor to the type of the weights.
    scale = layers.weights.rounded(name, size**0.5)
    return ops.multiply(ops.gather(constant(words), ids, ops.constant(np.int64(0))), scalar(scale))


def _rotary(config: "Gemma3Config", rope: "Rope", ids: ov.Node) -> Rotary:
    frequencies = inverse_frequencies(config.head_size, rope.base, rope.divisor)
    return Rotary(frequencies, config.max_positions, ids)


def _norm(layers: "Layers", config: "Gemma3Config", x: ov.Node, name: str) -> ov.Node:
    return layers.rms_norm(x, name, config.hidden_size, config.rms_norm_eps, offset=_SCALE_OFFSET)


def _attention(
    layers: "Layers", config: "Gemma3Config", x: ov.Node, bias: ov.Node, rotary: Rotary, layer: str
) -> ov.Node:
    size, head_size = config.hidden_size, config.head_size
    name = f"{layer}self_attn."

    def projected(projection: str, count: int, *, exact: bool = False) -> ov.Node:
        width = count * head_size
        return layers.linear(x, name + projection, size, width, bias=config.attention_bias, exact=exact)

    def rotated(projection: str, norm: str, count: int) -> ov.Node:
        def scaled(heads: ov.Node) -> ov.Node:
            return layers.rms_norm(heads, name + norm, head_size, config.rms_norm_eps, offset=_SCALE_OFFSET)

        return rotary.rotate(split_heads(projected(projection, count), count, head_size, norm=scaled))

    query, key = rotated("q_proj", "q_norm", config.heads), rotated("k_proj", "k_norm", config.key_heads)
    # Float values keep int8 accurate, as in BERT's graph.
    value = split_heads(projected("v_proj", config.key_heads, exact=True), config.key_heads, head_size)
    merged = attend(query, key, value, bias, scale=config.attention_scale)
    return layers.linear(merged, f"{name}o_proj", config.heads * head_size, size, bias=config.attention_bias)


def _feed_forward(layers: "Layers", config: "Gemma3Config", x: ov.Node, layer: str) -> ov.Node:
    size, inner_size = config.hidden_size, config.inner_size
    gate, up = (layers.linear(x, f"{layer}mlp.{name}_proj", size, inner_size, bias=False) for name in ("gate", "up"))
    inner = ops.multiply(activate(config.activation, gate), up)
    return layers.linear(inner, f"{layer}mlp.down_proj", inner_size, size, bias=False)
