"""Embedders: the interface, its backends, and the base of middleware."""

from typing import TYPE_CHECKING

from embedstack.embedders.base import Embedder, OnError, Progress
from embedstack.embedders.batching import Limits
from embedstack.embedders.middleware import EmbedderMiddleware
from embedstack.embedders.prompts import Context, Kind
from embedstack.embedders.results import EmbedResult, Failure
from embedstack.embedders.spans import SpannedText
from embedstack.embedders.usage import Price, Stats
from embedstack.lazy import lazy_attributes

if TYPE_CHECKING:
    from embedstack.embedders.bedrock import BedrockEmbedder
    from embedstack.embedders.fake import FakeEmbedder
    from embedstack.embedders.local import LocalEmbedder
    from embedstack.embedders.ollama import OllamaEmbedder
    from embedstack.embedders.sagemaker.embedder import SageMakerEmbedder

__all__ = [
    "BedrockEmbedder",
    "Context",
    "EmbedResult",
    "Embedder",
    "EmbedderMiddleware",
    "Failure",
    "FakeEmbedder",
    "Kind",
    "Limits",
    "LocalEmbedder",
    "OllamaEmbedder",
    "OnError",
    "Price",
    "Progress",
    "SageMakerEmbedder",
    "SpannedText",
    "Stats",
]

# A backend imports its dependencies, above all boto3, which users of another backend need not wait for.
__getattr__ = lazy_attributes(
    __name__,
    {
        "BedrockEmbedder": "embedstack.embedders.bedrock",
        "FakeEmbedder": "embedstack.embedders.fake",
        "LocalEmbedder": "embedstack.embedders.local",
        "OllamaEmbedder": "embedstack.embedders.ollama",
        "SageMakerEmbedder": "embedstack.embedders.sagemaker.embedder",
    },
)
