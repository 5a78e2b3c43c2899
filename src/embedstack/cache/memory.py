"""A cache in memory: what was used least recently goes first."""

import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from embedstack.calls.process_local import Lock

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vector = NDArray[np.float32]

__all__ = ["MemoryCache"]


class MemoryCache:
    """Keeps vectors in this process. A forked child starts with its parent's, a copy with none."""

    def __init__(
        self,
        *,
        max_bytes: int = 256 * 1024 * 1024,
        ttl_seconds: float | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        """Start empty.

        Args:
            max_bytes: Of all vectors together.
            ttl_seconds: How long a vector is good for; None for ever.
            now: What measures that.
        """
        self._max_bytes = max_bytes
        self._ttl = ttl_seconds
        self._now = now
        self._kept: OrderedDict[bytes, tuple[Vector, float]] = OrderedDict()
        self._bytes = 0
        self._lock = Lock()

    def __reduce__(self) -> "tuple[Callable[..., MemoryCache], tuple[int, float | None, Callable[[], float]]]":
        return _empty, (self._max_bytes, self._ttl, self._now)

    def get(self, keys: Sequence[bytes]) -> "dict[bytes, Vector]":
        """Those that are there and not too old."""
        oldest = self._now() - self._ttl if self._ttl is not None else float("-inf")
        found = {}
        with self._lock:
            for key in keys:
                entry = self._kept.get(key)
                if entry is not None and entry[1] > oldest:
                    self._kept.move_to_end(key)
                    found[key] = entry[0]
        return found

    def put(self, vectors: "Mapping[bytes, Vector]") -> None:
        """Keep copies of these, and drop the least recently used ones that no longer fit."""
        now = self._now()
        with self._lock:
            for key, vector in vectors.items():
                if key in self._kept:
                    self._bytes -= self._kept.pop(key)[0].nbytes
                # A row of a larger array would keep all of it in memory.
                kept = vector.copy()
                kept.flags.writeable = False
                self._kept[key] = (kept, now)
                self._bytes += kept.nbytes
            while self._bytes > self._max_bytes:
                _, (dropped, _) = self._kept.popitem(last=False)
                self._bytes -= dropped.nbytes

    def close(self) -> None:
        """Forget everything."""
        with self._lock:
            self._kept.clear()
            self._bytes = 0


def _empty(max_bytes: int, ttl_seconds: float | None, now: Callable[[], float]) -> MemoryCache:
    return MemoryCache(max_bytes=max_bytes, ttl_seconds=ttl_seconds, now=now)
