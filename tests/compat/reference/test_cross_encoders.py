"""Scores equal those of sentence-transformers' CrossEncoder, and packages are compared with it.

Runs in the reference environment (`make test-compat`).
"""

import numpy as np
import pytest
import torch
from sentence_transformers import CrossEncoder as Reference

from embedstack_server import packaging
from embedstack_server.compute.cross_encoder import CrossEncoder
from embedstack_server.packaging import make_package
from tests.support.reference_models import LONGEST, ReferenceModel

WORDS = ("the", "cat", "sat", "on", "mat", "dog", "ran", "far", "unheard", "[SEP]", "</s>")


@pytest.fixture(params=["bert", "gte", "modernbert", "mpnet", "roberta"])
def folder(request, tmp_path):
    return ReferenceModel.load(f"cross-{request.param}").write(tmp_path / "model")


def test_scores_of_random_pairs_equal_sentence_transformers(folder):
    random = np.random.default_rng(0)
    query = "the cat ran"
    texts = [" ".join(random.choice(WORDS, length)) for length in random.integers(1, 2 * LONGEST, 40)]
    reference = Reference(str(folder), device="cpu")
    reference.tokenizer.truncation_side = "right"
    model = CrossEncoder.load(folder, precision="fp32")
    for pairs, scores in (
        ([(query, text) for text in texts], model.score(query, texts)),
        ([(texts[0], text) for text in texts], model.score(texts[0], texts)),
    ):
        logits = reference.predict(pairs, activation_fn=torch.nn.Identity(), show_progress_bar=False)
        np.testing.assert_allclose(scores.values(raw=True), logits, atol=5e-5)
        np.testing.assert_allclose(scores.values(), reference.predict(pairs, show_progress_bar=False), atol=5e-5)
    model.close()


def test_packaged_reranker_is_compared_with_sentence_transformers(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(packaging, "_download", lambda python: ())
    package = make_package(folder, tmp_path / "model.tar.gz", model_id="test/reranker", precision="fp32")
    assert (package.manifest.reference or "").startswith("sentence-transformers ")
    assert (package.manifest.determination or 0) > 0.9999
