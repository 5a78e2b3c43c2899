"""Creates the configured caches."""

from typing import TYPE_CHECKING

from embedstack.cache.memory import MemoryCache
from embedstack.cache.sqlite import SqliteCache
from embedstack.errors import ConfigurationError

if TYPE_CHECKING:
    import boto3

    from embedstack.cache.cached_embedder import Cache
    from embedstack.cache.kms import KmsKey
    from embedstack.settings.settings import Settings

__all__ = ["load_caches"]


def load_caches(settings: "Settings", session: "boto3.Session | None" = None) -> "list[Cache]":
    """The configured caches in the order of lookup: memory, file; none if EMBEDSTACK_CACHE_MB is 0.

    Raises:
        ConfigurationError: Two keys are set, or a package is missing.
    """
    if settings.embedstack_cache_mb == 0:
        return []
    ttl = settings.embedstack_cache_ttl_seconds
    memory = MemoryCache(max_bytes=settings.embedstack_cache_mb * 1024 * 1024, ttl_seconds=ttl)
    if settings.embedstack_cache_file is None:
        return [memory]
    key = _cache_key(settings, session)
    return [memory, SqliteCache(settings.embedstack_cache_file, ttl_seconds=ttl, key=key)]


def _cache_key(settings: "Settings", session: "boto3.Session | None") -> "str | KmsKey | None":
    own_key, kms_key_id = settings.embedstack_cache_key, settings.embedstack_cache_kms_key
    if own_key is not None and kms_key_id is not None:
        raise ConfigurationError("Set EMBEDSTACK_CACHE_KEY or EMBEDSTACK_CACHE_KMS_KEY, not both.")
    if kms_key_id is not None:
        from embedstack.cache.kms import KmsKey  # noqa: PLC0415 - boto3 takes long to import

        return KmsKey(kms_key_id, settings, session=session)
    return own_key.get_secret_value() if own_key is not None else None
