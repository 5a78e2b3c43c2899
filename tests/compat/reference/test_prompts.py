"""Prompts are applied as by sentence-transformers, and packages are compared with it.

Runs in the reference environment (`make test-compat`).
"""

import json
import sys

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer

from embedstack_server import packaging
from embedstack_server.compute.encoder import Encoder
from tests.support.reference_models import TEXTS, ReferenceModel

PROMPTS = {"query": "the dog ran ", "document": "", "clustering": "far far "}


@pytest.fixture(params=["query", "document", "clustering", None])
def folder(request, tmp_path):
    folder = ReferenceModel.load("bert").write(tmp_path)
    config = {"prompts": PROMPTS, "default_prompt_name": request.param}
    (folder / "config_sentence_transformers.json").write_text(json.dumps(config))
    return folder


@pytest.mark.parametrize("options", [{}, {"prompt_name": "query"}, {"prompt_name": "document"}, {"prompt": "cat "}])
def test_prompts_equal_sentence_transformers(folder, options):
    model = SentenceTransformer(str(folder), device="cpu")
    expected = model.encode(TEXTS, batch_size=1, normalize_embeddings=True, show_progress_bar=False, **options)
    with_torch = Encoder.load(folder, device="cpu:0")
    for encoder in (Encoder.load(folder, precision="fp32"), with_torch):
        np.testing.assert_allclose(encoder.encode(TEXTS, **options).vectors(), expected, atol=2e-5)


@pytest.mark.parametrize("pooling", ["mean", "cls", "max", "mean_sqrt_len_tokens", "lasttoken"])
def test_pooling_without_the_prompt_equals_sentence_transformers(tmp_path, pooling):
    settings = {"embedding_dimension": 32, "pooling_mode": pooling, "include_prompt": False}
    folder = ReferenceModel.load("bert").write(tmp_path, pooling=settings)
    model = SentenceTransformer(str(folder), device="cpu")
    encoder = Encoder.load(folder, precision="fp32")
    for prompt in ("the dog ran ", "far "):
        expected = model.encode(TEXTS, batch_size=1, normalize_embeddings=True, show_progress_bar=False, prompt=prompt)
        np.testing.assert_allclose(encoder.encode(TEXTS, prompt=prompt).vectors(), expected, atol=2e-5)
    encoder.close()


def test_package_is_compared_with_sentence_transformers(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(packaging, "_VENDORED", ())
    monkeypatch.setattr(packaging, "_download", lambda python: ())
    (tmp_path / "out").mkdir()
    package = packaging.make_package(
        folder, tmp_path / "out/model.tar.gz", model_id="test/bert", precision="fp32", python=sys.version[:4]
    )
    assert (package.manifest.reference or "").startswith("sentence-transformers ")
    assert (package.manifest.cosine or 0) > 0.9999
