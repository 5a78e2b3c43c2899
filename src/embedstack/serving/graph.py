"""The encoder's OpenVINO graph, built straight from safetensors weights: no torch, no transformers.

The computation is BERT's (Devlin et al., 2018, https://arxiv.org/abs/1810.04805), post-layer-norm, followed by the
pooling that the model was trained with.
"""

from typing import TYPE_CHECKING

import numpy as np
import openvino as ov
from openvino import opset13 as ops
from safetensors import SafetensorError
from safetensors.numpy import load_file

from embedstack.errors import ConfigurationError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from embedstack.models import Pooling
    from embedstack.serving.model_folder import BertConfig, ModelFolder

# Added to the score of a padded position before the softmax: far below any real score, and exact in bfloat16.
_MASKED_SCORE = -1e4
# sentence-transformers' clamp against an empty mask, so that the mean is the same to the last bit.
_SMALLEST_TOKEN_COUNT = 1e-9


def build_graph(folder: "ModelFolder", *, token_vectors: bool = False) -> ov.Model:
    """Build the graph from ``input_ids`` and ``attention_mask``, both int32 (texts, tokens).

    Returns:
        A model with one output: pooled vectors (texts, dimensions), not normalised, or with ``token_vectors``
        the last hidden state (texts, tokens, dimensions).

    Raises:
        ConfigurationError: The weights are unreadable, or a tensor is missing or has a wrong shape.
    """
    weights = _Weights.load(folder)
    ids = ops.parameter([-1, -1], np.int32, "input_ids")
    mask = ops.parameter([-1, -1], np.int32, "attention_mask")
    for node, name in ((ids, "input_ids"), (mask, "attention_mask")):
        node.output(0).set_names({name})
    float_mask = ops.convert(mask, "f32")
    hidden = _encoder(folder.config, weights, ids, float_mask)
    output = hidden if token_vectors else _pool(hidden, float_mask, folder.pooling)
    return ov.Model([output], [ids, mask], "sentence_encoder")


class _Weights:
    """The file's tensors by their name in BERT, whatever prefix the file gives them."""

    def __init__(self, folder: "ModelFolder", tensors: "dict[str, NDArray[np.float32]]", prefix: str) -> None:
        self._file = folder.weights
        self._tensors = tensors
        self._prefix = prefix

    @classmethod
    def load(cls, folder: "ModelFolder") -> "_Weights":
        try:
            tensors = load_file(folder.weights)
        except (SafetensorError, OSError, ValueError) as error:
            raise ConfigurationError(f"{folder.weights} is not a readable safetensors file: {error}") from error
        prefix = "bert." if any(name.startswith("bert.") for name in tensors) else ""
        return cls(folder, tensors, prefix)

    def get(self, name: str, *shape: int) -> "NDArray[np.float32]":
        """The tensor as float32; a 0 in ``shape`` stands for any size."""
        try:
            tensor = self._tensors[self._prefix + name]
        except KeyError:
            raise ConfigurationError(f"{self._file} has no tensor {name}.") from None
        if len(tensor.shape) != len(shape) or any(
            want not in (0, have) for want, have in zip(shape, tensor.shape, strict=True)
        ):
            raise ConfigurationError(f"{self._file}: {name} has shape {tensor.shape}, config.json wants {shape}.")
        return np.ascontiguousarray(tensor, dtype=np.float32)


def _integers(*values: int) -> ov.Node:
    return ops.constant(np.array(values, np.int64))


def _scalar(value: float) -> ov.Node:
    return ops.constant(np.float32(value))


def _layer_norm(weights: _Weights, config: "BertConfig", x: ov.Node, name: str) -> ov.Node:
    normed = ops.mvn(x, _integers(-1), True, config.layer_norm_eps, "inside_sqrt")
    scale, shift = (ops.constant(weights.get(f"{name}.{part}", config.hidden_size)) for part in ("weight", "bias"))
    return ops.add(ops.multiply(normed, scale), shift)


