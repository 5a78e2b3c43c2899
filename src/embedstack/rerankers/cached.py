"""Middleware that takes scores from caches and sends only the cache misses to the backend."""

import asyncio
import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from embedstack.cache.layers import CacheLayers
from embedstack.cache.memory import MemoryCache
from embedstack.embedders.batching import utf8_bytes
from embedstack.embedders.identity import identity_digest
from embedstack.errors import EmbedStackError
from embedstack.rerankers.middleware import RerankerMiddleware

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from embedstack.cache.layers import Cache
    from embedstack.calls.call_context import Call
    from embedstack.rerankers.base import Reranker

    Scores = NDArray[np.float32]

__all__ = ["CachedReranker"]


class CachedReranker(RerankerMiddleware):
    """Scores only cache misses, and each text of a call once.

    The key of an entry is a hash of the query, the text and everything else that their score depends on
    (:meth:`~embedstack.rerankers.Reranker.score_identity`). A cache that fails causes cache misses and one warning,
    never an error.
    """

    def __init__(self, inner: "Reranker", *caches: "Cache") -> None:
        """Put caches before a reranker.

        Args:
            inner: Scores the cache misses.
            caches: Looked up in this order; a hit is stored in the caches before it. Defaults to a
                :class:`~embedstack.cache.MemoryCache`.
        """
        super().__init__(inner)
        self._caches = CacheLayers(caches or (MemoryCache(),), _keep_valid)
        self._prefix = identity_digest(inner.score_identity(), "pair")

    def request_scores(self, query: str, texts: Sequence[str]) -> "Scores":
        """Look pairs up, and send one request for the cache misses."""
        pairs = self._look_up(query, texts)
        with pairs.errors():
            return self._complete(pairs, self.inner.request_scores(query, pairs.missing) if pairs.missing else ())

    def score_texts(self, query: str, texts: Sequence[str], call: "Call") -> "Scores":
        """Look pairs up, and score the cache misses."""
        pairs = self._look_up(query, texts)
        with pairs.errors():
            return self._complete(pairs, self.inner.score_texts(query, pairs.missing, call) if pairs.missing else ())

    async def ascore_texts(self, query: str, texts: Sequence[str], call: "Call") -> "Scores":
        """As :meth:`score_texts`, without blocking the event loop."""
        loop, threads = asyncio.get_running_loop(), self.runner.threads.get()
        pairs = await loop.run_in_executor(threads, self._look_up, query, texts)
        with pairs.errors():
            scores = await self.inner.ascore_texts(query, pairs.missing, call) if pairs.missing else ()
        return await loop.run_in_executor(threads, self._complete, pairs, scores)

    def close(self) -> None:
        """Close the wrapped reranker, and release files."""
        super().close()
        self._caches.close()

    def _look_up(self, query: str, texts: Sequence[str]) -> "_Pairs":
        content = query.encode()
        # Fixed lengths before the query and the text, so that the two cannot be confused.
        shared = hashlib.sha256(self._prefix + len(content).to_bytes(8, "big") + content)
        keys = []
        for text in texts:
            digest = shared.copy()
            digest.update(text.encode())
            keys.append(digest.digest())
        pairs = _Pairs(keys, texts, self._caches.get(keys))
        hits = [text for key, text in zip(keys, texts, strict=True) if key in pairs.hits]
        self.meters[0].count("cache_hits", len(texts) - len(pairs.missing))
        if self.runner.accountant.is_recording:
            saved = self.runner.estimate_tokens(utf8_bytes(query) + utf8_bytes(text) for text in hits)
            self.runner.accountant.record_hits("rerank", len(hits), saved)
        return pairs

    def _complete(self, pairs: "_Pairs", scores: "Scores | tuple[()]") -> "Scores":
        """Store the scores of the cache misses; returns those of all texts."""
        computed = {key: np.asarray([score], np.float32) for key, score in zip(pairs.first, scores, strict=True)}
        self._caches.put(computed)
        found = pairs.hits | computed
        return np.asarray([found[key][0] for key in pairs.keys], np.float32)


class _Pairs:
    """The pairs of a call with their cached scores.

    Attributes:
        keys: The key of each text with the query.
        hits: Cached scores, float32 (1,), by key.
        first: Position of the first text with each key that is not cached.
        missing: These texts.
    """

    def __init__(self, keys: list[bytes], texts: Sequence[str], hits: "dict[bytes, Scores]") -> None:
        self.keys = keys
        self.hits = hits
        self.first: dict[bytes, int] = {}
        for position, key in enumerate(keys):
            if key not in hits:
                self.first.setdefault(key, position)
        self.missing = [texts[position] for position in self.first.values()]

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Give the error of a missing text its position in the texts of the call."""
        try:
            yield
        except EmbedStackError as error:
            if error.index is None or error.index >= len(self.missing):
                raise
            raise error.at([*self.first.values()][error.index]) from error


def _keep_valid(scores: "dict[bytes, Scores]") -> "dict[bytes, Scores]":
    return {key: score for key, score in scores.items() if np.shape(score) == (1,) and np.isfinite(score[0])}
