"""Client library for text embeddings on Amazon SageMaker."""

from typing import TYPE_CHECKING

from embedstack.lazy import lazy_attributes

if TYPE_CHECKING:
    from embedstack.embedders import Embedder
    from embedstack.factory import load_embedder
    from embedstack.rerankers import Reranker, load_reranker

__all__ = ["Embedder", "Reranker", "load_embedder", "load_reranker"]

__getattr__ = lazy_attributes(
    __name__,
    {
        "Embedder": "embedstack.embedders",
        "Reranker": "embedstack.rerankers",
        "load_embedder": "embedstack.factory",
        "load_reranker": "embedstack.rerankers",
    },
)
