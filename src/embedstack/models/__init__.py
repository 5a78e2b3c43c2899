"""Embedding models and rerankers: their facts, and their files on this machine."""

from embedstack.models.catalogue import KNOWN_MODELS, find_model, known_model
from embedstack.models.model_info import ModelIdentity, ModelInfo, ModelKind, Pooling
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
