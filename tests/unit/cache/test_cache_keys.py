"""Everything that changes a vector is part of a cache key: every argument of every embedder is on one of two lists."""

import functools
import inspect
import os
from dataclasses import fields, replace
from typing import Any

import boto3
import numpy as np
import pytest

from embedstack import load_embedder
from embedstack.cache.cached_embedder import CachedEmbedder, MemoryCache, SqliteCache
from embedstack.embedders import (
    BedrockEmbedder,
    FakeEmbedder,
    Limits,
    LocalEmbedder,
    OllamaEmbedder,
    Price,
    SageMakerEmbedder,
)
from embedstack.embedders.fake import FAKE_MODEL, fake_vector
from embedstack.embedders.sagemaker.async_embedder import AsyncEmbedder, AsyncEndpoint
from embedstack.errors import InputError, PayloadTooLarge, TextTooLong
from embedstack.models.catalogue import known_model
from embedstack.models.model_info import ModelInfo
from embedstack.resilience import (
    CircuitBreakerEmbedder,
    DeadlineEmbedder,
    FallbackEmbedder,
    RateLimit,
    RateLimitedEmbedder,
    RetryingEmbedder,
)
from embedstack.settings.settings import load_settings

MODEL = ModelInfo("org/model", dimensions=8, max_tokens=64, pooling="mean", matryoshka_dimensions=(4,))
OTHER = replace(MODEL, revision="0123abc")
SETTINGS = load_settings(aws_region="us-east-1", sagemaker_endpoint="e")
COHERE = "cohere.embed-v4:0"


