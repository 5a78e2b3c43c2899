"""Creates an embedder from the configuration, with the middleware around it."""

from collections.abc import Callable
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

from embedstack.cache.cached_embedder import CachedEmbedder
from embedstack.cache.load import load_caches
from embedstack.embedders import Embedder, Limits
from embedstack.errors import ConfigurationError
from embedstack.models.resolution import resolve_model, warn_of_license
from embedstack.resilience import (
    CircuitBreakerEmbedder,
    DeadlineEmbedder,
    FallbackEmbedder,
    RateLimit,
    RateLimitedEmbedder,
    Retry,
    RetryEvent,
    RetryingEmbedder,
)
from embedstack.settings.settings import Settings, change_settings, load_settings

if TYPE_CHECKING:
    import boto3

__all__ = ["load_embedder"]

#: Entry point group of third-party backends: functions that create an embedder from settings.
ENTRY_POINTS = "embedstack.embedders"

# Longest wait for the response of an asynchronous endpoint in seconds: it may have to start an instance first.
_ASYNC_WAIT_SECONDS = 900.0


def load_embedder(
    settings: Settings | None = None,
    *,
    session: "boto3.Session | None" = None,
    on_wait: Callable[[RetryEvent], None] | None = None,
    **overrides: Any,
) -> Embedder:
    """Build an embedder: deadline, cache, fallback, circuit breaker, rate limit, retry, backend.

    Args:
        settings: Configuration; read from the environment, ``.env`` and EMBEDSTACK_CONFIG's file by default.
        session: A custom boto3 session.
        on_wait: Called before each wait for another attempt, for example while an endpoint wakes up.
        overrides: Settings that take precedence, by their names: ``load_embedder(embedding_backend="local")``,
            ``load_embedder(embedstack_config="embeddings.yaml")``.

    Returns:
        The embedder. Close it, or use it in a ``with`` statement, to release its threads and files.

    Raises:
        ConfigurationError: A setting is missing, invalid or unknown, or the backend does not exist.
    """
    settings = change_settings(settings, **overrides) if settings else load_settings(**overrides)
    names = [settings.embedding_backend, *settings.fallback_backends]
    backends = [_load_backend(name, settings, session) for name in names]
    for backend in backends:
        backend.account(settings, session)
    backends = [_add_resilience(backend, settings, on_wait) for backend in backends]
    embedder = backends[0] if len(backends) == 1 else FallbackEmbedder(*backends)
    warn_of_license(embedder.info)
    caches = load_caches(settings, session)
    if caches:
        embedder = CachedEmbedder(embedder, *caches)
    if settings.embedding_deadline_seconds is not None:
        embedder = DeadlineEmbedder(embedder, settings.embedding_deadline_seconds)
    return embedder


# ruff: noqa: PLC0415 - a backend is imported on first use: boto3 alone takes as long as everything else
def _load_backend(name: str, settings: Settings, session: "boto3.Session | None") -> Embedder:
    match name:
        case "sagemaker":
            from embedstack.embedders.sagemaker.embedder import SageMakerEmbedder

            limits = Limits(settings.sagemaker_batch_size, concurrency=settings.embedding_concurrency)
            return SageMakerEmbedder(
                resolve_model(settings),
                settings=settings,
                limits=limits,
                truncate=settings.embedding_truncate,
                session=session,
            )
        case "sagemaker-async":
            from embedstack.embedders.sagemaker.async_embedder import AsyncEmbedder, AsyncEndpoint

            endpoint = AsyncEndpoint(
                settings.required_endpoint(),
                settings,
                wait_seconds=settings.embedding_timeout_seconds or _ASYNC_WAIT_SECONDS,
                concurrency=settings.embedding_concurrency,
                session=session,
            )
            return AsyncEmbedder(
                resolve_model(settings),
                endpoint,
                truncate=settings.embedding_truncate,
                limits=Limits(settings.sagemaker_batch_size, concurrency=settings.embedding_concurrency),
            )
        case "bedrock":
            from embedstack.embedders.bedrock import BedrockEmbedder

            return BedrockEmbedder(
                settings.bedrock_embedding_model_id,
                dimensions=settings.embedding_dimensions,
                settings=settings,
                concurrency=settings.embedding_concurrency,
                truncate=settings.embedding_truncate,
                prompts=settings.embedding_prompts,
                session=session,
            )
        case "ollama":
            from embedstack.embedders.ollama import OllamaEmbedder

            return OllamaEmbedder(resolve_model(settings), settings=settings, truncate=settings.embedding_truncate)
        case "local" | "sentence-transformers":
            from embedstack.embedders.local import LocalEmbedder

            return LocalEmbedder(resolve_model(settings), settings=settings, truncate=settings.embedding_truncate)
        case "fake":
            from embedstack.embedders.fake import FakeEmbedder

            return FakeEmbedder()
        case _:
            return _load_entry_point(name, settings)


def _load_entry_point(name: str, settings: Settings) -> Embedder:
    points = {point.name: point for point in entry_points(group=ENTRY_POINTS)}
    if name not in points:
        names = ", ".join(["sagemaker", "sagemaker-async", "bedrock", "ollama", "local", "fake", *points])
        raise ConfigurationError(f"Unknown backend {name!r} in EMBEDDING_BACKEND. Backends: {names}.")
    embedder = points[name].load()(settings)
    if not isinstance(embedder, Embedder):
        raise ConfigurationError(
            f"The entry point {name!r} of {ENTRY_POINTS} returned a {type(embedder).__name__}, not an Embedder."
        )
    return embedder


def _add_resilience(backend: Embedder, settings: Settings, on_wait: Callable[[RetryEvent], None] | None) -> Embedder:
    embedder: Embedder = RetryingEmbedder(backend, Retry(on_wait=on_wait))
    limit = RateLimit(settings.embedding_requests_per_second, settings.embedding_texts_per_second)
    if limit != RateLimit():
        embedder = RateLimitedEmbedder(embedder, limit)
    return CircuitBreakerEmbedder(embedder)
