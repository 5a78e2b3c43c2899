"""The model's OpenVINO graph, built directly from its weights, without torch and transformers."""

from typing import TYPE_CHECKING, Any

import numpy as np
import openvino as ov
from openvino import opset13 as ops

from embedstack_server.compute.graph import bert, gemma3, modernbert, nomic_bert, t5
from embedstack_server.compute.graph.layers import INT8_GROUP_SIZE, Layers
from embedstack_server.compute.graph.pooling import dense, pool
from embedstack_server.model.architectures.bert import BertConfig
from embedstack_server.model.architectures.gemma3 import Gemma3Config
from embedstack_server.model.architectures.modernbert import ModernBertConfig
from embedstack_server.model.architectures.nomic_bert import NomicBertConfig
from embedstack_server.model.architectures.t5 import T5Config
from embedstack_server.model.weights import Weights

if TYPE_CHECKING:
    from collections.abc import Callable

    from embedstack_server.model.architectures import EncoderConfig
    from embedstack_server.model.model_folder import ModelFolder

__all__ = ["INT8_GROUP_SIZE", "build_graph"]

# The function that builds an encoder's graph, by the class of its configuration. It takes the weights, the
# configuration, the ids and the mask as float32 (1 for a token, 0 for padding); it returns the last hidden state.
_ENCODE: "dict[type[EncoderConfig], Callable[[Layers, Any, ov.Node, ov.Node], ov.Node]]" = {
    BertConfig: bert.encode,
    Gemma3Config: gemma3.encode,
    ModernBertConfig: modernbert.encode,
    NomicBertConfig: nomic_bert.encode,
    T5Config: t5.encode,
}


def build_graph(folder: "ModelFolder", *, int8: bool = False) -> ov.Model:
    """Build the graph from ``input_ids`` and ``attention_mask``, both int32 (texts, tokens), padded on the right.

    Args:
        folder: The model.
        int8: Store the encoder's linear layers, except the attention's values, as int8. With the compile option
            ``DYNAMIC_QUANTIZATION_GROUP_SIZE`` set to :data:`INT8_GROUP_SIZE`, they also multiply in int8.

    Returns:
        A model with two outputs: ``pooled``, vectors (texts, dimensions), not normalized, and ``hidden``, the last
        hidden state (texts, tokens, hidden size). It maps the weights file, which must not change while the model is
        in use.

    Raises:
        ConfigurationError: The weights are unreadable, or a tensor is missing or has a wrong shape.
    """
    ids = ops.parameter([-1, -1], np.int32, "input_ids")
    mask = ops.parameter([-1, -1], np.int32, "attention_mask")
    float_mask = ops.convert(mask, "f32")
    weights = Weights.open(folder.weights, folder.config.word_embeddings)
    hidden = _ENCODE[type(folder.config)](Layers(weights, int8=int8), folder.config, ids, float_mask)
    pooled = pool(hidden, float_mask, folder.pooling)
    for module in folder.modules.dense:
        pooled = dense(pooled, module)
    results = [ops.result(pooled, "pooled"), ops.result(hidden, "hidden")]
    for node, name in ((ids, "input_ids"), (mask, "attention_mask"), (results[0], "pooled"), (results[1], "hidden")):
        node.output(0).set_names({name})
    return ov.Model(results, [ids, mask], "sentence_encoder")
