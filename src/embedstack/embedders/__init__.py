"""Where vectors come from."""

from typing import TYPE_CHECKING, Any

from embedstack.embedders.base import Embedder, OnError, Progress
from embedstack.embedders.batching import Limits
from embedstack.embedders.middleware import EmbedderMiddleware
from embedstack.embedders.prompts import Context, Kind
from embedstack.embedders.results import EmbedResult, Failure
from embedstack.embedders.spans import SpannedText
from embedstack.embedders.usage import Price, Stats

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

_BACKENDS = {
    "BedrockEmbedder": "bedrock",
    "FakeEmbedder": "fake",
    "LocalEmbedder": "local",
    "OllamaEmbedder": "ollama",
    "SageMakerEmbedder": "sagemaker.embedder",
}


def __getattr__(name: str) -> Any:
    # A backend brings what it is built on, boto3 above all, which whoever uses another one need not wait for.
    if name not in _BACKENDS:
        raise AttributeError(f"module 'embedstack.embedders' has no attribute {name!r}")
    import importlib  # noqa: PLC0415 - with the first backend only

    return getattr(importlib.import_module(f"embedstack.embedders.{_BACKENDS[name]}"), name)
