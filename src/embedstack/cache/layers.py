"""Several caches as one: looked up in order, and never the cause of an error."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol, TypeVar

from embedstack.cache.failures import FailureGuard

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vector = NDArray[np.float32]

_Result = TypeVar("_Result")

__all__ = ["Cache", "CacheLayers"]


class Cache(Protocol):
    """Stores vectors by 32-byte keys. Safe to call from several threads."""

    def get(self, keys: Sequence[bytes]) -> "dict[bytes, Vector]":
        """The cached vectors, float32 (dimensions,) each."""

    def put(self, vectors: "Mapping[bytes, Vector]") -> None:
        """Store copies of vectors."""

    def close(self) -> None:
        """Release files."""


class CacheLayers:
    """Looks keys up in several caches. A cache that fails causes cache misses and one warning, never an error."""

    def __init__(
        self, caches: Sequence[Cache], keep_valid: "Callable[[dict[bytes, Vector]], dict[bytes, Vector]]"
    ) -> None:
        """Combine caches.

        Args:
            caches: Looked up in this order; a hit is stored in the caches before it.
            keep_valid: Returns the valid ones of some cached vectors; the others are cache misses.
        """
        self._caches = tuple(_FailSafe(cache, FailureGuard(f"The cache {type(cache).__name__}")) for cache in caches)
        self._keep_valid = keep_valid

    def get(self, keys: Sequence[bytes]) -> "dict[bytes, Vector]":
        """The vectors (dimensions,) found in the caches."""
        hits: dict[bytes, Vector] = {}
        for position, cache in enumerate(self._caches):
            absent = list(dict.fromkeys(key for key in keys if key not in hits))
            if not absent:
                break
            vectors = self._keep_valid(cache.get(absent))
            for earlier in self._caches[:position] if vectors else ():
                earlier.put(vectors)
            hits |= vectors
        return hits

    def put(self, vectors: "Mapping[bytes, Vector]") -> None:
        """Store vectors in every cache."""
        for cache in self._caches if vectors else ():
            cache.put(vectors)

    def close(self) -> None:
        """Release files."""
        for cache in self._caches:
            cache.close()


class _FailSafe:
    """A cache whose errors become cache misses."""

    def __init__(self, cache: Cache, guard: FailureGuard) -> None:
        self._cache = cache
        self._guard = guard

    def get(self, keys: Sequence[bytes]) -> "dict[bytes, Vector]":
        return self._attempt(lambda: self._cache.get(keys), {})

    def put(self, vectors: "Mapping[bytes, Vector]") -> None:
        self._attempt(lambda: self._cache.put(vectors), None)

    def close(self) -> None:
        self._cache.close()

    def _attempt(self, operation: "Callable[[], _Result]", otherwise: _Result) -> _Result:
        if not self._guard.is_open:
            return otherwise
        try:
            return operation()
        except Exception as error:  # noqa: BLE001 - a custom cache may raise anything
            # Not its message, which may quote a key or an address with a password.
            self._guard.fail(f"{type(error).__name__} was raised; check the cache")
            return otherwise
