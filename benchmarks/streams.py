"""Read-ahead and throughput of streams: without a cache, and with cache misses, hits, and both.

    python benchmarks/streams.py                 # a few seconds
    python benchmarks/streams.py --texts 200000

The backend responds after 50 ms, to 16 concurrent requests of 32 texts each, and computes nothing.
"""

import argparse
import asyncio
import itertools
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from embedstack.cache.cached_embedder import Cache, CachedEmbedder, MemoryCache, SqliteCache
from embedstack.embedders import Embedder, Kind, Limits
from embedstack.models.model_info import ModelInfo

MODEL = ModelInfo("benchmark/stand-in", dimensions=384, max_tokens=512, pooling="mean")
SECONDS = 0.05
LIMITS = Limits(max_items=32, concurrency=16)


class FixedTimeEmbedder(Embedder):
    """Returns the same vector for every text, after ``SECONDS``."""

    def __init__(self) -> None:
        super().__init__(MODEL, LIMITS)

    def embed_batch(self, texts: Sequence[str], kind: Kind) -> NDArray[np.float32]:
        del kind
        time.sleep(SECONDS)
        return np.eye(1, MODEL.dimensions, dtype=np.float32).repeat(len(texts), axis=0)


def texts(numbers: Iterator[int], taken: list[int]) -> Iterator[str]:
    for number in numbers:
        taken[0] += 1
        yield f"text number {number}"


def by_sync(embedder: Embedder, count: int, step: int) -> tuple[int, float, float]:
    """Texts read before the first vector, texts per second, and microseconds of processor time per text."""
    taken, first = [0], 0
    started, used = time.perf_counter(), time.process_time()
    for _ in embedder.embed_stream(texts(iter(range(0, count * step, step)), taken)):
        first = first or taken[0]
    return first, count / (time.perf_counter() - started), (time.process_time() - used) / count * 1e6


def by_async(embedder: Embedder, count: int, step: int) -> tuple[int, float, float]:
    """Like :func:`by_sync`, with an async generator."""

    async def source(taken: list[int]) -> AsyncIterator[str]:
        for text in texts(iter(range(0, count * step, step)), taken):
            yield text

    async def run() -> tuple[int, float, float]:
        taken, first = [0], 0
        started, used = time.perf_counter(), time.process_time()
        async for _ in embedder.aembed_stream(source(taken)):
            first = first or taken[0]
        return first, count / (time.perf_counter() - started), (time.process_time() - used) / count * 1e6

    return asyncio.run(run())


def main() -> None:
    """Print a line for each case."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, default=40_000, help="texts per stream (default: %(default)s)")
    count = parser.parse_args().texts
    print(f"{'case':<44} {'read before the first':>22} {'texts/s':>10} {'us of CPU':>10}")
    with tempfile.TemporaryDirectory() as folder:
        numbers = itertools.count()
        caches: dict[str, Callable[[], Cache | None]] = {
            "no cache": lambda: None,
            "memory": lambda: MemoryCache(max_bytes=1 << 32),
            "file": lambda: SqliteCache(Path(folder) / f"{next(numbers)}.db"),
        }
        for (where, make), (twin, run) in itertools.product(
            caches.items(), {"sync": by_sync, "async": by_async}.items()
        ):
            cache = make()
            with CachedEmbedder(FixedTimeEmbedder(), cache) if cache is not None else FixedTimeEmbedder() as embedder:
                # Every second text first; then half of all texts are hits, and then all of them.
                for what, amount, step in (("misses", count, 2), ("half are hits", 2 * count, 1), ("hits", count, 1)):
                    if cache is None and what != "misses":
                        continue
                    first, rate, used = run(embedder, amount, step)
                    print(f"{f'{twin}, {where}, {what}':<44} {first:>22,} {rate:>10,.0f} {used:>10.1f}")


if __name__ == "__main__":
    main()
