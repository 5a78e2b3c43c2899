"""Each setting has its effect, and the layers are in their order."""

import base64
import logging
from importlib.metadata import EntryPoint

import numpy as np
import pytest

import embedstack
from embedstack import factory, load_embedder
from embedstack.cache.cached_embedder import CachedEmbedder
from embedstack.embedders import (
    BedrockEmbedder,
    EmbedderMiddleware,
    FakeEmbedder,
    LocalEmbedder,
    OllamaEmbedder,
    SageMakerEmbedder,
)
from embedstack.embedders.fake import fake_vector
from embedstack.errors import ConfigurationError
from embedstack.resilience import (
    CircuitBreakerEmbedder,
    DeadlineEmbedder,
    FallbackEmbedder,
    RateLimitedEmbedder,
    RetryingEmbedder,
)
from embedstack.settings.settings import load_settings


@pytest.fixture(autouse=True)
def _empty_environment(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AWS_REGION", "us-east-1")


def layers(embedder):
    result = [type(embedder)]
    while isinstance(embedder, EmbedderMiddleware):
        embedder = embedder.inner
        result.append(type(embedder))
    return result


def test_load_embedder_composes_layers_in_order(tmp_path):
    with load_embedder(
        embedding_backend="fake",
        embedding_fallbacks="fake",
        embedding_deadline_seconds=10,
        embedding_texts_per_second=1e6,
        embedstack_cache_file=tmp_path / "cache.db",
    ) as embedder:
        assert layers(embedder) == [
            DeadlineEmbedder, CachedEmbedder, FallbackEmbedder, CircuitBreakerEmbedder, RateLimitedEmbedder,
            RetryingEmbedder, FakeEmbedder,
        ]  # fmt: skip
        texts = [str(number % 10) for number in range(100)]
        np.testing.assert_array_equal(embedder.embed(texts), [fake_vector(text, 8) for text in texts])
        assert embedder.stats().cache_hits == 90


@pytest.mark.parametrize(
    ("backend", "kind"),
    [
        ("sagemaker", SageMakerEmbedder),
        ("bedrock", BedrockEmbedder),
        ("ollama", OllamaEmbedder),
        ("local", LocalEmbedder),
        ("sentence-transformers", LocalEmbedder),
        ("fake", FakeEmbedder),
    ],
)
def test_load_embedder_reads_the_backend_from_the_environment(monkeypatch, backend, kind):
    monkeypatch.setenv("EMBEDDING_BACKEND", backend)
    monkeypatch.setenv("SAGEMAKER_ENDPOINT", "e")
    with load_embedder(embedstack_cache_mb=0) as embedder:
        assert layers(embedder) == [CircuitBreakerEmbedder, RetryingEmbedder, kind]


def test_load_embedder_passes_settings_to_the_backend(monkeypatch):
    monkeypatch.setenv("EMBEDDING_BACKEND", "bedrock")
    monkeypatch.setenv("EMBEDDING_DIMENSIONS", "256")
    monkeypatch.setenv("EMBEDDING_CONCURRENCY", "3")
    with load_embedder() as embedder:
        assert embedder.info.dimensions == 256
    with load_embedder(load_settings(), embedstack_cache_mb=0) as embedder:
        assert embedder.limits.concurrency == 3


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"embedding_backend": "nonsense"}, "Unknown backend 'nonsense' in EMBEDDING_BACKEND. Backends: sagemaker"),
        ({"embedding_backend": "sagemaker"}, "set SAGEMAKER_ENDPOINT"),
        ({"embedding_backend": "local", "embedding_dimensions": 128}, "384 dimensions, not 128"),
        ({"embedding_backend": "local", "embedding_model": "a/b"}, "a/b is not on this machine"),
        ({"embedding_backend": "local", "embedding_model": "baai/bge-m3"}, "Did you mean BAAI/bge-m3"),
        ({"embedding_backend": "local", "embedding_model": "BAAI/bge-m3"}, "is not on this machine"),
        ({"embedding_backend": "fake", "embedding_fallbacks": "bedrock"}, "cannot be a fallback for embedstack/fake"),
    ],
)
def test_load_embedder_rejects_invalid_combinations(monkeypatch, settings, message):
    monkeypatch.delenv("SAGEMAKER_ENDPOINT", raising=False)
    with pytest.raises(ConfigurationError, match=message):
        load_embedder(**settings)


