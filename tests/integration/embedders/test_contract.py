"""What every backend must do, by both twins."""

import numpy as np
import pytest

from conftest import MINILM
from embedstack.embedders import BedrockEmbedder, FakeEmbedder, LocalEmbedder, OllamaEmbedder, SageMakerEmbedder
from embedstack.errors import InputError
from embedstack.models.catalogue import known_model
from embedstack.settings.settings import load_settings
from tests.support.twins import TWINS

ENDPOINTS = ("own", "tei", "toolkit")
TEXTS = [f"sentence number {number} about {'cats' * (number % 7)}" for number in range(40)]
TOO_LONG = "word " * 11_000

BACKENDS = {
    "sagemaker, TEI": lambda aws, url: SageMakerEmbedder(known_model(MINILM), endpoint="tei", settings=aws.settings),
    "sagemaker, own": lambda aws, url: SageMakerEmbedder(known_model(MINILM), endpoint="own", settings=aws.settings),
    "sagemaker, toolkit": lambda aws, url: SageMakerEmbedder(
        known_model(MINILM), endpoint="toolkit", settings=aws.settings, client_pooling="mean"
    ),
    "bedrock, Titan v1": lambda aws, url: BedrockEmbedder("amazon.titan-embed-text-v1", settings=aws.settings),
    "bedrock, Titan v2": lambda aws, url: BedrockEmbedder(
        "amazon.titan-embed-text-v2:0", dimensions=256, settings=aws.settings
    ),
    "bedrock, Nova 2": lambda aws, url: BedrockEmbedder(
        "amazon.nova-2-multimodal-embeddings-v1:0", dimensions=384, settings=aws.settings
    ),
    "bedrock, Cohere v3": lambda aws, url: BedrockEmbedder("cohere.embed-english-v3", settings=aws.settings),
    "bedrock, Cohere v4": lambda aws, url: BedrockEmbedder(
        "us.cohere.embed-v4:0", dimensions=512, settings=aws.settings
    ),
    "ollama": lambda aws, url: OllamaEmbedder(known_model(MINILM), settings=load_settings(ollama_host=url)),
    "local": lambda aws, url: LocalEmbedder(known_model(MINILM)),
    "fake": lambda aws, url: FakeEmbedder(),
}
REFUSES_LONG_TEXTS = set(BACKENDS) - {"fake", "bedrock, Cohere v3", "bedrock, Cohere v4"}


@pytest.fixture(scope="module", params=BACKENDS)
def backend(request, aws, ollama_url):
    with BACKENDS[request.param](aws, ollama_url) as embedder:
        yield request.param, embedder


@pytest.fixture
def embedder(backend):
    return backend[1]


@pytest.fixture(params=TWINS, ids=lambda twin: twin.name)
def twin(request):
    return request.param


def assert_same(result, expected):
    assert np.shape(result) == np.shape(expected)
    np.testing.assert_allclose(result, expected, atol=5e-3)


def test_backend_returns_model_vectors_in_order(twin, embedder):
    vectors = twin.embed(embedder, TEXTS)
    assert vectors.dtype == np.float32
    assert vectors.shape == (len(TEXTS), embedder.info.dimensions)
    assert_same(twin.embed(embedder, TEXTS[::-1])[::-1], vectors)
    if embedder.info.normalized:
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-3)


def test_vector_does_not_depend_on_the_batch(twin, embedder):
    assert_same(twin.embed(embedder, TEXTS[:1])[0], twin.embed(embedder, TEXTS)[0])
    assert_same(twin.embed_documents(embedder, TEXTS[:1]), twin.embed(embedder, TEXTS[:1], "document"))
    assert_same(twin.embed_query(embedder, TEXTS[0]), twin.embed(embedder, TEXTS[:1], "query")[0])


def test_stream_equals_list(twin, embedder):
    assert_same(np.stack(twin.embed_stream(embedder, iter(TEXTS))), twin.embed(embedder, TEXTS))


def test_embed_of_no_texts_returns_no_vectors(twin, embedder):
    assert twin.embed(embedder, []).shape == (0, embedder.info.dimensions)
    assert twin.embed_stream(embedder, []) == []


def test_invalid_texts_are_listed_and_others_embedded(twin, embedder):
    texts = [TEXTS[0], "", *TEXTS[1:10], None]
    result = twin.embed(embedder, texts, on_error="collect")
    assert [failure.index for failure in result.failures] == [1, 11]
    assert_same(result.vectors, twin.embed(embedder, TEXTS[:10]))


def test_too_long_text_is_rejected_alone(twin, backend):
    name, embedder = backend
    if name not in REFUSES_LONG_TEXTS:
        pytest.skip("has no such limit here")
    texts = [*TEXTS[:5], TOO_LONG, *TEXTS[5:10]]
    result = twin.embed(embedder, texts, on_error="collect")
    assert [failure.index for failure in result.failures] == [5]
    assert isinstance(result.failures[0].error, InputError)
    assert_same(result.vectors, twin.embed(embedder, TEXTS[:10]))
    with pytest.raises(InputError) as caught:
        twin.embed(embedder, texts)
    assert caught.value.index == 5


def test_backend_counts_requests(twin, embedder):
    embedder.close()  # waits for what an earlier test left under way
    before = embedder.stats()
    twin.embed(embedder, TEXTS[:3])
    after = embedder.stats()
    assert after.texts == before.texts + 3
    assert after.requests > before.requests
    assert after.tokens > before.tokens
    assert after.latency_p50_ms > 0
