"""The graph of NomicBERT, from token ids to the last hidden state."""

from typing import TYPE_CHECKING

import numpy as np
import openvino as ov
from openvino import opset13 as ops

from embedstack_server.compute.graph.attention import attend, split_heads
from embedstack_server.compute.graph.layers import activate, constant, integers, padding_bias, scalar
from embedstack_server.compute.graph.rotary import DynamicRotary, Rotary, inverse_frequencies

if TYPE_CHECKING:
    from embedstack_server.compute.graph.layers import Layers
    from embedstack_server.model.architectures.nomic_bert import Experts, NomicBertConfig

__all__ = ["encode"]


def encode(layers: "Layers", config: "NomicBertConfig", ids: ov.Node, float_mask: ov.Node) -> ov.Node:
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
    x = _norm(layers, config, _embeddings(layers, config, ids), "emb_ln")
    bias = padding_bias(float_mask)
    rotary = _rotary(config, ids, float_mask)
    for number in range(config.layers):
        layer = f"encoder.layers.{number}."
        x = _norm(layers, config, ops.add(x, _attention(layers, config, x, bias, rotary, layer)), f"{layer}norm1")
        x = _norm(layers, config, ops.add(x, _feed_forward(layers, config, x, number, layer)), f"{layer}norm2")
    return x


def _norm(layers: "Layers", config: "NomicBertConfig", x: ov.Node, name: str) -> ov.Node:
    return layers.layer_norm(x, name, config.hidden_size, config.layer_norm_eps)


def _embeddings(layers: "Layers", config: "NomicBertConfig", ids: ov.Node) -> ov.Node:
    embedded = layers.embedding(ids, config.word_embeddings, config.vocabulary_size, config.hidden_size)
    if not config.token_types:
        return embedded
    # A sentence encoder has only one segment, whose vector is added at every position.
    types = layers.weights.get("embeddings.token_type_embeddings.weight", 0, config.hidden_size)
    return ops.add(embedded, constant(types[0]))


def _rotary(config: "NomicBertConfig", ids: ov.Node, float_mask: ov.Node) -> Rotary | DynamicRotary:
    frequencies = inverse_frequencies(config.hidden_size // config.heads, config.rope_base)
    if config.scaling is None:
        return Rotary(frequencies, config.max_positions, ids)
    return DynamicRotary(frequencies, config.scaling.factor, config.scaling.trained_positions, float_mask)


def _attention(
    layers: "Layers", config: "NomicBertConfig", x: ov.Node, bias: ov.Node, rotary: Rotary | DynamicRotary, layer: str
) -> ov.Node:
    size, heads, has_bias = config.hidden_size, config.heads, config.attention_bias
    query, key, value = (
        split_heads(
            # Errors in the values affect the result directly, so they stay exact with int8.
            layers.linear(x, f"{layer}attn.Wqkv", size, size, bias=has_bias, exact=part == 2, part=(part, 3)),
            heads,
            size // heads,
        )
        for part in range(3)
    )
    merged = attend(rotary.rotate(query), rotary.rotate(key), value, bias)
    return layers.linear(merged, f"{layer}attn.out_proj", size, size, bias=has_bias)


def _feed_forward(layers: "Layers", config: "NomicBertConfig", x: ov.Node, number: int, layer: str) -> ov.Node:
    size, inner_size = config.hidden_size, config.inner_size
    if config.experts and number % config.experts.every == 1:
        return _mixture(layers, config, config.experts, x, f"{layer}mlp.")

    def inner(name: str) -> ov.Node:
        return layers.linear(x, f"{layer}mlp.{name}", size, inner_size, bias=config.inner_bias)

    if config.gated:
        activated = ops.multiply(activate(config.activation, inner("fc12")), inner("fc11"))
    else:
        activated = activate(config.activation, inner("fc1"))
    return layers.linear(activated, f"{layer}mlp.fc2", inner_size, size, bias=config.outer_bias)


def _mixture(layers: "Layers", config: "NomicBertConfig", experts: "Experts", x: ov.Node, name: str) -> ov.Node:
    """The experts' outputs, weighted by the router.

    Every expert computes every token, and the weights are applied between its two layers. So the experts' stacked
    tensors are used as they are, in two matrix products.
    """
    size, count, rows = config.hidden_size, experts.count, experts.count * config.inner_size
    weights = _expert_weights(experts, layers.linear(x, f"{name}router.layer", size, count, bias=False, exact=True))
    inner = layers.product(x, layers.weights.get(f"{name}experts.mlp.w1", rows, size))
    activated = ops.reshape(activate(config.activation, inner), integers(0, 0, count, config.inner_size), True)
    weighted = ops.reshape(ops.multiply(activated, ops.unsqueeze(weights, integers(-1))), integers(0, 0, rows), True)
    outer = np.ascontiguousarray(layers.weights.get(f"{name}experts.mlp.w2", rows, size).T)
    return ops.add(layers.product(weighted, outer), constant(layers.weights.get(f"{name}experts.bias", size)))


def _expert_weights(experts: "Experts", scores: ov.Node) -> ov.Node:
    """Each token's weights of all experts, which are 0 for all but its best: (texts, tokens, experts).

    The weights of the best experts are not normalized again. With equal scores, the first experts are chosen.
    """
    probabilities = ops.softmax(scores, -1)
    best = ops.topk(probabilities, ops.constant(np.int32(experts.chosen)), -1, "max", "value", "i32", stable=True)
    count = ops.constant(np.int32(experts.count))
    one_hot = ops.one_hot(best.output(1), count, scalar(1), scalar(0), -1)
    return ops.reduce_sum(ops.multiply(one_hot, ops.unsqueeze(best.output(0), integers(-1))), integers(-2), False)
