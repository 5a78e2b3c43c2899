"""Creates a reranker from the configuration, with the middleware around it."""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from embedstack.cache.load import load_caches
from embedstack.errors import ConfigurationError
from embedstack.models.resolution import resolve_model, warn_of_license
from embedstack.rerankers.base import Reranker
from embedstack.rerankers.cached import CachedReranker
from embedstack.rerankers.middleware import DeadlineReranker, FallbackReranker, ResilientReranker
from embedstack.resilience import RateLimit, Retry, RetryEvent
from embedstack.settings.settings import Settings, change_settings, load_settings

if TYPE_CHECKING:
    import boto3

    from embedstack.models.model_info import ModelInfo

__all__ = ["load_reranker"]


def load_reranker(
    settings: Settings | None = None,
    *,
    session: "boto3.Session | None" = None,
    on_wait: Callable[[RetryEvent], None] | None = None,
    **overrides: Any,
) -> Reranker:
    """Build a reranker: deadline, cache, fallback, circuit breaker, rate limit, retry, backend.

    Concurrency, timeout, deadline, rate limits and cache are those of embedders (EMBEDDING_CONCURRENCY, …). Each
    reranker counts separately from an embedder.

    Args:
        settings: Configuration; read from the environment, ``.env`` and EMBEDSTACK_CONFIG's file by default.
        session: A custom boto3 session.
        on_wait: Called before each wait for another attempt, for example while an endpoint wakes up.
        overrides: Settings that take precedence, by their names: ``load_reranker(reranker_backend="bedrock")``.

    Returns:
        The reranker. Close it, or use it in a ``with`` statement, to release its threads and files.

    Raises:
        ConfigurationError: A setting is missing, invalid or unknown.
    """
    settings = change_settings(settings, **overrides) if settings else load_settings(**overrides)
    limit = RateLimit(settings.embedding_requests_per_second, settings.embedding_texts_per_second)
    backends: list[Reranker] = []
    for name in (settings.reranker_backend, *settings.reranker_fallback_backends):
        backend = _load_backend(name, settings, session)
        backend.account(settings, session)
        backends.append(ResilientReranker(backend, retry=Retry(on_wait=on_wait), limit=limit))
    reranker: Reranker = backends[0] if len(backends) == 1 else FallbackReranker(*backends)
    warn_of_license(reranker.info)
    caches = load_caches(settings, session)
    if caches:
        reranker = CachedReranker(reranker, *caches)
    if settings.embedding_deadline_seconds is not None:
        reranker = DeadlineReranker(reranker, settings.embedding_deadline_seconds)
    return reranker


# ruff: noqa: PLC0415 - a backend is imported on first use: boto3 alone takes as long as everything else
def _load_backend(name: str, settings: Settings, session: "boto3.Session | None") -> Reranker:
    match name:
        case "sagemaker":
            from embedstack.rerankers.sagemaker import SageMakerReranker

            return SageMakerReranker(
                _model(settings), settings=settings, truncate=settings.reranker_truncate, session=session
            )
        case "bedrock":
            from embedstack.rerankers.bedrock import BedrockReranker

            return BedrockReranker(
                settings.bedrock_rerank_model_id,
                settings=settings,
                concurrency=settings.embedding_concurrency,
                session=session,
            )
        case "local":
            from embedstack.rerankers.local import LocalReranker

            return LocalReranker(_model(settings), settings=settings, truncate=settings.reranker_truncate)
        case "fake":
            from embedstack.rerankers.fake import FakeReranker

            return FakeReranker()
        case _:
            raise ConfigurationError(
                f"Unknown backend {name!r} in RERANKER_BACKEND or RERANKER_FALLBACKS. Backends: sagemaker, bedrock, "
                "local, fake."
            )


def _model(settings: Settings) -> "ModelInfo":
    if settings.reranker_model is None:
        raise ConfigurationError(
            "No reranking model is configured. Set RERANKER_MODEL to the Hugging Face Hub id of the model that is "
            "served (`terraform output -raw dotenv` prints the line)."
        )
    # Any kind: this project's model server also reranks with an embedding model that has a ColBERT output.
    model = resolve_model(settings.with_model(settings.reranker_model), kind=None)
    return replace(model, kind="reranker", revision=settings.reranker_model_revision)
