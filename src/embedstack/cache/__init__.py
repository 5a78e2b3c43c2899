"""Caches of vectors: in memory, and in an encrypted file that processes share."""

from embedstack.cache.cached_embedder import Cache, CachedEmbedder
from embedstack.cache.memory import MemoryCache
from embedstack.cache.sqlite import SqliteCache

__all__ = ["Cache", "CachedEmbedder", "MemoryCache", "SqliteCache"]
