"""Middleware that takes vectors from caches and sends only the cache misses to the backend."""

import asyncio
import hashlib
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from contextlib import aclosing, closing
from typing import TYPE_CHECKING, Any

import numpy as np

from embedstack.cache.layers import Cache, CacheLayers
from embedstack.cache.memory import MemoryCache
from embedstack.cache.sqlite import SqliteCache
from embedstack.calls.call_context import Call
from embedstack.embedders.adaptive_limits import FixedBatchSizer
from embedstack.embedders.batching import Batch, Batcher, Limits, utf8_bytes
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

__all__ = ["Cache", "CachedEmbedder", "MemoryCache", "SqliteCache"]

# Texts per lookup, at most: the cost of a lookup in a file is divided among them.
_BLOCK = 64
_UNLIMITED_BYTES = 1 << 40
# A stream with mostly cache hits must be read further to keep the backend busy with the misses: this many times as far,
# once as many vectors have been yielded. Until then it is read only as far as without a cache.
_READ_AHEAD_FACTOR = 4


class CachedEmbedder(EmbedderMiddleware):
    """Embeds only cache misses, and each text of a call once.

    The key of an entry is a hash of the text, with its prompt, and of everything else that its vector depends on
    (:meth:`~embedstack.embedders.Embedder.vector_identity`). Vectors from a cache are checked like those from the
    backend. A cache that fails causes cache misses and one warning, never an error.
    """

    def __init__(self, inner: "Embedder", *caches: Cache) -> None:
        """Put caches before an embedder.

        Args:
            inner: Embeds the cache misses.
            caches: Looked up in this order; a hit is stored in the caches before it. Defaults to a
                :class:`MemoryCache`.
        """
        caches = caches or (MemoryCache(),)
        super().__init__(inner)
        # Besides the threads of the requests in flight, some that write to a file; the backend limits the requests.
        writers = 0 if all(isinstance(cache, MemoryCache) for cache in caches) else (inner.limits.concurrency + 1) // 2
        # Not the backend's threads: a batch of cache misses that waits there for another one would block it.
        self._threads = thread_pool(inner.limits.concurrency + writers)
        self._caches = CacheLayers(caches, self._keep_valid)
        self._prefixes: Mapping[str, bytes] | None = None

    def request_vectors(self, texts: Sequence[str], kind: "Kind") -> "NDArray[np.float32]":
        """Embed one batch, as :meth:`embed_prompted_texts`."""
        batch = Batch(0, len(texts), list(range(len(texts))), list(texts))
        return self.embed_prompted_texts(batch, kind, collect=False).vectors

    def embed_prompted_texts(self, batch: Batch, kind: "Kind", *, collect: bool) -> BatchResult:
        """Look texts up, embed the cache misses and store them."""
        flow = _Flow(self, kind, collect=True)
        results = run(
            flow.read([batch]), self._miss_batcher(), flow.embed, self._threads.get,
            self._inner_call(Call.current()), self.look_ahead,
        )  # fmt: skip
        (complete,) = [block for result in results for block in flow.take(result)]
        if not collect and complete.failures:
            raise complete.failures[0].error
        return complete

    def stream_batches(
        self, texts: "Iterable[Any]", kind: "Kind", context: "Context | None", *, collect: bool, call: Call
    ) -> "Generator[BatchResult]":
        """See :meth:`Embedder.embed_stream`."""
        flow = _Flow(self, kind, collect=collect)
        blocks = _split(paced(texts), self._block_batcher(kind, context, collect=collect))
        results = run(
            flow.read(blocks), self._miss_batcher(), flow.embed, self._threads.get, self._inner_call(call),
            self.look_ahead,
        )  # fmt: skip
        try:
            with closing(results):
                for result in results:
                    yield from flow.take(result)
        finally:
            flow.record_hits()

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
        try:
            async with aclosing(blocks), aclosing(flow.aread(blocks, look_up)) as misses:
                results = arun(
                    misses, self._miss_batcher(), flow.embed, self._threads.get, self._inner_call(call),
                    self.look_ahead,
                )  # fmt: skip
                async with aclosing(results):
                    async for result in results:
                        for complete in flow.take(result):
                            yield complete
        finally:
            flow.record_hits()

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
        self._caches.close()

    def key(self, text: str, kind: "Kind") -> bytes:
        """The key of a text with its prompt."""
        # A text with an unpaired surrogate is rejected elsewhere; its key must only differ from those of other texts.
        return hashlib.sha256(self._prefix(kind) + text.encode("utf-8", "surrogatepass")).digest()

    def look_up(self, keys: Sequence[bytes]) -> "dict[bytes, Vector]":
        """The vectors (dimensions,) found in the caches."""
        if self.info.dimensions is None:
            return {}  # the keys of stored vectors depend on it
        return self._caches.get(keys)

    def store(self, vectors: "Mapping[bytes, Vector]") -> None:
        """Store vectors in every cache."""
        self._caches.put(vectors)

    def _keep_valid(self, vectors: "dict[bytes, Vector]") -> "dict[bytes, Vector]":
        shape = (self.info.dimensions,)
        fitting = {key: vector for key, vector in vectors.items() if np.shape(vector) == shape}
        if not fitting:
            return fitting
        valid = are_valid(np.stack([*fitting.values()]), self.info)
        if valid.all():
            return fitting
        return {key: vector for (key, vector), is_valid in zip(fitting.items(), valid, strict=True) if is_valid}

    def _prefix(self, kind: "Kind") -> bytes:
        """What the key of every text begins with.

        Until the first response shows the length of a vector, keys tell the texts of a call apart, and nothing is
        stored or looked up by them.
        """
        prefixes = self._prefixes
        if prefixes is None:
            is_final = self.info.dimensions is not None
            identity = self.inner.vector_identity()
            # Texts are hashed after 32 bytes of fixed length, so that prefix and text cannot be confused.
            prefixes = {kind: identity_digest(identity, kind) for kind in ("query", "document")}
            if is_final:
                self._prefixes = prefixes
        return prefixes[kind]

    def _inner_call(self, call: Call) -> Call:
        return call.context().run(self.inner.start_call)  # the wrapped embedder may have a deadline

    def _block_batcher(self, kind: "Kind", context: "Context | None", *, collect: bool) -> Batcher:
        sizes = self.text_sizes()
        limits = Limits(
            max_items=self.block_items,
            max_bytes=_UNLIMITED_BYTES,
            max_text_bytes=self.limits.max_text_bytes or self.limits.max_bytes - sizes.envelope,
        )
        # Blocks are always full, since they are looked up and not sent.
        return Batcher(
            limits, FixedBatchSizer(limits.max_items), sizes, prompt=self.prompt(kind, context), collect=collect
        )

    def _miss_batcher(self) -> Batcher:
        return Batcher(self.limits, self.runner.sizer, self.text_sizes(), collect=True)


