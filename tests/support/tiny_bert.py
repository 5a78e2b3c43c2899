"""A BERT small enough to create in a test, and its textbook computation."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file
from tokenizers import Tokenizer, models, pre_tokenizers, processors

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "the", "cat", "sat", "on", "mat", "dog", "ran", "far"]
HIDDEN, HEADS, LAYERS, INNER, POSITIONS, EPS = 32, 4, 2, 64, 16, 1e-12

Array = np.ndarray[Any, Any]
Tensors = dict[str, Array]


def make_tensors(seed: int = 0) -> Tensors:
    """Random weights under BERT's names."""
    random = np.random.default_rng(seed)

    def normal(*shape: int) -> Array:
        return random.normal(0, 0.2, shape).astype(np.float32)

    tensors: Tensors = {
        "embeddings.word_embeddings.weight": normal(len(WORDS), HIDDEN),
        "embeddings.position_embeddings.weight": normal(POSITIONS, HIDDEN),
        "embeddings.token_type_embeddings.weight": normal(2, HIDDEN),
        "embeddings.LayerNorm.weight": 1 + normal(HIDDEN),
        "embeddings.LayerNorm.bias": normal(HIDDEN),
    }
    for layer in range(LAYERS):
        prefix = f"encoder.layer.{layer}."
        shapes = {
            "attention.self.query": (HIDDEN, HIDDEN),
            "attention.self.key": (HIDDEN, HIDDEN),
            "attention.self.value": (HIDDEN, HIDDEN),
            "attention.output.dense": (HIDDEN, HIDDEN),
            "intermediate.dense": (INNER, HIDDEN),
            "output.dense": (HIDDEN, INNER),
        }
        for name, shape in shapes.items():
            tensors[f"{prefix}{name}.weight"] = normal(*shape)
            tensors[f"{prefix}{name}.bias"] = normal(shape[0])
        for name in ("attention.output.LayerNorm", "output.LayerNorm"):
            tensors[f"{prefix}{name}.weight"] = 1 + normal(HIDDEN)
            tensors[f"{prefix}{name}.bias"] = normal(HIDDEN)
    return tensors


def write_model(folder: Path, tensors: Tensors | None = None, *, pooling: str = "mean", normalize: bool = True) -> Path:
    """Write a sentence-transformers folder."""
    config = {
        "model_type": "bert", "hidden_act": "gelu", "hidden_size": HIDDEN, "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS, "intermediate_size": INNER, "max_position_embeddings": POSITIONS,
        "layer_norm_eps": EPS,
    }  # fmt: skip
    modules = ["Transformer", "Pooling", *(["Normalize"] if normalize else [])]
    flags = {"mean": "mean_tokens", "cls": "cls_token", "max": "max_tokens"}
    pooling_config = {f"pooling_mode_{flag}": mode == pooling for mode, flag in flags.items()}
    files = {
        "config.json": config,
        "modules.json": [
            {"idx": index, "path": f"{index}_{name}", "type": f"sentence_transformers.models.{name}"}
            for index, name in enumerate(modules)
        ],
        "1_Pooling/config.json": pooling_config,
        "config_sentence_transformers.json": {"prompts": {"query": "the ", "document": ""}},
    }
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))
    tokenizer = Tokenizer(models.WordLevel({word: index for index, word in enumerate(WORDS)}, "[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", None, [("[CLS]", 2), ("[SEP]", 3)])
    # The real all-MiniLM-L6-v2's file has both, too; they must have no effect.
    tokenizer.enable_truncation(5)
    tokenizer.enable_padding(length=5)
    tokenizer.save(str(folder / "tokenizer.json"))
    save_file(tensors or make_tensors(), folder / "model.safetensors")
    return folder


def hidden_states(tensors: Tensors, text: str) -> Array:
    """BERT's last hidden state of one text (tokens, HIDDEN), step by step in float64."""
    weights = {name: tensor.astype(np.float64) for name, tensor in tensors.items()}

    def linear(x: Array, name: str) -> Array:
        return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

    def layer_norm(x: Array, name: str) -> Any:
        mean, variance = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
        return (x - mean) / np.sqrt(variance + EPS) * weights[f"{name}.weight"] + weights[f"{name}.bias"]

    def gelu(x: Array) -> Any:
        return x * 0.5 * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))

    ids = [2, *(WORDS.index(word) if word in WORDS else 1 for word in text.split()), 3]
    x = weights["embeddings.word_embeddings.weight"][ids]
    x = x + weights["embeddings.position_embeddings.weight"][: len(ids)]
    x = x + weights["embeddings.token_type_embeddings.weight"][0]
    x = layer_norm(x, "embeddings.LayerNorm")
    size = HIDDEN // HEADS
    for layer in range(LAYERS):
        prefix = f"encoder.layer.{layer}."
        query, key, value = (
            linear(x, f"{prefix}attention.self.{name}").reshape(len(ids), HEADS, size).transpose(1, 0, 2)
            for name in ("query", "key", "value")
        )
        scores = query @ key.transpose(0, 2, 1) / math.sqrt(size)
        weight = np.exp(scores - scores.max(-1, keepdims=True))
        weight /= weight.sum(-1, keepdims=True)
        attended = (weight @ value).transpose(1, 0, 2).reshape(len(ids), HIDDEN)
        x = layer_norm(linear(attended, f"{prefix}attention.output.dense") + x, f"{prefix}attention.output.LayerNorm")
        inner = gelu(linear(x, f"{prefix}intermediate.dense"))
        x = layer_norm(linear(inner, f"{prefix}output.dense") + x, f"{prefix}output.LayerNorm")
    return np.asarray(x)
