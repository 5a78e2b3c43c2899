"""Models of the width of released ones, with few layers, equal sentence-transformers, also in bf16 and int8.

Runs in the reference environment (`make test-compat`). The norms' scales have outlier channels, as in released models.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from sentence_transformers import SentenceTransformer

from tests.support.graphs import compute, cosines
from tests.support.make_family_references import (
    write_gemma3,
    write_gte,
    write_modernbert,
    write_nomic_bert,
    write_qwen3,
    write_t5,
)
from tests.support.reference_models import SHARP_TEXTS

# ModernBERT-base; Qwen3-Embedding-0.6B; gte-multilingual-base; EmbeddingGemma, with one global layer of four; Nomic
# Embed v1.5; sentence-t5-base and gtr-t5-base; flan-t5-base.
MODERNBERT = {"hidden_size": 768, "intermediate_size": 1152, "num_hidden_layers": 3, "num_attention_heads": 12}
QWEN3 = {
    "hidden_size": 1024, "intermediate_size": 3072, "num_hidden_layers": 2, "num_attention_heads": 16,
    "num_key_value_heads": 8, "head_dim": 128,
}  # fmt: skip
GTE = {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 3, "num_attention_heads": 12}
GEMMA = {
    "hidden_size": 768, "intermediate_size": 1152, "num_hidden_layers": 4, "num_attention_heads": 3,
    "num_key_value_heads": 1, "head_dim": 256, "query_pre_attn_scalar": 256, "sliding_window": 512,
    "layer_types": ["sliding_attention", "full_attention", "sliding_attention", "sliding_attention"],
}  # fmt: skip
NOMIC = {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 3, "num_attention_heads": 12}
T5 = {"d_model": 768, "d_kv": 64, "d_ff": 3072, "num_layers": 3, "num_heads": 12}
GATED_T5 = {**T5, "d_ff": 2048, "feed_forward_proj": "gated-gelu"}
MODELS: dict[str, tuple[Callable[..., None], dict[str, Any], float]] = {
    "modernbert": (write_modernbert, MODERNBERT, 0),
    "qwen3": (write_qwen3, QWEN3, 0),
    "gte": (write_gte, GTE, 0),
    "gemma3": (write_gemma3, GEMMA, -1),
    "nomic-bert": (write_nomic_bert, NOMIC, 0),
    "t5": (write_t5, T5, 0),
    "t5-gated": (write_t5, GATED_T5, 0),
}


@pytest.fixture(scope="module", params=MODELS)
def model(request, tmp_path_factory):
    """A model's folder and its vectors by sentence-transformers."""
    write, numbers, scale_offset = MODELS[request.param]
    folder = tmp_path_factory.mktemp(request.param) / "model"
    write(folder, **numbers)
    weights = load_file(folder / "model.safetensors")
    random = np.random.default_rng(1)
    for name, tensor in weights.items():
        if tensor.ndim == 1 and name.endswith("weight"):
            scale = random.uniform(0.5, 1.5, tensor.shape)
            scale[random.choice(len(scale), 3, replace=False)] *= 8
            weights[name] = (scale + scale_offset).astype(np.float32)
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    reference = SentenceTransformer(str(folder), device="cpu")
    vectors = np.stack([reference.encode(text, show_progress_bar=False) for text in SHARP_TEXTS])
    return request.param, folder, vectors


@pytest.mark.parametrize(
    ("options", "lowest"), [({}, 0.999999), ({"precision": "bf16"}, 0.998), ({"int8": True}, 0.998)],
    ids=["fp32", "bf16", "int8"],
)  # fmt: skip
def test_full_width_model_equals_sentence_transformers(model, options, lowest):
    name, folder, expected = model
    pooled, _ = compute(folder, SHARP_TEXTS, **options)
    worst = float(cosines(pooled, expected).min())
    print(f"{name} {options}: lowest cosine {worst:.6f}")
    assert worst >= lowest
