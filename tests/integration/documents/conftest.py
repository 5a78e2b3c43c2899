"""Fixtures: both kinds of store, and a fake embedder with the tokenizer of all-MiniLM-L6-v2."""

from collections.abc import Iterator

import pytest

from embedstack.documents import Chunker
from embedstack.documents.ingestion import collection_info
from embedstack.embedders import FakeEmbedder, Limits
from embedstack.models.model_info import ModelInfo
from embedstack.stores import Collection
from tests.integration.stores.conftest import (  # noqa: F401 - fixtures
    _credentials,
    database_url,
    local_aws,
    pgvector,
    s3vectors,
    s3vectors_calls,
    s3vectors_settings,
)

FAKE = ModelInfo("embedstack/fake", dimensions=8, max_tokens=64, pooling="mean")


@pytest.fixture(scope="session")
def chunker(minilm_folder):
    return Chunker(minilm_folder / "tokenizer.json", 24)


@pytest.fixture
def embedder() -> Iterator[FakeEmbedder]:
    with FakeEmbedder(FAKE, limits=Limits(max_items=8, concurrency=2)) as embedder:
        yield embedder


@pytest.fixture(params=["pgvector", "s3vectors"])
def store(request):
    return request.getfixturevalue(request.param)


@pytest.fixture
def collection(store, embedder, chunker) -> Iterator[Collection]:
    opened = store.open(collection_info("documents", embedder, chunker))
    try:
        yield opened
    finally:
        store.drop("documents")
