"""Embedding models: what is recorded of each, and where their files are."""

from embedstack.models.model_info import KNOWN_MODELS, ModelIdentity, ModelInfo, Pooling, known_model

__all__ = ["KNOWN_MODELS", "ModelIdentity", "ModelInfo", "Pooling", "known_model"]
