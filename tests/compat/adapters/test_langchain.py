"""LangChain's own standard tests of an Embeddings class, run against ours."""

from langchain_tests.integration_tests import EmbeddingsIntegrationTests
from langchain_tests.unit_tests import EmbeddingsUnitTests

from embedstack.embedders import FakeEmbedder
from embedstack.integrations.langchain import EmbedStackEmbeddings


class TestUnit(EmbeddingsUnitTests):
    @property
    def embeddings_class(self):
        return EmbedStackEmbeddings

    @property
    def embedding_model_params(self):
        return {"embedder": FakeEmbedder()}

    @property
    def init_from_env_params(self):
        return {"EMBEDDING_BACKEND": "fake"}, {}, {}


class TestIntegration(EmbeddingsIntegrationTests):
    @property
    def embeddings_class(self):
        return EmbedStackEmbeddings

    @property
    def embedding_model_params(self):
        return {"embedder": FakeEmbedder()}
