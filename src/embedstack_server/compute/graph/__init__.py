"""The model's OpenVINO graph, built directly from its weights, without torch and transformers."""

import functools
from typing import TYPE_CHECKING

import numpy as np
import openvino as ov
from openvino import opset13 as ops

from embedstack_server.compute.graph import bert, gemma3, gte, modernbert, nomic_bert, qwen3, t5
from embedstack_server.compute.graph.classification import classify
from embedstack_server.compute.graph.layers import INT8_GROUP_SIZE, Layers
from embedstack_server.compute.graph.pooling import dense, pool
from embedstack_server.model.architectures.bert import BertConfig
from embedstack_server.model.architectures.gemma3 import Gemma3Config
from embedstack_server.model.architectures.gte import GteConfig
from embedstack_server.model.architectures.modernbert import ModernBertConfig
from embedstack_server.model.architectures.nomic_bert import NomicBertConfig
from embedstack_server.model.architectures.qwen3 import Qwen3Config
from embedstack_server.model.architectures.t5 import T5Config
from embedstack_server.model.cross_encoder_folder import CrossEncoderFolder
from embedstack_server.model.weights import Weights

if TYPE_CHECKING:
    from collections.abc import Callable

    from embedstack_server.model.architectures import EncoderConfig
    from embedstack_server.model.model_folder import ModelFolder

__all__ = ["INT8_GROUP_SIZE", "NOT_POOLED", "build_graph"]

#: Mask of a token that other tokens attend to, and that is left out of the pooling.
NOT_POOLED = 2

# The function that builds an encoder's graph, by the class of its configuration. It takes the weights, the
# configuration, the ids and the mask as float32 (1 for a token, 0 for padding); it returns the last hidden state. For
# a configuration with token types, the function also takes them as a keyword argument.
_ENCODE: "dict[type[EncoderConfig], Callable[..., ov.Node]]" = {
    BertConfig: bert.encode,
    Gemma3Config: gemma3.encode,
    GteConfig: gte.encode,
    ModernBertConfig: modernbert.encode,
    NomicBertConfig: nomic_bert.encode,
    Qwen3Config: qwen3.encode,
    T5Config: t5.encode,
}


def build_graph(folder: "ModelFolder | CrossEncoderFolder", *, int8: bool = False) -> ov.Model:
    """Build the graph from ``input_ids`` and ``attention_mask``, both int32 (texts, tokens), padded on the right.

    The mask is 1 for a token and 0 for padding. If the model does not pool prompts, it is :data:`NOT_POOLED` for a
    token of a prompt.

    Args:
        folder: The model.
        int8: Store the encoder's linear layers, except the attention's values, as int8. With the compile option
            ``DYNAMIC_QUANTIZATION_GROUP_SIZE`` set to :data:`INT8_GROUP_SIZE`, they also multiply in int8.

    Returns:
        For an embedding model, two outputs: ``pooled``, vectors (texts, dimensions), not normalized, and ``hidden``,
        the last hidden state (texts, tokens, hidden size). For a cross-encoder, the output ``pooled`` with the logits
        (texts, 1), and if it reads token types, a third input ``token_type_ids``. The model maps the weights file,
        which must not change while the model is in use.

    Raises:
        ConfigurationError: The weights are unreadable, or a tensor is missing or has a wrong shape.
    """
    inputs = {name: ops.parameter([-1, -1], np.int32, name) for name in ("input_ids", "attention_mask")}
    ids, mask = inputs["input_ids"], inputs["attention_mask"]
    pools_all = isinstance(folder, CrossEncoderFolder) or folder.pools_prompt
    is_prompt = None if pools_all else ops.equal(mask, ops.constant(np.int32(NOT_POOLED)))
    float_mask = ops.convert(ops.minimum(mask, ops.constant(np.int32(1))) if is_prompt else mask, "f32")
    layers = Layers(Weights.open(folder.weights, folder.config.word_embeddings), int8=int8)
    encode = functools.partial(_ENCODE[type(folder.config)], layers, folder.config, ids, float_mask)
    if isinstance(folder, CrossEncoderFolder):
        if folder.reads_token_types:
            inputs["token_type_ids"] = ops.parameter([-1, -1], np.int32, "token_type_ids")
            hidden = encode(token_types=inputs["token_type_ids"])
        else:
            hidden = encode()
        outputs = {"pooled": classify(layers, folder, hidden, float_mask)}
    else:
        hidden = encode()
        pooled = pool(hidden, float_mask, folder.pooling, is_prompt)
        for module in folder.modules.dense:
            pooled = dense(pooled, module)
        outputs = {"pooled": pooled, "hidden": hidden}
    results = {name: ops.result(node, name) for name, node in outputs.items()}
    for name, node in (inputs | results).items():
        node.output(0).set_names({name})
    return ov.Model(list(results.values()), list(inputs.values()), folder.config.architecture)
