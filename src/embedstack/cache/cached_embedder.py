"""Middleware that takes vectors from caches and sends only the cache misses to the backend."""

import asyncio
import hashlib
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from contextlib import aclosing, closing
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np

from embedstack.cache.failures import FailureGuard
from embedstack.cache.memory import MemoryCache
from embedstack.cache.sqlite import SqliteCache
from embedstack.calls.call_context import Call
from embedstack.embedders.adaptive_limits import BatchSizer
from embedstack.embedders.batching import Batch, Batcher, Limits
from embedstack.embedders.executor import arun, run
from embedstack.embedders.identity import identity_digest
from embedstack.embedders.integrity import are_valid
from embedstack.embedders.middleware import EmbedderMiddleware
from embedstack.embedders.request_runner import close_threads, thread_pool
from embedstack.embedders.results import BatchResult, Failure
from embedstack.embedders.source import AsyncSource, Broken, Signal, paced
from embedstack.errors import EmbedStackError, InputError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterable, Callable, Generator, Iterable, Iterator

    from numpy.typing import NDArray

    from embedstack.embedders.base import Embedder
    from embedstack.embedders.prompts import Context, Kind
    from embedstack.embedders.spans import SpannedText

    Vector = NDArray[np.float32]

_Result = TypeVar("_Result")

__all__ = ["Cache", "CachedEmbedder", "MemoryCache", "SqliteCache"]

# Texts that are looked up together at most: what a file takes for one lookup is divided among them.
_BLOCK = 64
_UNLIMITED_BYTES = 1 << 40
# A stream in which most texts are cache hits has to be read further to keep the backend busy with the others: this many
# times as far, once as many vectors have been given. Until then, no further than without a cache.
_READ_AHEAD_FACTOR = 4


class Cache(Protocol):
    """Keeps vectors by 32-byte keys. Safe to call from several threads."""

    def get(self, keys: Sequence[bytes]) -> "dict[bytes, Vector]":
        """Those that are there, float32 (dimensions,) each."""

    def put(self, vectors: "Mapping[bytes, Vector]") -> None:
        """Keep copies of these."""

    def close(self) -> None:
        """Let go of files."""


