"""Vectors that are known already: in memory, and in a file that several processes share."""

import hashlib
import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np

from embedstack.cache_memory import MemoryCache
from embedstack.cache_sqlite import SqliteCache
from embedstack.embedders.batching import Batch, Limits
from embedstack.embedders.outcome import Failure, Part
from embedstack.embedders.pacing import BatchSizer
from embedstack.embedders.wrapper import Wrapper

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

    from numpy.typing import NDArray

    from embedstack.embedders.base import Embedder
    from embedstack.embedders.core import Context, Kind
    from embedstack.embedders.spans import SpannedText
    from embedstack.errors import EmbedStackError

    Vector = NDArray[np.float32]

__all__ = ["Cache", "CachedEmbedder", "MemoryCache", "SqliteCache"]

# Texts that are looked up together; the missing ones are embedded together, each once.
_WINDOW = 4096
_WINDOW_BYTES = 1 << 40


class Cache(Protocol):
    """Keeps vectors by 32-byte keys. Safe to call from several threads."""

    def get(self, keys: Sequence[bytes]) -> "dict[bytes, Vector]":
        """Those that are there, float32 (dimensions,) each."""

    def put(self, vectors: "Mapping[bytes, Vector]") -> None:
        """Keep these."""

    def close(self) -> None:
        """Let go of files."""


class CachedEmbedder(Wrapper):
    """Embeds only what no cache knows, and each text of a call once.

    Texts go through in windows, one window at a time, so that a text that comes again is found in the cache.
    """

    def __init__(self, inner: "Embedder", *caches: Cache) -> None:
        """Put caches before an embedder.

        Args:
            inner: Embeds what is in none of them.
            caches: Asked in this order; what one has is put into those before it. A :class:`MemoryCache` otherwise.
        """
        limits = Limits(
            max_items=_WINDOW,
            max_bytes=_WINDOW_BYTES,
            max_text_bytes=inner.limits.max_text_bytes or inner.limits.max_bytes - inner.envelope_bytes,
            concurrency=1,
        )
        super().__init__(inner, limits)
        self.sizer = _Windows(_WINDOW)
        self._caches = caches or (MemoryCache(),)
        self._space = _space(inner)

    def embed_batch(self, texts: Sequence[str], kind: "Kind") -> "NDArray[np.float32]":
        """One batch, as :meth:`run_batch`."""
        batch = Batch(0, len(texts), list(range(len(texts))), list(texts))
        return self.run_batch(batch, kind, collect=False).vectors

    def run_batch(self, batch: Batch, kind: "Kind", *, collect: bool) -> Part:
        """Look texts up, embed those that are missing, keep them."""
        keys = [self._key(text, kind) for text in batch.texts]
        vectors = self._look_up(keys)
        missing = {key: text for key, text in zip(keys, batch.texts, strict=True) if key not in vectors}
        self.meters[0].count("cache_hits", len(keys) - len(missing))
        errors: dict[bytes, EmbedStackError] = {}
        wanted = list(missing)
        for part in self.inner.run_prepared(list(missing.values()), kind):
            new = {wanted[index]: vector for index, vector in zip(part.indices, part.vectors, strict=True)}
            # At once, so that whoever is killed loses no more than what was under way.
            for cache in self._caches if new else ():
                cache.put(new)
            vectors |= new
            errors |= {wanted[failure.index]: failure.error for failure in part.failures}
        failed = [(index, errors[key]) for index, key in zip(batch.indices, keys, strict=True) if key in errors]
        if failed and not collect:
            index, error = failed[0]
            raise error.at(index)
        failures = [*batch.refused, *(Failure(index, error.at(index)) for index, error in failed)]
        found = [(index, vectors[key]) for index, key in zip(batch.indices, keys, strict=True) if key in vectors]
        return Part(
            batch.first,
            batch.count,
            np.asarray([index for index, _ in found], np.intp),
            np.stack([vector for _, vector in found]) if found else np.empty((0, self.info.dimensions), np.float32),
            tuple(sorted(failures, key=lambda failure: failure.index)),
        )

    def embed_spans(
        self, texts: "Iterable[SpannedText]", kind: "Kind" = "document", *, context: "Context | None" = None
    ) -> "Generator[NDArray[np.float32]]":
        """As the wrapped embedder does it: vectors of parts of texts are not kept."""
        return self.inner.embed_spans(texts, kind, context=context)

    def close(self) -> None:
        """Let go of threads and files."""
        super().close()
        for cache in self._caches:
            cache.close()

    def _look_up(self, keys: Sequence[bytes]) -> "dict[bytes, Vector]":
        found: dict[bytes, Vector] = {}
        for position, cache in enumerate(self._caches):
            absent = list(dict.fromkeys(key for key in keys if key not in found))
            if not absent:
                break
            here = cache.get(absent)
            # A file that someone damaged, or another tool's, must not become a wrong vector.
            here = {key: vector for key, vector in here.items() if self._is_plausible(vector)}
            for earlier in self._caches[:position] if here else ():
                earlier.put(here)
            found |= here
        return found

    def _is_plausible(self, vector: "Vector") -> bool:
        return vector.shape == (self.info.dimensions,) and bool(np.isfinite(vector).all())

    def _key(self, text: str, kind: "Kind") -> bytes:
        # The text has its prompt already; the kind remains, since some models tell them apart otherwise.
        return hashlib.sha256(b"\0".join((self._space, kind.encode(), text.encode()))).digest()


class _Windows(BatchSizer):
    """Every window is full: nothing is sent anywhere with it."""

    def items(self, mean_characters: float) -> int:
        del mean_characters
        return _WINDOW


def _space(embedder: "Embedder") -> bytes:
    """What distinguishes the vectors of one model from another's."""
    info = embedder.info
    facts = (info.model_id, info.revision, info.pooling, info.normalized, info.dimensions)
    return "\0".join(itertools.chain(["1"], (str(fact) for fact in facts))).encode()
