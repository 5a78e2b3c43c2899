"""What every backend must do, by both twins."""

import numpy as np
import pytest

from conftest import MINILM
from embedstack.embedders import BedrockEmbedder, FakeEmbedder, LocalEmbedder, OllamaEmbedder, SageMakerEmbedder
from embedstack.errors import InputError
from embedstack.models.model_info import known_model
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


def assert_same(found, wanted):
    assert np.shape(found) == np.shape(wanted)
    np.testing.assert_allclose(found, wanted, atol=5e-3)


def test_vectors_are_of_the_model_in_the_order_of_the_texts(twin, embedder):
    vectors = twin.embed(embedder, TEXTS)
    assert vectors.dtype == np.float32
    assert vectors.shape == (len(TEXTS), embedder.info.dimensions)
    assert_same(twin.embed(embedder, TEXTS[::-1])[::-1], vectors)
    if embedder.info.normalized:
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-3)


def test_a_text_has_the_same_vector_alone_and_in_company(twin, embedder):
    assert_same(twin.embed(embedder, TEXTS[:1])[0], twin.embed(embedder, TEXTS)[0])
    assert_same(twin.embed_documents(embedder, TEXTS[:1]), twin.embed(embedder, TEXTS[:1], "document"))
    assert_same(twin.embed_query(embedder, TEXTS[0]), twin.embed(embedder, TEXTS[:1], "query")[0])


def test_a_stream_gives_what_a_list_gives(twin, embedder):
    assert_same(np.stack(twin.embed_stream(embedder, iter(TEXTS))), twin.embed(embedder, TEXTS))


def test_no_texts_give_no_vectors(twin, embedder):
    assert twin.embed(embedder, []).shape == (0, embedder.info.dimensions)
    assert twin.embed_stream(embedder, []) == []


def test_what_cannot_be_sent_is_listed_and_the_rest_embedded(twin, embedder):
    texts = [TEXTS[0], "", *TEXTS[1:10], None]
    found = twin.embed(embedder, texts, on_error="collect")
    assert [failure.index for failure in found.failures] == [1, 11]
    assert_same(found.vectors, twin.embed(embedder, TEXTS[:10]))


def test_a_text_that_is_too_long_is_refused_alone(twin, backend):
    name, embedder = backend
    if name not in REFUSES_LONG_TEXTS:
        pytest.skip("has no such limit here")
    texts = [*TEXTS[:5], TOO_LONG, *TEXTS[5:10]]
    found = twin.embed(embedder, texts, on_error="collect")
    assert [failure.index for failure in found.failures] == [5]
    assert isinstance(found.failures[0].error, InputError)
    assert_same(found.vectors, twin.embed(embedder, TEXTS[:10]))
    with pytest.raises(InputError) as caught:
        twin.embed(embedder, texts)
    assert caught.value.index == 5


def test_requests_are_counted(twin, embedder):
    embedder.close()  # waits for what an earlier test left under way
    before = embedder.stats()
    twin.embed(embedder, TEXTS[:3])
    after = embedder.stats()
    assert after.texts == before.texts + 3
    assert after.requests > before.requests
    assert after.tokens > before.tokens
    assert after.latency_p50_ms > 0