class CachedEmbedder(EmbedderMiddleware):
    """Embeds only what is in no cache, and each text of a call once.

    The key of an entry is a hash of the text, with its prompt, and of everything else that its vector depends on
    (:meth:`~embedstack.embedders.Embedder.vector_identity`). A vector from a cache is checked as one from the backend
    is. A cache that fails is a cache miss and one warning, never an error.
    """

    def __init__(self, inner: "Embedder", *caches: Cache) -> None:
        """Put caches before an embedder.

        Args:
            inner: Embeds what is in none of them.
            caches: Looked up in this order; a hit is put into those before it. A :class:`MemoryCache` otherwise.
        """
        caches = caches or (MemoryCache(),)
        super().__init__(inner)
        # Besides the threads of the requests in flight, some that write to a file; the backend limits the requests.
        writers = 0 if all(isinstance(cache, MemoryCache) for cache in caches) else (inner.limits.concurrency + 1) // 2
        # Not the backend's threads: a batch of cache misses that waits there for another one would block it.
        self._threads = thread_pool(inner.limits.concurrency + writers)
        self._caches = tuple(_FailSafe(cache, FailureGuard(f"The cache {type(cache).__name__}")) for cache in caches)
        identity = inner.vector_identity()
        # Texts are hashed behind 32 bytes, so that no text can pass for another one's beginning.
        self._prefixes = {kind: identity_digest(identity, kind) for kind in ("query", "document")}

    def request_vectors(self, texts: Sequence[str], kind: "Kind") -> "NDArray[np.float32]":
        """Embed one batch, as :meth:`embed_prompted_texts`."""
        batch = Batch(0, len(texts), list(range(len(texts))), list(texts))
        return self.embed_prompted_texts(batch, kind, collect=False).vectors

    def embed_prompted_texts(self, batch: Batch, kind: "Kind", *, collect: bool) -> BatchResult:
        """Look texts up, embed the cache misses and store them."""
        flow = _Flow(self, kind, collect=True)
        parts = run(
            flow.read([batch]), self._miss_batcher(), flow.embed, self._threads.get,
            self._inner_call(Call.current()), self.look_ahead,
        )  # fmt: skip
        (whole,) = [block for part in parts for block in flow.take(part)]
        if not collect and whole.failures:
            raise whole.failures[0].error
        return whole

    def stream_batches(
        self, texts: "Iterable[Any]", kind: "Kind", context: "Context | None", *, collect: bool, call: Call
    ) -> "Generator[BatchResult]":
        """See :meth:`Embedder.embed_stream`."""
        flow = _Flow(self, kind, collect=collect)
        blocks = _split(paced(texts), self._block_batcher(kind, context, collect=collect))
        parts = run(
            flow.read(blocks), self._miss_batcher(), flow.embed, self._threads.get, self._inner_call(call),
            self.look_ahead,
        )  # fmt: skip
        with closing(parts):
            for part in parts:
                yield from flow.take(part)

    async def astream_batches(
        self, texts: "AsyncIterable[Any]", kind: "Kind", context: "Context | None", *, collect: bool, call: Call
    ) -> "AsyncGenerator[BatchResult]":
        """See :meth:`Embedder.aembed_stream`."""
        flow = _Flow(self, kind, collect=collect)
        loop = asyncio.get_running_loop()
        variables = call.context()

        async def look_up(keys: "Sequence[bytes]") -> "dict[bytes, Vector]":
            # The backend's threads: they are idle here, and no cache misses wait in them.
            return await loop.run_in_executor(self.runner.threads.get(), variables.copy().run, self.look_up, keys)

        blocks = _asplit(texts, self._block_batcher(kind, context, collect=collect))
        async with aclosing(blocks), aclosing(flow.aread(blocks, look_up)) as misses:
            parts = arun(
                misses, self._miss_batcher(), flow.embed, self._threads.get, self._inner_call(call), self.look_ahead
            )
            async with aclosing(parts):
                async for part in parts:
                    for whole in flow.take(part):
                        yield whole

    def embed_spans(
        self, texts: "Iterable[SpannedText]", kind: "Kind" = "document", *, context: "Context | None" = None
    ) -> "Generator[NDArray[np.float32]]":
        """As the wrapped embedder: vectors of parts of texts are not cached."""
        return self.inner.embed_spans(texts, kind, context=context)

    @property
    def look_ahead(self) -> int:
        """Batches of cache misses that are read at most before the first of them has its response."""
        return self.inner.look_ahead

    @property
    def block_items(self) -> int:
        """Texts that are looked up together, at most."""
        return max(1, min(_BLOCK, self.look_ahead * self.limits.max_items // 4))

    def close(self) -> None:
        """Close the wrapped embedder, and release threads and files."""
        close_threads(self._threads)
        super().close()
        for cache in self._caches:
            cache.close()

    def key(self, text: str, kind: "Kind") -> bytes:
        """The key of a text that has its prompt already."""
        # A lone surrogate is refused before; here it must not be taken for another text.
        return hashlib.sha256(self._prefixes[kind] + text.encode("utf-8", "surrogatepass")).digest()

    def look_up(self, keys: Sequence[bytes]) -> "dict[bytes, Vector]":
        """The vectors (dimensions,) that a cache has."""
        found: dict[bytes, Vector] = {}
        for position, cache in enumerate(self._caches):
            absent = list(dict.fromkeys(key for key in keys if key not in found))
            if not absent:
                break
            here = self._checked(cache.get(absent))
            for earlier in self._caches[:position] if here else ():
                earlier.put(here)
            found |= here
        return found

    def keep(self, vectors: "Mapping[bytes, Vector]") -> None:
        """Put vectors into every cache."""
        for cache in self._caches if vectors else ():
            cache.put(vectors)

    def _checked(self, vectors: "dict[bytes, Vector]") -> "dict[bytes, Vector]":
        shape = (self.info.dimensions,)
        fitting = {key: vector for key, vector in vectors.items() if np.shape(vector) == shape}
        if not fitting:
            return fitting
        valid = are_valid(np.stack([*fitting.values()]), self.info)
        if valid.all():
            return fitting
        return {key: vector for (key, vector), is_valid in zip(fitting.items(), valid, strict=True) if is_valid}

    def _inner_call(self, call: Call) -> Call:
        return call.context().run(self.inner.start_call)  # the wrapped embedder may have a deadline

    def _block_batcher(self, kind: "Kind", context: "Context | None", *, collect: bool) -> Batcher:
        sizes = self.text_sizes()
        limits = Limits(
            max_items=self.block_items,
            max_bytes=_UNLIMITED_BYTES,
            max_text_bytes=self.limits.max_text_bytes or self.limits.max_bytes - sizes.envelope,
        )
        sizer = _AlwaysFull(limits.max_items)
        return Batcher(limits, sizer, sizes, prompt=self.prompt(kind, context), collect=collect)

    def _miss_batcher(self) -> Batcher:
        return Batcher(self.limits, self.runner.sizer, self.text_sizes(), collect=True)


class _FailSafe:
    """Any cache, without its errors."""

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
        except Exception as error:  # noqa: BLE001 - a cache of the caller's may raise anything
            # Not its message, which may quote a key or an address with a password.
            self._guard.fail(f"{type(error).__name__} was raised; see to the cache")
            return otherwise


class _AlwaysFull(BatchSizer):
    """A block has as many texts as it may: nothing is sent with it."""

    def items(self, mean_characters: float) -> int:
        del mean_characters
        return self._max_items


class _Flow:
    """One call's way through the cache: blocks of texts in, their cache misses to the backend, whole blocks out."""

    def __init__(self, embedder: CachedEmbedder, kind: "Kind", *, collect: bool) -> None:
        self._embedder = embedder
        self._kind = kind
        self._collect = collect
        self._blocks: deque[_Block] = deque()
        self._texts = self._given = 0
        # What was sent to the backend, in order, and what has come of it, for as long as a block waits for it.
        self._sent: deque[bytes] = deque()
        self._answers: dict[bytes, Vector | EmbedStackError | None] = {}
        self._uses: Counter[bytes] = Counter()
        self._unused: list[bytes] = []
        self._room = asyncio.Event()

    def read(self, items: "Iterable[Any]") -> "Iterator[Any]":
        """The texts that are in no cache, and signals for :func:`run`.

        Args:
            items: Blocks and signals.
        """
        for item in items:
            if not isinstance(item, Batch):
                yield item
                continue
            block = _Block(item, self._keys(item))
            misses = self._enter(block, self._embedder.look_up(block.keys))
            yield from misses
            if not misses:
                yield Signal.READY
            while self._is_full:
                yield Signal.FULL

    async def aread(
        self, items: "AsyncIterable[Any]", look_up: "Callable[[Sequence[bytes]], Any]"
    ) -> "AsyncGenerator[Any]":
        """As :meth:`read`, for :func:`arun`."""
        async for item in items:
            if not isinstance(item, Batch):
                yield item
                continue
            block = _Block(item, self._keys(item))
            misses = self._enter(block, await look_up(block.keys))
            for text in misses:
                yield text
            if not misses:
                yield Signal.READY
            while self._is_full:
                self._room.clear()
                await self._room.wait()

    def embed(self, batch: Batch) -> BatchResult:
        """Embed cache misses and keep their vectors; runs in a thread."""
        part = self._embedder.inner.embed_prompted_texts(batch, self._kind, collect=True)
        texts = dict(zip(batch.indices, batch.texts, strict=True))
        keys = (self._embedder.key(texts[int(index)], self._kind) for index in part.indices)
        # At once, so that a killed process loses no more than what was under way.
        self._embedder.keep(dict(zip(keys, part.vectors, strict=True)))
        return part

    def take(self, part: BatchResult | None) -> "Iterator[BatchResult]":
        """The blocks that are whole now.

        Args:
            part: What came of the next batch of cache misses; None where only hits were added.

        Raises:
            EmbedStackError: A text has no vector, and they are not to be collected.
        """
        if part is not None:
            keys = [self._sent.popleft() for _ in range(part.count)]
            for index, vector in zip(part.indices, part.vectors, strict=True):
                self._answers[keys[index - part.first]] = vector
            for failure in part.failures:
                self._answers[keys[failure.index - part.first]] = failure.error
        while self._blocks and all(self._answers[key] is not None for key in self._blocks[0].missing):
            block = self._blocks.popleft()
            self._texts -= block.batch.count
            self._given += block.batch.count
            yield self._whole(block)
            for key in block.missing:
                self._uses[key] -= 1
                if not self._uses[key]:
                    self._unused.append(key)
        self._room.set()

    def _keys(self, batch: Batch) -> list[bytes]:
        return [self._embedder.key(text, self._kind) for text in batch.texts]

    def _enter(self, block: "_Block", hits: "dict[bytes, Vector]") -> list[str]:
        """Have a block wait for what it misses; the texts that have not been sent for an earlier one."""
        block.hits = hits
        missing = {key: text for key, text in zip(block.keys, block.batch.texts, strict=True) if key not in hits}
        block.missing = list(missing)
        meter = self._embedder.meters[0]
        meter.count("cache_hits", len(block.keys) - len(missing))
        self._uses.update(block.missing)
        texts = []
        for key, text in missing.items():
            # A lookup may have begun before a vector was kept that is here already.
            if key not in self._answers:
                self._answers[key] = None
                self._sent.append(key)
                texts.append(text)
            else:
                meter.count("cache_hits")
        for key in self._unused:
            if not self._uses[key]:
                del self._answers[key], self._uses[key]
        self._unused.clear()
        self._blocks.append(block)
        self._texts += block.batch.count
        return texts

    @property
    def _is_full(self) -> bool:
        most = self._embedder.look_ahead * self._embedder.limits.max_items
        return self._texts + self._embedder.block_items > min(_READ_AHEAD_FACTOR * most, most + self._given)

    def _whole(self, block: "_Block") -> BatchResult:
        batch = block.batch
        found: list[Vector] = []
        indices: list[int] = []
        failures = list(batch.refused)
        for index, key in zip(batch.indices, block.keys, strict=True):
            answer = block.hits[key] if key in block.hits else self._answers[key]
            if not isinstance(answer, EmbedStackError):
                assert answer is not None  # noqa: S101 - the block is whole
                found.append(answer)
                indices.append(index)
            elif self._collect:
                failures.append(Failure(index, answer.at(index)))
            else:
                raise answer.at(index)
        return BatchResult(
            batch.first,
            batch.count,
            np.asarray(indices, np.intp),
            # Copies: what a caller does to its vectors must not change the cache's.
            np.stack(found) if found else np.empty((0, self._embedder.info.dimensions), np.float32),
            tuple(sorted(failures, key=lambda failure: failure.index)),
        )


class _Block:
    """Consecutive texts that are looked up together, and where their vectors come from."""

    def __init__(self, batch: Batch, keys: list[bytes]) -> None:
        self.batch = batch
        self.keys = keys
        self.hits: dict[bytes, Vector] = {}
        self.missing: list[bytes] = []


def _split(items: "Iterable[Any]", batcher: Batcher) -> "Iterator[Any]":
    """The texts as blocks; a pause and an error end the block before."""
    for item in items:
        try:
            blocks = batcher.flush() if isinstance(item, Signal | Broken) else batcher.add(item)
        except InputError as error:
            yield from batcher.flush()
            yield Broken(error)
            return
        yield from blocks
        if isinstance(item, Signal | Broken):
            yield item
    yield from batcher.flush()


async def _asplit(texts: "AsyncIterable[Any]", batcher: Batcher) -> "AsyncGenerator[Any]":
    """As :func:`_split`; a block that is not full is ended while the source pauses."""
    source = AsyncSource(texts, batcher.max_items)
    try:
        while not source.is_over:
            for item in _split(source.take(), batcher):
                yield item
            if not source.is_over:
                await source.wait()
    finally:
        await source.close()
