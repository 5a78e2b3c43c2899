"""Client library for text embeddings on Amazon SageMaker."""

from typing import TYPE_CHECKING

from embedstack.lazy import lazy_attributes

if TYPE_CHECKING:
    from embedstack.embedders import Embedder
    from embedstack.factory import load_embedder

__all__ = ["Embedder", "load_embedder"]

__getattr__ = lazy_attributes(__name__, {"Embedder": "embedstack.embedders", "load_embedder": "embedstack.factory"})
