"""The in-process backend on a torch device, held to the same contract and the same golden vectors as the others.

Runs in the reference environment (`make test-compat`).
"""

import numpy as np
import pytest

from embedstack import load_embedder
from embedstack.embedders import LocalEmbedder
from embedstack.errors import ConfigurationError, TextTooLong
from embedstack.models.golden import golden_texts, golden_vectors
from embedstack.models.model_info import known_model
from embedstack.settings.settings import load_settings
from tests.support.twins import TWINS

MINILM = "sentence-transformers/all-MiniLM-L6-v2"


@pytest.fixture(scope="module")
def embedder():
    # Torch's own computation on the processor, which needs no GPU.
    settings = load_settings(embedding_device="cpu:0", embedding_local_batch_size=16)
    with LocalEmbedder(known_model(MINILM), settings=settings, truncate=True) as found:
        yield found


@pytest.fixture(params=TWINS, ids=lambda twin: twin.name)
def twin(request):
    return request.param


def test_its_vectors_are_the_references(embedder, twin):
    vectors, wanted = twin.embed(embedder, golden_texts()), golden_vectors(MINILM)
    assert vectors.dtype == np.float32
    assert (vectors * wanted).sum(axis=1).min() > 0.99999
    assert type(embedder._encoder.get()._engine).__name__ == "SentenceTransformersEngine"


def test_a_stream_and_a_text_alone_give_the_same(embedder, twin):
    texts = golden_texts()[:20]
    vectors = twin.embed(embedder, texts)
    np.testing.assert_allclose(np.stack(twin.embed_stream(embedder, iter(texts))), vectors, atol=1e-5)
    np.testing.assert_allclose(twin.embed_query(embedder, texts[3]), vectors[3], atol=1e-5)


def test_what_cannot_be_embedded_is_listed_and_the_rest_embedded(twin):
    with LocalEmbedder(known_model(MINILM), device="cpu:0") as strict:
        found = twin.embed(strict, ["a cat", "", "word " * 1000, "a dog"], on_error="collect")
        assert [failure.index for failure in found.failures] == [1, 2]
        assert isinstance(found.failures[1].error, TextTooLong)
        np.testing.assert_allclose(found.vectors, twin.embed(strict, ["a cat", "a dog"]), atol=1e-5)


def test_the_environment_chooses_the_device(monkeypatch):
    monkeypatch.setenv("EMBEDDING_BACKEND", "local")
    monkeypatch.setenv("EMBEDDING_DEVICE", "cpu:0")
    with load_embedder(embedstack_cache_mb=0) as found:
        assert found.embed_query("a cat").shape == (384,)
    monkeypatch.setenv("EMBEDDING_DEVICE", "nonsense")
    with load_embedder(embedstack_cache_mb=0) as found, pytest.raises(ConfigurationError, match="nonsense"):
        found.embed_query("a cat")
