"""Rerankers: models that order texts by their relevance for a query. The interface, its backends and its middleware."""

from typing import TYPE_CHECKING

from embedstack.lazy import lazy_attributes
from embedstack.rerankers.base import Ranking, Reranker

if TYPE_CHECKING:
    from embedstack.rerankers.bedrock import BedrockReranker
    from embedstack.rerankers.cached import CachedReranker
    from embedstack.rerankers.fake import FakeReranker
    from embedstack.rerankers.load import load_reranker
    from embedstack.rerankers.local import LocalReranker
    from embedstack.rerankers.middleware import (
        DeadlineReranker,
        FallbackReranker,
        RerankerMiddleware,
        ResilientReranker,
    )
    from embedstack.rerankers.sagemaker import SageMakerReranker

__all__ = [
    "BedrockReranker",
    "CachedReranker",
    "DeadlineReranker",
    "FakeReranker",
    "FallbackReranker",
    "LocalReranker",
    "Ranking",
    "Reranker",
    "RerankerMiddleware",
    "ResilientReranker",
    "SageMakerReranker",
    "load_reranker",
]

# A backend imports its dependencies, above all boto3, which users of another backend need not wait for.
__getattr__ = lazy_attributes(
    __name__,
    {
        "BedrockReranker": "embedstack.rerankers.bedrock",
        "CachedReranker": "embedstack.rerankers.cached",
        "DeadlineReranker": "embedstack.rerankers.middleware",
        "FakeReranker": "embedstack.rerankers.fake",
        "FallbackReranker": "embedstack.rerankers.middleware",
        "LocalReranker": "embedstack.rerankers.local",
        "RerankerMiddleware": "embedstack.rerankers.middleware",
        "ResilientReranker": "embedstack.rerankers.middleware",
        "SageMakerReranker": "embedstack.rerankers.sagemaker",
        "load_reranker": "embedstack.rerankers.load",
    },
)