class _Flow:
    """The flow of one call through the cache: blocks of texts in, cache misses to the backend, complete blocks out."""

    def __init__(self, embedder: CachedEmbedder, kind: "Kind", *, collect: bool) -> None:
        self._embedder = embedder
        self._kind = kind
        self._collect = collect
        self._blocks: deque[_Block] = deque()
        self._texts = self._yielded = 0
        # Keys sent to the backend, in order, and their results for as long as a block waits for them.
        self._sent: deque[bytes] = deque()
        self._results: dict[bytes, Vector | EmbedStackError | None] = {}
        self._uses: Counter[bytes] = Counter()
        self._unused: list[bytes] = []
        self._room = asyncio.Event()
        self._hits = self._tokens_of_hits = 0

    def read(self, items: "Iterable[Any]") -> "Iterator[Any]":
        """The cache misses, and signals for :func:`run`.

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
        """Embed cache misses and store their vectors; runs in a thread."""
        result = self._embedder.inner.embed_prompted_texts(batch, self._kind, collect=True)
        texts = dict(zip(batch.indices, batch.texts, strict=True))
        # Not the keys of the lookup, at which the length of a vector may have been unknown.
        keys = (self._embedder.key(texts[int(index)], self._kind) for index in result.indices)
        # Immediately, so that a killed process loses only the requests in flight.
        self._embedder.store(dict(zip(keys, result.vectors, strict=True)))
        return result

    def take(self, result: BatchResult | None) -> "Iterator[BatchResult]":
        """The blocks that are complete now.

        Args:
            result: The result of the next batch of cache misses; None if only hits were added.

        Raises:
            EmbedStackError: A text has no vector, and failures are not collected.
        """
        if result is not None:
            keys = [self._sent.popleft() for _ in range(result.count)]
            for index, vector in zip(result.indices, result.vectors, strict=True):
                self._results[keys[index - result.first]] = vector
            for failure in result.failures:
                self._results[keys[failure.index - result.first]] = failure.error
        while self._blocks and all(self._results[key] is not None for key in self._blocks[0].missing):
            block = self._blocks.popleft()
            self._texts -= block.batch.count
            self._yielded += block.batch.count
            yield self._complete(block)
            for key in block.missing:
                self._uses[key] -= 1
                if not self._uses[key]:
                    self._unused.append(key)
        self._room.set()

    def _keys(self, batch: Batch) -> list[bytes]:
        return [self._embedder.key(text, self._kind) for text in batch.texts]

    def _enter(self, block: "_Block", hits: "dict[bytes, Vector]") -> list[str]:
        """Let a block wait for its misses; returns the texts that were not sent for an earlier block."""
        block.hits = hits
        missing: dict[bytes, str] = {}
        found = []
        for key, text in zip(block.keys, block.batch.texts, strict=True):
            if key in hits or key in missing:
                found.append(text)
            else:
                missing[key] = text
        block.missing = list(missing)
        self._count_hits(found)
        self._uses.update(block.missing)
        texts = []
        for key, text in missing.items():
            # The lookup may have started before the vector was stored.
            if key not in self._results:
                self._results[key] = None
                self._sent.append(key)
                texts.append(text)
            else:
                self._count_hits([text])
        for key in self._unused:
            if not self._uses[key]:
                del self._results[key], self._uses[key]
        self._unused.clear()
        self._blocks.append(block)
        self._texts += block.batch.count
        return texts

    def record_hits(self) -> None:
        """Record the cache hits of the call in the ledger."""
        runner = self._embedder.runner
        if self._hits and runner.accountant.is_recording:
            runner.accountant.record_hits(self._kind, self._hits, self._tokens_of_hits)

    def _count_hits(self, texts: "Iterable[str]") -> None:
        sizes = [utf8_bytes(text) for text in texts]
        self._hits += len(sizes)
        self._tokens_of_hits += self._embedder.runner.estimate_tokens(sizes)
        self._embedder.meters[0].count("cache_hits", len(sizes))

    @property
    def _is_full(self) -> bool:
        most = self._embedder.look_ahead * self._embedder.limits.max_items
        return self._texts + self._embedder.block_items > min(_READ_AHEAD_FACTOR * most, most + self._yielded)

    def _complete(self, block: "_Block") -> BatchResult:
        batch = block.batch
        vectors: list[Vector] = []
        indices: list[int] = []
        failures = list(batch.refused)
        for index, key in zip(batch.indices, block.keys, strict=True):
            result = block.hits[key] if key in block.hits else self._results[key]
            if not isinstance(result, EmbedStackError):
                assert result is not None  # noqa: S101 - the block is complete
                vectors.append(result)
                indices.append(index)
            elif self._collect:
                failures.append(Failure(index, result.at(index)))
            else:
                raise result.at(index)
        return BatchResult(
            batch.first,
            batch.count,
            np.asarray(indices, np.intp),
            # Copies, so that changes by the caller do not reach the cache.
            np.stack(vectors) if vectors else np.empty((0, self._embedder.info.dimensions or 0), np.float32),
            tuple(sorted(failures, key=lambda failure: failure.index)),
        )


class _Block:
    """Consecutive texts that are looked up together, with their hits and misses."""

    def __init__(self, batch: Batch, keys: list[bytes]) -> None:
        self.batch = batch
        self.keys = keys
        self.hits: dict[bytes, Vector] = {}
        self.missing: list[bytes] = []


def _split(items: "Iterable[Any]", batcher: Batcher) -> "Iterator[Any]":
    """Groups texts into blocks; a pause or an error ends the current block."""
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
    """As :func:`_split`; a pause of the source ends a block that is not full."""
    source = AsyncSource(texts, batcher.max_items)
    try:
        while not source.is_over:
            for item in _split(source.take(), batcher):
                yield item
            if not source.is_over:
                await source.wait()
    finally:
        await source.close()
