"""Variants and full widths of architectures equal sentence-transformers.

Runs in the reference environment (`make test-compat`).
"""

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer

from embedstack_server.model.model_folder import ModelFolder
from tests.support.graphs import compute, cosines
from tests.support.make_family_references import sharp_model
from tests.support.reference_models import SHARP_TEXTS, SHARP_WORDS

LENGTHS = (1, 2, 511, 512, 690)
TEXTS = [" ".join(np.random.default_rng(length).choice(SHARP_WORDS, length).tolist()) for length in LENGTHS]
VARIANTS = [
    ("modernbert", {"local_attention": 8}),
    ("modernbert", {"local_attention": 9, "layer_types": ["sliding_attention"] * 6}),
    ("modernbert", {"hidden_activation": "silu", "norm_eps": 1e-3}),
    ("qwen3", {"num_key_value_heads": 1}),
    ("qwen3", {"num_key_value_heads": 4}),
    ("qwen3", {"head_dim": 8}),
    ("qwen3", {"rope_parameters": {"rope_type": "linear", "factor": 4.0, "rope_theta": 10000.0}}),
    ("gte", {"hidden_act": "gelu_new"}),
    ("gte", {"type_vocab_size": 2, "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0}}),
]
# The widths of ModernBERT-base, Qwen3-Embedding-0.6B and gte-multilingual-base, with few layers.
FULL_WIDTH = {
    "modernbert": {
        "hidden_size": 768, "num_attention_heads": 12, "intermediate_size": 1152, "num_hidden_layers": 3,
    },
    "qwen3": {
        "hidden_size": 1024, "num_attention_heads": 16, "num_key_value_heads": 8, "head_dim": 128,
        "intermediate_size": 3072, "num_hidden_layers": 2,
    },
    "gte": {"hidden_size": 768, "num_attention_heads": 12, "intermediate_size": 3072, "num_hidden_layers": 3},
}  # fmt: skip


@pytest.mark.parametrize(("family", "changes"), VARIANTS)
def test_variant_equals_sentence_transformers_for_every_token(tmp_path, family, changes):
    folder = sharp_model(family, 1, **changes).write(tmp_path)
    model = SentenceTransformer(str(folder), device="cpu")
    pooled, hidden = compute(folder, TEXTS)
    for text, states, vector in zip(TEXTS, hidden, pooled, strict=True):
        expected = model.encode(text, output_value="token_embeddings", show_progress_bar=False).numpy()
        np.testing.assert_allclose(states, expected, atol=1e-4)
        assert cosines(vector[None], model.encode([text], show_progress_bar=False)).min() > 0.99999


@pytest.mark.parametrize("family", FULL_WIDTH)
def test_full_width_equals_sentence_transformers(tmp_path, family):
    numbers = FULL_WIDTH[family]
    # Ordinary weights, which keep the scale of the activations from layer to layer.
    spread, sharpness = numbers["hidden_size"] ** -0.5, 1 / 1.5**2
    folder = sharp_model(family, 2, spread=spread, sharpness=sharpness, **numbers).write(tmp_path)
    model = SentenceTransformer(str(folder), device="cpu")
    expected = np.stack([model.encode(text, show_progress_bar=False) for text in SHARP_TEXTS])
    assert ModelFolder.read(folder).hidden_size == numbers["hidden_size"]
    lowest = {
        "fp32": cosines(compute(folder, SHARP_TEXTS)[0], expected).min(),
        "bf16": cosines(compute(folder, SHARP_TEXTS, precision="bf16")[0], expected).min(),
        "int8": cosines(compute(folder, SHARP_TEXTS, int8=True)[0], expected).min(),
    }
    assert lowest["fp32"] > 0.9999, lowest
    assert lowest["bf16"] > 0.998, lowest
    assert lowest["int8"] > 0.99, lowest
