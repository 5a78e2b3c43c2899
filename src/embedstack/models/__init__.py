"""Embedding models and rerankers: their facts, and their files on this machine."""

from typing import TYPE_CHECKING

from embedstack.lazy import lazy_attributes
from embedstack.models.model_info import ModelIdentity, ModelInfo, ModelKind, Pooling

if TYPE_CHECKING:
    from embedstack.models.catalogue import KNOWN_MODELS, find_model, known_model
    from embedstack.models.resolution import resolve_model

__all__ = [
    "KNOWN_MODELS",
    "ModelIdentity",
    "ModelInfo",
    "ModelKind",
    "Pooling",
    "find_model",
    "known_model",
    "resolve_model",
]

# A package of the model server contains no catalogue.
__getattr__ = lazy_attributes(
    __name__,
    {
        "KNOWN_MODELS": "embedstack.models.catalogue",
        "find_model": "embedstack.models.catalogue",
        "known_model": "embedstack.models.catalogue",
        "resolve_model": "embedstack.models.resolution",
    },
)
