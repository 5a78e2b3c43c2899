"""What LlamaIndex asks of a BaseEmbedding; it has no standard tests of its own."""

import copy
import pickle

import boto3
import numpy as np
import pytest
from llama_index.core import Document, VectorStoreIndex
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.ingestion import IngestionPipeline
from llama_index.core.node_parser import SentenceSplitter

import embedstack.integrations.llamaindex
from embedstack.embedders import FakeEmbedder, SageMakerEmbedder
from embedstack.embedders.fake import fake_vector
from embedstack.errors import ConfigurationError, NotPicklable
from embedstack.integrations.llamaindex import EmbedStackEmbedding
from embedstack.models.model_info import ModelInfo

MODEL = ModelInfo("m", dimensions=8, max_tokens=9, pooling="mean", prompts={"query": "q: ", "document": "d: "})


@pytest.fixture
def backend():
    with FakeEmbedder(MODEL) as embedder:
        yield embedder


@pytest.fixture
def model(backend):
    return EmbedStackEmbedding(backend)


def test_adapter_is_a_base_embedding_of_floats(model):
    assert embedstack.integrations.llamaindex.__all__ == ["EmbedStackEmbedding"]
    assert isinstance(model, BaseEmbedding)
    assert (model.model_name, model.class_name()) == ("m", "EmbedStackEmbedding")
    query = model.get_query_embedding("foo")
    assert len(query) == 8
    assert all(type(component) is float for component in query)


def test_adapter_passes_queries_and_texts_with_their_kind(model, backend):
    model.get_query_embedding("two\nlines")
    model.get_text_embedding("two\nlines")
    assert backend.requests == [["q: two\nlines"], ["d: two\nlines"]]


def test_adapter_leaves_batching_to_the_embedder(model, backend):
    texts = [f"text {number}" for number in range(100)]
    vectors = model.get_text_embedding_batch(texts)
    np.testing.assert_allclose(vectors, [fake_vector(f"d: {text}", 8) for text in texts], rtol=1e-6)
    assert max(map(len, backend.requests)) == backend.limits.max_items


async def test_async_is_the_same_as_sync(model):
    texts = ["foo", "bar", "baz"]
    assert await model.aget_query_embedding("foo") == model.get_query_embedding("foo")
    assert await model.aget_text_embedding("foo") == model.get_text_embedding("foo")
    assert await model.aget_text_embedding_batch(texts) == model.get_text_embedding_batch(texts)


def test_the_settings_choose_the_embedder(monkeypatch):
    monkeypatch.setenv("EMBEDDING_BACKEND", "fake")
    assert len(EmbedStackEmbedding(embed_batch_size=3).get_text_embedding("foo")) == 8


def test_llamaindex_index_retrieves_with_the_adapter():
    model = EmbedStackEmbedding(FakeEmbedder())
    documents = [Document(text=text) for text in ("one", "two", "three")]
    nodes = IngestionPipeline(transformations=[SentenceSplitter(), model]).run(documents=documents)
    index = VectorStoreIndex(nodes, embed_model=model)
    assert index.as_retriever(similarity_top_k=1).retrieve("two")[0].text == "two"


def unpickled(target):
    return pickle.loads(pickle.dumps(target))  # noqa: S301


@pytest.mark.parametrize("again", [unpickled, copy.copy, copy.deepcopy, EmbedStackEmbedding.model_copy])
def test_a_copy_has_the_same_embedder(model, again, monkeypatch):
    monkeypatch.setenv("EMBEDDING_BACKEND", "none")  # from which no embedder can be loaded
    copied = again(model)
    assert copied.get_query_embedding("x") == model.get_query_embedding("x")
    assert copied.model_dump() == model.model_dump()


def test_adapter_with_an_unpicklable_embedder_is_not_picklable(model):
    session = boto3.Session("test", "test", region_name="us-east-1")
    model = EmbedStackEmbedding(SageMakerEmbedder(MODEL, endpoint="any", session=session))
    with pytest.raises(NotPicklable, match="load_embedder"):
        pickle.dumps(model)
    with pytest.raises(Exception, match="Can't pickle"):
        pickle.dumps(EmbedStackEmbedding(FakeEmbedder(fault=lambda _: None)))


def test_from_dict_requires_an_embedder_of_the_model(model, backend):
    data = model.to_dict()
    with pytest.raises(ConfigurationError, match="does not contain its embedder"):
        EmbedStackEmbedding.from_dict(data)
    with pytest.raises(ConfigurationError, match="but the embedder has 'embedstack/fake'"):
        EmbedStackEmbedding.from_dict(data, embedder=FakeEmbedder())
    restored = EmbedStackEmbedding.from_dict(data, embedder=backend)
    assert restored.get_query_embedding("x") == model.get_query_embedding("x")


def test_pipeline_workers_use_the_same_embedder(monkeypatch):
    monkeypatch.setenv("EMBEDDING_BACKEND", "none")
    documents = [Document(text=f"text {number}", id_=str(number)) for number in range(4)]
    pipeline = IngestionPipeline(transformations=[EmbedStackEmbedding(FakeEmbedder())])
    nodes = pipeline.run(documents=documents, num_workers=2)
    np.testing.assert_allclose(
        [node.embedding for node in nodes], [fake_vector(node.get_content(), 8) for node in nodes], rtol=1e-6
    )
