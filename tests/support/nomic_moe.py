"""The last hidden state of Nomic Embed v2 with its mixture of experts, in plain numpy.

transformers has no such model. The formulas are those of Text Embeddings Inference 1.9
(backends/candle/src/models/nomic.rs), token by token and expert by expert, in float64.
"""

import math
from typing import Any

import numpy as np

from tests.support.reference_models import Array

__all__ = ["nomic_moe_hidden"]


def nomic_moe_hidden(config: dict[str, Any], weights: dict[str, Array], ids: list[int]) -> Array:
    """The last hidden state of one text, float32 (tokens, hidden size).

    Args:
        config: The model's ``config.json``.
        weights: Its tensors by name.
        ids: Its token ids.
    """
    w = {name: tensor.astype(np.float64) for name, tensor in weights.items()}
    epsilon = config["layer_norm_epsilon"]

    def linear(x: Array, name: str) -> Array:
        return x @ w[f"{name}.weight"].T + w.get(f"{name}.bias", 0)

    def norm(x: Array, name: str) -> Array:
        centred = x - x.mean(-1, keepdims=True)
        scale = np.sqrt((centred**2).mean(-1, keepdims=True) + epsilon)
        return np.asarray(centred / scale * w[f"{name}.weight"] + w[f"{name}.bias"])

    x = norm(w["embeddings.word_embeddings.weight"][ids] + w["embeddings.token_type_embeddings.weight"][0], "emb_ln")
    for number in range(config["n_layer"]):
        layer = f"encoder.layers.{number}"
        query, key, value = np.split(linear(x, f"{layer}.attn.Wqkv"), 3, axis=-1)
        attended = _attention(query, key, value, config["n_head"], config["rotary_emb_base"])
        x = norm(x + linear(attended, f"{layer}.attn.out_proj"), f"{layer}.norm1")
        if number % config["moe_every_n_layers"] == 1:
            outer = np.stack([_mixture(token, w, f"{layer}.mlp", config) for token in x])
        else:
            outer = linear(_gelu(linear(x, f"{layer}.mlp.fc1")), f"{layer}.mlp.fc2")
        x = norm(x + outer, f"{layer}.norm2")
    return x.astype(np.float32)


def _attention(query: Array, key: Array, value: Array, heads: int, base: float) -> Array:
    size = query.shape[1] // heads
    angles = np.arange(len(query))[:, None] * base ** (-np.arange(0, size, 2) / size)
    cosine, sine = np.cos(angles), np.sin(angles)

    def rotated(x: Array) -> Array:
        first, second = np.split(x, 2, axis=-1)
        return np.concatenate([first * cosine - second * sine, second * cosine + first * sine], axis=-1)

    merged = []
    for head in range(heads):
        part = slice(head * size, (head + 1) * size)
        scores = rotated(query[:, part]) @ rotated(key[:, part]).T / size**0.5
        merged.append(_softmax(scores) @ value[:, part])
    return np.concatenate(merged, axis=-1)


def _mixture(token: Array, w: dict[str, Array], name: str, config: dict[str, Any]) -> Array:
    """The weighted outputs of a token's best experts, whose weights are not normalized again."""
    weights = _softmax(w[f"{name}.router.layer.weight"] @ token)
    first, second = (
        w[f"{name}.experts.mlp.{part}"].reshape(config["num_experts"], -1, len(token)) for part in ("w1", "w2")
    )
    best = np.argsort(-weights, kind="stable")[: config["moe_top_k"]]
    outputs = [weights[expert] * (_gelu(first[expert] @ token) @ second[expert]) for expert in best]
    return np.asarray(np.sum(outputs, axis=0) + w[f"{name}.experts.bias"])


def _softmax(x: Array) -> Array:
    exponentials = np.exp(x - x.max(-1, keepdims=True))
    return np.asarray(exponentials / exponentials.sum(-1, keepdims=True))


def _gelu(x: Array) -> Array:
    return np.asarray(x * (1 + _erf(x / 2**0.5)) / 2)


_erf = np.vectorize(math.erf, otypes=[np.float64])
