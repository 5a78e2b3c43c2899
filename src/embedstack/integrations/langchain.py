"""An embedder as LangChain's ``Embeddings``. Needs the extra ``embedstack[langchain]``."""

from typing import TYPE_CHECKING

from langchain_core.embeddings import Embeddings

from embedstack.factory import load_embedder

if TYPE_CHECKING:
    from embedstack.embedders import Embedder

__all__ = ["EmbedStackEmbeddings"]


class EmbedStackEmbeddings(Embeddings):
    """Adapts an embedder; by default the configured one.

    Queries are embedded as queries and documents as documents, sync and async alike.
    """

    def __init__(self, embedder: "Embedder | None" = None) -> None:
        self._embedder = embedder or load_embedder()

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """A vector for each text; an empty list returns no vectors."""
        vectors: list[list[float]] = self._embedder.embed_documents(texts).tolist()
        return vectors

    def embed_query(self, text: str) -> list[float]:
        """The vector of a search query."""
        vector: list[float] = self._embedder.embed_query(text).tolist()
        return vector

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        """As :meth:`embed_documents`, without blocking the event loop."""
        vectors: list[list[float]] = (await self._embedder.aembed_documents(texts)).tolist()
        return vectors

    async def aembed_query(self, text: str) -> list[float]:
        """As :meth:`embed_query`, without blocking the event loop."""
        vector: list[float] = (await self._embedder.aembed_query(text)).tolist()
        return vector
