"""The graph of GTE, from token ids to the last hidden state."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import openvino as ov
from openvino import opset13 as ops

from embedstack_server.compute.graph.attention import attend, split_heads
from embedstack_server.compute.graph.layers import activate, constant, padding_bias
from embedstack_server.compute.graph.rotary import Rotary, inverse_frequencies

if TYPE_CHECKING:
    from embedstack_server.compute.graph.layers import Layers
    from embedstack_server.model.architectures.gte import GteConfig

__all__ = ["encode"]


@dataclass(frozen=True, slots=True)
class _Names:
    """The names of a layer and of its parts."""

    layer: str
    attention: str
    attention_norm: str
    outer_norm: str


_ORIGINAL = _Names("encoder.layer.{}.", "attention.", "attn_ln", "mlp_ln")
_CONVERTED = _Names("layers.{}.", "self_attn.", "post_attention_layernorm", "post_mlp_layernorm")


def encode(
    layers: "Layers", config: "GteConfig", ids: ov.Node, float_mask: ov.Node, token_types: ov.Node | None = None
) -> ov.Node:
    """The last hidden state.

    Args:
        layers: The model's weights.
        config: The model's configuration.
        ids: int32 (texts, tokens).
        float_mask: float32 (texts, tokens): 1 for a token, 0 for padding.
        token_types: int32 (texts, tokens); None if every token has type 0.

    Returns:
        float32 (texts, tokens, hidden size).

    Raises:
        ConfigurationError: A tensor is missing or has a wrong shape.
    """
    x = _embeddings(layers, config, ids, token_types)
    bias = padding_bias(float_mask)
    frequencies = inverse_frequencies(config.hidden_size // config.heads, config.rope.base, config.rope.divisor)
    rotary = Rotary(frequencies, config.max_positions, ids)
    is_converted = layers.weights.has(f"{_CONVERTED.layer.format(0)}{_CONVERTED.attention_norm}.weight")
    names = _CONVERTED if is_converted else _ORIGINAL
    for number in range(config.layers):
        layer = names.layer.format(number)
        attended = _attention(layers, config, x, rotary, bias, layer + names.attention)
        x = _norm(layers, config, ops.add(attended, x), layer + names.attention_norm)
        outer = _feed_forward(layers, config, x, f"{layer}mlp.")
        x = _norm(layers, config, ops.add(outer, x), layer + names.outer_norm)
    return x


def _embeddings(layers: "Layers", config: "GteConfig", ids: ov.Node, token_types: ov.Node | None) -> ov.Node:
    x = layers.embedding(ids, config.word_embeddings, config.vocabulary_size, config.hidden_size)
    if config.token_types:
        name = "embeddings.token_type_embeddings.weight"
        types = layers.weights.get(name, 0 if token_types is None else config.token_types, config.hidden_size)
        added = constant(types[0])
        if token_types is not None:
            added = ops.gather(constant(types), token_types, ops.constant(np.int64(0)))
        x = ops.add(x, added)
    return _norm(layers, config, x, "embeddings.LayerNorm")


def _norm(layers: "Layers", config: "GteConfig", x: ov.Node, name: str) -> ov.Node:
    return layers.layer_norm(x, name, config.hidden_size, config.layer_norm_eps)


def _attention(layers: "Layers", config: "GteConfig", x: ov.Node, rotary: Rotary, bias: ov.Node, layer: str) -> ov.Node:
    size, heads = config.hidden_size, config.heads
    is_packed = layers.weights.has(f"{layer}qkv_proj.weight")
    query, key, value = (
        split_heads(
            layers.linear(
                x, layer + ("qkv_proj" if is_packed else f"{name}_proj"), size, size,
                # Errors in the values affect the result directly, so they stay exact with int8.
                exact=name == "v", part=(part, 3) if is_packed else (0, 1),
            ),
            heads,
            size // heads,
        )
        for part, name in enumerate("qkv")
    )  # fmt: skip
    merged = attend(rotary.rotate(query), rotary.rotate(key), value, bias)
    return layers.linear(merged, f"{layer}o_proj", size, size)


def _feed_forward(layers: "Layers", config: "GteConfig", x: ov.Node, layer: str) -> ov.Node:
    size, inner_size = config.hidden_size, config.inner_size
    is_packed = layers.weights.has(f"{layer}up_gate_proj.weight")
    up, gate = (
        layers.linear(
            x, layer + ("up_gate_proj" if is_packed else f"{name}_proj"), size, inner_size, bias=False,
            part=(part, 2) if is_packed else (0, 1),
        )
        for part, name in enumerate(("up", "gate"))
    )  # fmt: skip
    return layers.linear(ops.multiply(activate(config.activation, gate), up), f"{layer}down_proj", inner_size, size)