def _linear(weights: _Weights, x: ov.Node, name: str) -> ov.Node:
    matrix = weights.get(f"{name}.weight", 0, 0)
    bias = weights.get(f"{name}.bias", matrix.shape[0])
    return ops.add(ops.matmul(x, ops.constant(matrix), False, True), ops.constant(bias))


def _embeddings(config: "BertConfig", weights: _Weights, ids: ov.Node) -> ov.Node:
    size = config.hidden_size
    # A sentence encoder sees one segment only, so that segment's vector is part of every position's.
    positions = weights.get("embeddings.position_embeddings.weight", config.max_positions, size)
    positions = positions + weights.get("embeddings.token_type_embeddings.weight", 0, size)[:1]
    length = ops.gather(ops.shape_of(ids, "i64"), _integers(1), _integers(0))
    position = ops.slice(ops.constant(positions), _integers(0), length, _integers(1), _integers(0))
    words = ops.constant(weights.get("embeddings.word_embeddings.weight", 0, size))
    return ops.add(ops.gather(words, ids, ops.constant(np.int64(0))), position)


def _attention(config: "BertConfig", weights: _Weights, x: ov.Node, bias: ov.Node, layer: str) -> ov.Node:
    def split_heads(projected: ov.Node) -> ov.Node:
        shape = _integers(0, 0, config.heads, config.hidden_size // config.heads)
        return ops.transpose(ops.reshape(projected, shape, True), _integers(0, 2, 1, 3))

    query, key, value = (
        split_heads(_linear(weights, x, f"{layer}.attention.self.{name}")) for name in ("query", "key", "value")
    )
    attended = ops.transpose(ops.scaled_dot_product_attention(query, key, value, bias), _integers(0, 2, 1, 3))
    merged = ops.reshape(attended, _integers(0, 0, config.hidden_size), True)
    projected = _linear(weights, merged, f"{layer}.attention.output.dense")
    return _layer_norm(weights, config, ops.add(projected, x), f"{layer}.attention.output.LayerNorm")


def _feed_forward(config: "BertConfig", weights: _Weights, x: ov.Node, layer: str) -> ov.Node:
    inner = ops.gelu(_linear(weights, x, f"{layer}.intermediate.dense"), "erf")
    outer = _linear(weights, inner, f"{layer}.output.dense")
    return _layer_norm(weights, config, ops.add(outer, x), f"{layer}.output.LayerNorm")


def _encoder(config: "BertConfig", weights: _Weights, ids: ov.Node, float_mask: ov.Node) -> ov.Node:
    x = _layer_norm(weights, config, _embeddings(config, weights, ids), "embeddings.LayerNorm")
    padding = ops.subtract(_scalar(1), ops.unsqueeze(float_mask, _integers(1, 2)))
    bias = ops.multiply(padding, _scalar(_MASKED_SCORE))
    for number in range(config.layers):
        layer = f"encoder.layer.{number}"
        x = _feed_forward(config, weights, _attention(config, weights, x, bias, layer), layer)
    return x


def _pool(hidden: ov.Node, float_mask: ov.Node, pooling: "Pooling") -> ov.Node:
    mask = ops.unsqueeze(float_mask, _integers(-1))
    match pooling:
        case "cls":
            return ops.gather(hidden, ops.constant(np.int64(0)), ops.constant(np.int64(1)))
        case "max":
            padding = ops.multiply(ops.subtract(_scalar(1), mask), _scalar(_MASKED_SCORE))
            return ops.reduce_max(ops.add(hidden, padding), _integers(1), False)
        case "mean":
            total = ops.reduce_sum(ops.multiply(hidden, mask), _integers(1), False)
            count = ops.maximum(ops.reduce_sum(mask, _integers(1), False), _scalar(_SMALLEST_TOKEN_COUNT))
            return ops.divide(total, count)
