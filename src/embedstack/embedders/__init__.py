"""Where vectors come from."""

from embedstack.embedders.base import Embedder, OnError, Progress
from embedstack.embedders.batching import Limits
from embedstack.embedders.bedrock import BedrockEmbedder
from embedstack.embedders.core import Context, Kind
from embedstack.embedders.fake import FakeEmbedder
from embedstack.embedders.local import LocalEmbedder
from embedstack.embedders.ollama import OllamaEmbedder
from embedstack.embedders.outcome import Collected, Failure
from embedstack.embedders.sagemaker import SageMakerEmbedder
from embedstack.embedders.usage import Price, Stats
from embedstack.embedders.wrapper import Wrapper

__all__ = [
    "BedrockEmbedder",
    "Collected",
    "Context",
    "Embedder",
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
    "Stats",
    "Wrapper",
]
