"""Where vectors come from."""

from embedstack.embedders.base import Embedder, Kind, Limits
from embedstack.embedders.sagemaker import SageMakerEmbedder

__all__ = ["Embedder", "Kind", "Limits", "SageMakerEmbedder"]
