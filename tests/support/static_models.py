"""Folders of small models with static embeddings, in the variants of sentence-transformers and model2vec."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from tests.support.reference_models import SHARP_TEXTS, SHARP_WORDS, Array

__all__ = ["STATIC_MODELS", "STATIC_TEXTS", "write_static_model"]

#: Texts with known and unknown words, and of more tokens than model2vec reads.
STATIC_TEXTS = ["w1 zzz w2", "w7", "w3 w3 w10 w59", "zzz w9 qqq", SHARP_TEXTS[1], SHARP_TEXTS[0]]
#: Variants by name; those of model2vec have no modules.json.
STATIC_MODELS = (
    "st", "st-limited", "st-quantized", "model2vec", "model2vec-unlimited", "model2vec-quantized", "model2vec-int8",
)  # fmt: skip

_SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
_VOCABULARY = {token: number for number, token in enumerate([*_SPECIALS, *SHARP_WORDS])}
_DIMENSIONS = 16


def write_static_model(folder: Path, name: str) -> Path:
    """Write a variant's folder."""
    is_st = name.startswith("st")
    inner = folder / "0_StaticEmbedding" if name in ("st", "st-limited") else folder
    inner.mkdir(parents=True, exist_ok=True)
    (inner / "tokenizer.json").write_text(json.dumps(_tokenizer(100 if name == "st-limited" else None)))
    tensors = _tensors(name)
    save_file(tensors, inner / "model.safetensors")
    if is_st:
        modules = [{"idx": 0, "name": "0", "path": inner.relative_to(folder).as_posix(), "type": "x.StaticEmbedding"}]
        if name == "st":
            modules.append({"idx": 1, "name": "1", "path": "1_Normalize", "type": "x.Normalize"})
            prompts = {"prompts": {"query": "w5 w6 "}, "default_prompt_name": None}
            (folder / "config_sentence_transformers.json").write_text(json.dumps(prompts))
        for module in modules:
            module["type"] = str(module["type"]).replace("x.", "sentence_transformers.models.")
        (folder / "modules.json").write_text(json.dumps(modules))
    else:
        limits: dict[str, dict[str, Any]] = {
            "model2vec-unlimited": {"max_length": None},
            "model2vec-quantized": {"max_length": 300},
        }
        config = {"model_type": "model2vec", "architectures": ["StaticModel"], "normalize": name == "model2vec"}
        (folder / "config.json").write_text(json.dumps({**config, **limits.get(name, {})}))
    return folder


def _tensors(name: str) -> dict[str, Array]:
    random = np.random.default_rng(len(name))
    rows = random.standard_normal((len(_VOCABULARY), _DIMENSIONS)).astype(np.float32)
    rows[_VOCABULARY["[PAD]"]] = 0
    if name in ("st", "st-limited"):
        return {"embedding.weight": rows}
    if name.endswith("int8"):
        return {"embeddings": np.rint(rows * 40).astype(np.int8)}
    if not name.endswith("quantized"):
        return {"embeddings": rows}
    clusters = rows[:20].astype(np.float16)
    mapping = random.integers(1, 20, len(_VOCABULARY))
    return {"embeddings": clusters, "mapping": mapping, "weights": random.uniform(0.1, 2, len(_VOCABULARY))}


def _tokenizer(max_length: int | None) -> dict[str, Any]:
    """A tokenizer that would add special tokens."""
    special = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    sequence = {"Sequence": {"id": "A", "type_id": 0}}
    ends = [{"SpecialToken": {"id": token, "type_id": 0}} for token in ("[CLS]", "[SEP]")]
    limit = {"direction": "Right", "max_length": max_length, "strategy": "LongestFirst", "stride": 0}
    return {
        "version": "1.0",
        "truncation": limit if max_length else None,
        "padding": None,
        "added_tokens": [{"id": _VOCABULARY[token], "content": token, **special} for token in _SPECIALS],
        "normalizer": None,
        "pre_tokenizer": {"type": "WhitespaceSplit"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [ends[0], sequence, ends[1]],
            "pair": [sequence, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {
                token: {"id": token, "ids": [_VOCABULARY[token]], "tokens": [token]} for token in ("[CLS]", "[SEP]")
            },
        },
        "decoder": None,
        "model": {"type": "WordLevel", "vocab": _VOCABULARY, "unk_token": "[UNK]"},
    }
