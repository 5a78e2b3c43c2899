"""An embedder as LlamaIndex's ``BaseEmbedding``. Needs the extra ``embedstack[llamaindex]``."""

from typing import TYPE_CHECKING, Any, Self

from llama_index.core.base.embeddings.base import BaseEmbedding
from pydantic import PrivateAttr

from embedstack.errors import ConfigurationError
from embedstack.factory import load_embedder

if TYPE_CHECKING:
    from embedstack.embedders import Embedder

__all__ = ["EmbedStackEmbedding"]

# LlamaIndex's maximum: the embedder splits a batch into concurrent requests.
_BATCH_SIZE = 2048


class EmbedStackEmbedding(BaseEmbedding):  # type: ignore[misc]  # an extra that is not installed where types are checked
    """Adapts an embedder; by default the configured one.

    Queries are embedded as queries and texts as documents, sync and async alike.
    """

    _embedder: "Embedder" = PrivateAttr()

    def __init__(self, embedder: "Embedder | None" = None, **options: Any) -> None:
        """Wrap an embedder.

        Args:
            embedder: The embedder; by default the configured one.
            options: Options of ``BaseEmbedding``, such as ``callback_manager``.
        """
        chosen = embedder or load_embedder()
        super().__init__(**{"model_name": chosen.info.model_id, "embed_batch_size": _BATCH_SIZE, **options})
        self._embedder = chosen

    @classmethod
    def class_name(cls) -> str:
        """The name of this class in LlamaIndex."""
        return "EmbedStackEmbedding"

    @classmethod
    def from_dict(cls, data: dict[str, Any], **options: Any) -> Self:
        """Restore the result of :meth:`to_dict`, which names the model and cannot contain its embedder.

        Args:
            data: The result of :meth:`to_dict`.
            options: ``embedder``, and fields that replace those of the data.

        Raises:
            ConfigurationError: No embedder is given, or it has another model than the data.
        """
        embedder: Embedder | None = options.get("embedder")
        name = data.get("model_name")
        if embedder is None:
            raise ConfigurationError(
                f"A dictionary names the model {name!r} but does not contain its embedder. Pass one, for example "
                "from_dict(data, embedder=load_embedder()), or pickle the object instead."
            )
        if "model_name" not in options and name != embedder.info.model_id:
            raise ConfigurationError(
                f"The dictionary names the model {name!r}, but the embedder has {embedder.info.model_id!r}. Pass an "
                "embedder of the same model."
            )
        restored: Self = super().from_dict(data, **options)
        return restored

    def __getstate__(self) -> dict[str, Any]:
        # LlamaIndex's own drops members that cannot be pickled. Without its embedder, the copy would use another model.
        state: dict[str, Any] = super().__getstate__()
        return {**state, "__pydantic_private__": {**state["__pydantic_private__"], "_embedder": self._embedder}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["__pydantic_private__"]["_embedder"], **state["__dict__"])  # type: ignore[misc]  # as LlamaIndex does it

    def _get_query_embedding(self, query: str) -> list[float]:
        vector: list[float] = self._embedder.embed_query(query).tolist()
        return vector

    async def _aget_query_embedding(self, query: str) -> list[float]:
        vector: list[float] = (await self._embedder.aembed_query(query)).tolist()
        return vector

    def _get_text_embedding(self, text: str) -> list[float]:
        return self._get_text_embeddings([text])[0]

    async def _aget_text_embedding(self, text: str) -> list[float]:
        return (await self._aget_text_embeddings([text]))[0]

    def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        vectors: list[list[float]] = self._embedder.embed_documents(texts).tolist()
        return vectors

    async def _aget_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        vectors: list[list[float]] = (await self._embedder.aembed_documents(texts)).tolist()
        return vectors