@pytest.fixture
def folders(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.safetensors").write_text(name + "x" * (name == "two"))
    return tmp_path


@functools.cache
def kinds():
    """For each backend its class, arguments, those that change a vector, and those that do not."""
    return {
        "sagemaker": (
            SageMakerEmbedder,
            {"model": MODEL, "settings": SETTINGS},
            {
                "model": OTHER,
                "endpoint": "other",
                "settings": load_settings(aws_region="eu-west-1", sagemaker_endpoint="e"),
                "truncate": True,
                "client_pooling": "mean",
                "target_variant": "b",
                "inference_component": "c",
                "prompts": {"query": "part of the text, and instead of the model's default: "},
            },
            {
                "limits": Limits(max_items=3),
                "price": Price(per_request=1),
                "session": boto3.Session(region_name="us-east-1"),
            },
        ),
        "bedrock": (
            BedrockEmbedder,
            {"model_id": COHERE, "settings": SETTINGS},
            {
                "model_id": "cohere.embed-english-v3",
                "dimensions": 512,
                "settings": load_settings(aws_region="us-east-1", aws_endpoint_url="http://127.0.0.1:9"),
                "truncate": True,
                "prompts": {"query": "part of the text: "},
            },
            {"concurrency": 3, "price": Price(per_request=1), "session": boto3.Session(region_name="us-east-1")},
        ),
        "ollama": (
            OllamaEmbedder,
            {"model": MODEL, "settings": SETTINGS},
            {
                "model": MODEL.shortened(4),
                "name": "other",
                "settings": load_settings(ollama_host="http://127.0.0.1:9"),
                "truncate": True,
            },
            {"limits": Limits(max_items=3)},
        ),
        "fake": (
            FakeEmbedder,
            {},
            {"info": OTHER},
            {"limits": Limits(max_items=3), "price": Price(per_request=1), "fault": lambda texts: None},
        ),
        "async endpoint": (
            AsyncEmbedder,
            {"model": MODEL, "endpoint": AsyncEndpoint("e", SETTINGS, wait_seconds=1), "truncate": False},
            {
                "model": OTHER,
                "endpoint": AsyncEndpoint("other", SETTINGS, wait_seconds=1),
                "truncate": True,
                "prompts": {"query": "part of the text: "},
            },
            {"limits": Limits(max_items=3)},
        ),
    }


@pytest.mark.parametrize("kind", ["sagemaker", "bedrock", "ollama", "fake", "async endpoint"])
def test_cache_key_covers_every_embedder_argument(kind):
    embedder, arguments, changing, neutral = kinds()[kind]
    names = set(inspect.signature(embedder).parameters)
    assert names == changing.keys() | neutral.keys(), "a new argument belongs on one of the lists"

    def identity(**changes):
        with embedder(**{**arguments, **changes}) as made:
            return made.vector_identity()

    first = identity()
    for name, value in changing.items():
        assert identity(**{name: value}) != first, name
    for name, value in neutral.items():
        assert identity(**{name: value}) == first, name


def test_cache_key_covers_files_of_a_local_model(folders):
    def identity(folder="one", **options):
        with LocalEmbedder(MODEL, folder=folders / folder, settings=SETTINGS, **options) as embedder:
            return embedder.vector_identity()

    assert set(inspect.signature(LocalEmbedder).parameters) == {"model", "folder", "device", "settings", "truncate"}
    first = identity()
    assert identity() == first
    assert identity("two") != first
    assert identity(device="cuda") != first
    assert identity(truncate=True) != first
    os.utime(folders / "one" / "model.safetensors", (1, 1))
    assert identity() != first, "other weights may have come in the same place"


CHANGES: dict[str, Any] = {
    "model_id": "org/other", "dimensions": 4, "max_tokens": 65, "pooling": "cls", "normalized": False,
    "revision": "0123abc", "shortened_from": 16,
    "prompts": {"query": "part of the text, and instead of the model's default: "},
}  # fmt: skip
NEUTRAL: dict[str, Any] = {
    "matryoshka_dimensions": (), "kind": "reranker", "architecture": "bert", "license": "mit",
    "non_commercial": True, "uses_prompts": True,
}  # fmt: skip


def test_cache_key_covers_every_fact_of_a_model():
    assert {field.name for field in fields(ModelInfo)} == CHANGES.keys() | NEUTRAL.keys()
    key = CachedEmbedder(FakeEmbedder(MODEL)).key("text", "document")
    for name, value in CHANGES.items():
        assert CachedEmbedder(FakeEmbedder(replace(MODEL, **{name: value}))).key("text", "document") != key, name
    for name, value in NEUTRAL.items():
        assert CachedEmbedder(FakeEmbedder(replace(MODEL, **{name: value}))).key("text", "document") == key, name


def test_middleware_keeps_the_cache_key_and_fallback_changes_it():
    backend = FakeEmbedder(MODEL)
    key = CachedEmbedder(backend).key("text", "document")
    for wrapped in (
        RetryingEmbedder(backend),
        RateLimitedEmbedder(backend, RateLimit()),
        CircuitBreakerEmbedder(backend),
        DeadlineEmbedder(backend, 1),
        CachedEmbedder(backend),
    ):
        assert CachedEmbedder(wrapped).key("text", "document") == key
    other = FallbackEmbedder(backend, FakeEmbedder(replace(MODEL, model_id="other")), allow_other_model=True)
    assert CachedEmbedder(other).key("text", "document") != key


# Accents in one and in two code points, three kinds of Å, zeros, halves of a surrogate pair, a byte order mark.
ODD_TEXTS = [
    "\u00e9", "e\u0301", "\u00c5", "A\u030a", "\u212b", "a\0b", "a", "\0", "a\0", "\ud800", "\udfff", "?", "\ufeffa",
]  # fmt: skip


def test_cache_key_differs_for_different_texts():
    embedder = CachedEmbedder(FakeEmbedder())
    keys = [embedder.key(text, kind) for text in ODD_TEXTS for kind in ("query", "document")]
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize(
    "pair",
    [
        ({"model_id": "a\0b", "revision": "c"}, {"model_id": "a", "revision": "b\0c"}),
        ({"model_id": "None", "revision": None}, {"model_id": "None", "revision": "None"}),
    ],
)
def test_cache_key_separates_adjacent_facts(pair):
    keys = {CachedEmbedder(FakeEmbedder(replace(MODEL, **facts))).key("text", "document") for facts in pair}
    assert len(keys) == 2


class Cutting(FakeEmbedder):
    """Refuses or cuts texts of more than ten characters."""

    def __init__(self, *, truncate):
        super().__init__()
        self._truncate = truncate

    def vector_identity(self):
        return {**super().vector_identity(), "truncate": self._truncate}

    def embed_batch(self, texts, kind):
        if not self._truncate and any(len(text) > 10 for text in texts):
            raise TextTooLong("too long", index=next(i for i, text in enumerate(texts) if len(text) > 10))
        return super().embed_batch([text[:10] for text in texts], kind)


def test_truncated_text_is_a_miss_without_truncation(tmp_path):
    file = tmp_path / "cache.db"
    with CachedEmbedder(Cutting(truncate=True), SqliteCache(file)) as cutting:
        np.testing.assert_array_equal(cutting.embed(["a long text indeed"])[0], fake_vector("a long tex", 8))
    with CachedEmbedder(Cutting(truncate=False), SqliteCache(file)) as refusing:
        with pytest.raises(TextTooLong):
            refusing.embed(["a long text indeed"])
        result = refusing.embed(["a long text indeed", "short"], on_error="collect")
        assert [failure.index for failure in result.failures] == [0]


def test_rejected_text_is_rejected_despite_a_cached_vector(tmp_path):
    cache = MemoryCache()
    text = "x" * 100
    CachedEmbedder(FakeEmbedder(), cache).embed([text])
    with CachedEmbedder(FakeEmbedder(limits=Limits(max_bytes=50)), cache) as smaller:
        with pytest.raises(PayloadTooLarge):
            smaller.embed([text])
        with pytest.raises(InputError):
            smaller.embed([""])


def test_truncation_settings_share_no_entries_of_a_file(monkeypatch, tmp_path):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    keys = set()
    for truncate in (False, True):
        with load_embedder(SETTINGS, embedding_truncate=truncate, embedstack_cache_file=tmp_path / "c.db") as embedder:
            assert isinstance(embedder, CachedEmbedder)
            keys.add(embedder.key("text", "document"))
    assert len(keys) == 2


def test_cache_key_covers_the_context_prompt():
    model = replace(FAKE_MODEL, prompts={"query": "query: "})
    backend, cache = FakeEmbedder(model), MemoryCache()
    with CachedEmbedder(backend, cache) as embedder:
        embedder.embed_query("x")
        embedder.embed_query("x", context="code")
        embedder.embed_documents(["x"])
    with CachedEmbedder(FakeEmbedder(replace(model, prompts={"query": "search: "})), cache) as other:
        np.testing.assert_array_equal(other.embed_query("x"), fake_vector("search: x", 8))
    assert backend.requests == [["query: x"], ["query: Code: x"], ["x"]]


def test_cache_key_differs_for_known_models():
    ids = ("sentence-transformers/all-MiniLM-L6-v2", "BAAI/bge-m3")
    assert len({CachedEmbedder(FakeEmbedder(known_model(name))).key("x", "query") for name in ids}) == 2