@pytest.mark.parametrize("backend", ["bedrock", "local"])
def test_configured_prompts_reach_the_backend(backend):
    settings = load_settings(embedding_query_prompt="q: ", embedding_document_prompt="")
    with load_embedder(settings, embedding_backend=backend) as embedder:
        assert (embedder.prompt("query", None), embedder.prompt("document", None)) == ("q: ", "")
        assert {"query", "document"} <= embedder.prompts.keys()


def test_load_embedder_validates_overrides(tmp_path):
    settings = load_settings(embedding_backend="fake")
    for given in (settings, None):
        with pytest.raises(ConfigurationError, match="EMBEDDING_CONCURRENCY"):
            load_embedder(given, embedding_backend="fake", embedding_concurrency=0)
        with pytest.raises(ConfigurationError, match="Did you mean embedding_backend"):
            load_embedder(given, embeddings_backend="fake")
    with load_embedder(settings, embedstack_cache_mb="0") as embedder:
        assert layers(embedder) == [CircuitBreakerEmbedder, RetryingEmbedder, FakeEmbedder]
    (tmp_path / "e.yaml").write_text("embedding_backend: fake\nembedstack_cache_mb: 0")
    with load_embedder(embedstack_config=tmp_path / "e.yaml") as embedder:
        assert layers(embedder) == [CircuitBreakerEmbedder, RetryingEmbedder, FakeEmbedder]


def test_load_embedder_uses_the_configured_revision():
    revision = "5617a9f61b028005a4858fdac845db406aefb181"
    settings = load_settings(sagemaker_endpoint="e", aws_region="eu-west-1")
    with load_embedder(settings, embedding_model_revision=revision) as pinned, load_embedder(settings) as other:
        assert (pinned.info.revision, other.info.revision) == (revision, None)


def test_load_embedder_supports_entry_points(monkeypatch):
    point = EntryPoint("theirs", "embedstack.embedders:FakeEmbedder", factory.ENTRY_POINTS)
    monkeypatch.setattr(EntryPoint, "load", lambda self: lambda settings: FakeEmbedder())
    monkeypatch.setattr(factory, "entry_points", lambda group: [point] if group == "embedstack.embedders" else [])
    with load_embedder(embedding_backend="theirs", embedstack_cache_mb=0) as embedder:
        assert layers(embedder)[-1] is FakeEmbedder


def test_entry_point_must_return_an_embedder(monkeypatch):
    point = EntryPoint("theirs", "builtins:repr", factory.ENTRY_POINTS)
    monkeypatch.setattr(factory, "entry_points", lambda group: [point])
    with pytest.raises(ConfigurationError, match="returned a str, not an Embedder"):
        load_embedder(embedding_backend="theirs")


def test_cache_key_is_not_shown_in_errors():
    key = base64.b64encode(bytes(32)).decode()
    assert key not in repr(load_settings(embedstack_cache_key=key))


def test_package_exports_lazy_names():
    assert all(hasattr(embedstack, name) for name in embedstack.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        embedstack.nonsense  # noqa: B018 - the access is what is tested


def test_cache_logs_no_text_vector_or_key(caplog, tmp_path, monkeypatch):
    text = "my secret is Rumpelstiltskin"
    key = base64.b64encode(b"K" * 32).decode()
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "topsecretkey")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "someone")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    for package in ("embedstack", "embedstack_server"):
        caplog.set_level(logging.DEBUG, logger=package)
    with load_embedder(
        embedding_backend="local", embedstack_cache_file=tmp_path / "cache.db", embedstack_cache_key=key
    ) as embedder:
        vector = embedder.embed_query(text)
        embedder.embed([text, "", "word " * 1000], on_error="collect")
    logged = "\n".join(f"{record.getMessage()} {record.args} {record.exc_info}" for record in caplog.records)
    assert caplog.records, "something is logged, so that there is something to look at"
    for secret in ("Rumpelstiltskin", key, "topsecretkey", *(f"{component:.4f}" for component in vector[:5])):
        assert secret not in logged
