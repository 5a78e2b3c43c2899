"""What LangChain asks of an Embeddings class, and the complaints about its own SageMaker one."""

import asyncio
import copy
import pickle

import pytest
from langchain_core.embeddings import Embeddings
from langchain_core.vectorstores import InMemoryVectorStore

from embedstack.embedders import FakeEmbedder
from embedstack.integrations.langchain import EmbedStackEmbeddings
from embedstack.models.model_info import ModelInfo

MODEL = ModelInfo(
    "m", dimensions=8, max_tokens=9, pooling="mean", prompts={"query": "query: ", "document": "passage: "}
)


@pytest.fixture
def backend():
    with FakeEmbedder(MODEL) as embedder:
        yield embedder


@pytest.fixture
def model(backend):
    return EmbedStackEmbeddings(backend)


def test_langchain_adapter_returns_plain_floats(model):
    assert isinstance(model, Embeddings)
    query, documents = model.embed_query("foo"), model.embed_documents(["foo", "bar\nbaz"])
    assert [len(vector) for vector in (query, *documents)] == [8, 8, 8]
    assert all(type(component) is float for vector in (query, *documents) for component in vector)


def test_langchain_adapter_async_equals_sync(model):
    assert asyncio.run(model.aembed_query("foo")) == model.embed_query("foo")
    assert asyncio.run(model.aembed_documents(["foo", "bar"])) == model.embed_documents(["foo", "bar"])


def test_langchain_adapter_passes_texts_with_their_kind(model, backend):
    model.embed_documents(["two\nlines"])
    model.embed_query("two\nlines")
    asyncio.run(model.aembed_documents(["two\nlines"]))
    asyncio.run(model.aembed_query("two\nlines"))
    assert backend.requests == [["passage: two\nlines"], ["query: two\nlines"]] * 2


def test_langchain_adapter_of_no_documents_returns_none(model):
    assert model.embed_documents([]) == []


def test_langchain_adapter_defaults_to_the_configured_embedder(monkeypatch):
    monkeypatch.setenv("EMBEDDING_BACKEND", "fake")
    assert len(EmbedStackEmbeddings().embed_query("foo")) == 8


def test_langchain_vector_store_searches_with_the_adapter():
    store = InMemoryVectorStore(EmbedStackEmbeddings(FakeEmbedder()))
    store.add_texts(["one", "two", "three"])
    assert [result.page_content for result in store.similarity_search("two", k=1)] == ["two"]


def unpickled(target):
    return pickle.loads(pickle.dumps(target))  # noqa: S301


@pytest.mark.parametrize("again", [unpickled, copy.copy, copy.deepcopy])
def test_langchain_adapter_copy_has_the_same_embedder(model, again, monkeypatch):
    monkeypatch.setenv("EMBEDDING_BACKEND", "none")  # from which no embedder can be loaded
    assert again(model).embed_query("x") == model.embed_query("x")
