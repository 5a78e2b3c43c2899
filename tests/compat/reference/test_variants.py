"""Variants of architectures equal sentence-transformers.

Runs in the reference environment (`make test-compat`).
"""

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer

from tests.support.graphs import compute, cosines
from tests.support.make_family_references import sharp_model
from tests.support.reference_models import SHARP_WORDS

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


@pytest.mark.parametrize(("family", "changes"), VARIANTS)
def test_variant_equals_sentence_transformers_for_every_token(tmp_path, family, changes):
    folder = sharp_model(family, 1, **changes).write(tmp_path)
    model = SentenceTransformer(str(folder), device="cpu")
    pooled, hidden = compute(folder, TEXTS)
    for text, states, vector in zip(TEXTS, hidden, pooled, strict=True):
        expected = model.encode(text, output_value="token_embeddings", show_progress_bar=False).numpy()
        np.testing.assert_allclose(states, expected, atol=1e-4)
        assert cosines(vector[None], model.encode([text], show_progress_bar=False)).min() > 0.99999
