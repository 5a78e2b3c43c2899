"""Embedding models: their facts, and their files on this machine."""

from embedstack.models.model_info import KNOWN_MODELS, ModelIdentity, ModelInfo, Pooling, known_model

__all__ = ["KNOWN_MODELS", "ModelIdentity", "ModelInfo", "Pooling", "known_model"]
