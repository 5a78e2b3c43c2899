"""Running a model folder's graph in float32, with all texts in one padded batch."""

from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov

from embedstack_server.compute.graph import INT8_GROUP_SIZE, build_graph
from embedstack_server.model.model_folder import ModelFolder
from embedstack_server.model.tokenizer import Tokenizer

Array = np.ndarray[Any, Any]


def token_ids(folder: ModelFolder, texts: list[str]) -> list[list[int]]:
    return Tokenizer(folder.tokenizer, folder.max_tokens).encode(texts, truncate=True)


def compute(
    model: Path | ModelFolder, texts: list[str], *, int8: bool = False, precision: str = "f32"
) -> tuple[Array, list[Array]]:
    """Pooled vectors, and each text's last hidden state without padding."""
    folder = model if isinstance(model, ModelFolder) else ModelFolder.read(model)
    return run(folder, token_ids(folder, texts), int8=int8, precision=precision)


def run(
    folder: ModelFolder, ids: list[list[int]], *, int8: bool = False, precision: str = "f32"
) -> tuple[Array, list[Array]]:
    """:func:`compute` with token ids."""
    width = max(map(len, ids))
    padding = Tokenizer(folder.tokenizer, folder.max_tokens).pad_id
    padded = np.array([tokens + [padding] * (width - len(tokens)) for tokens in ids], np.int32)
    mask = np.array([[1] * len(tokens) + [0] * (width - len(tokens)) for tokens in ids], np.int32)
    group_size = INT8_GROUP_SIZE if int8 else 0
    config = {"INFERENCE_PRECISION_HINT": precision, "DYNAMIC_QUANTIZATION_GROUP_SIZE": str(group_size)}
    compiled = ov.Core().compile_model(build_graph(folder, int8=int8), "CPU", config)
    outputs = compiled({"input_ids": padded, "attention_mask": mask})
    hidden = outputs["hidden"]
    return outputs["pooled"], [hidden[row, : len(tokens)] for row, tokens in enumerate(ids)]


def cosines(actual: Array, expected: Array) -> Array:
    norms = np.linalg.norm(actual, axis=1) * np.linalg.norm(expected, axis=1)
    return np.asarray((actual * expected).sum(axis=1) / norms)
