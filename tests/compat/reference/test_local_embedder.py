"""The local backend on a torch device: the same contract and golden vectors as for other backends.

Runs in the reference environment (`make test-compat`).
"""

import numpy as np
import pytest

from embedstack import load_embedder
from embedstack.embedders import LocalEmbedder
from embedstack.errors import ConfigurationError, TextTooLong
from embedstack.models.catalogue import known_model
from embedstack.models.golden import golden_texts
from embedstack.settings.settings import load_settings
from tests.support.golden import minilm_golden
from tests.support.twins import TWINS

MINILM = "sentence-transformers/all-MiniLM-L6-v2"


@pytest.fixture(scope="module")
def embedder():
    # A device name other than "cpu" selects torch; this one needs no GPU.
    settings = load_settings(embedding_device="cpu:0", embedding_local_batch_size=16)
    with LocalEmbedder(known_model(MINILM), settings=settings, truncate=True) as embedder:
        yield embedder


@pytest.fixture(params=TWINS, ids=lambda twin: twin.name)
def twin(request):
    return request.param


def test_local_embedder_on_torch_equals_the_golden_vectors(embedder, twin):
    vectors, expected = twin.embed(embedder, golden_texts()), minilm_golden()
    assert vectors.dtype == np.float32
    assert (vectors * expected).sum(axis=1).min() > 0.99999
    assert type(embedder._encoder.get()._runner._engine).__name__ == "SentenceTransformersEngine"


def test_local_embedder_on_torch_streams_the_same_vectors(embedder, twin):
    texts = golden_texts()[:20]
    vectors = twin.embed(embedder, texts)
    np.testing.assert_allclose(np.stack(twin.embed_stream(embedder, iter(texts))), vectors, atol=1e-5)
    np.testing.assert_allclose(twin.embed_query(embedder, texts[3]), vectors[3], atol=1e-5)


def test_local_embedder_on_torch_collects_failures(twin):
    with LocalEmbedder(known_model(MINILM), device="cpu:0") as strict:
        result = twin.embed(strict, ["a cat", "", "word " * 1000, "a dog"], on_error="collect")
        assert [failure.index for failure in result.failures] == [1, 2]
        assert isinstance(result.failures[1].error, TextTooLong)
        np.testing.assert_allclose(result.vectors, twin.embed(strict, ["a cat", "a dog"]), atol=1e-5)


def test_local_embedder_reads_the_device_from_the_environment(monkeypatch):
    monkeypatch.setenv("EMBEDDING_BACKEND", "local")
    monkeypatch.setenv("EMBEDDING_DEVICE", "cpu:0")
    with load_embedder(embedstack_cache_mb=0) as embedder:
        assert embedder.embed_query("a cat").shape == (384,)
    monkeypatch.setenv("EMBEDDING_DEVICE", "nonsense")
    with load_embedder(embedstack_cache_mb=0) as embedder, pytest.raises(ConfigurationError, match="nonsense"):
        embedder.embed_query("a cat")
