"""Damages rows of the vector cache, whole cache files and disks, and counts wrong vectors.

    python benchmarks/cache_faults.py                        # 10,000 rows of each kind, 500 files
    python benchmarks/cache_faults.py --rows 500 --files 50

A damaged row or file must be a cache miss: 0 wrong vectors, 0 failed calls, and at most one warning per file. The full
disk is a file system of 1 MB if this process may mount one, otherwise a limit on the size of files.
"""

import argparse
import base64
import logging
import random
import resource
import sqlite3
import subprocess
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np

from embedstack.cache.cached_embedder import CachedEmbedder, SqliteCache
from embedstack.embedders import FakeEmbedder
from embedstack.embedders.fake import FAKE_MODEL, fake_vector

KEY = base64.b64encode(bytes(range(32))).decode()


class Warnings(logging.Handler):
    """Counts warnings."""

    count = 0

    def emit(self, record: logging.LogRecord) -> None:
        self.count += record.levelno >= logging.WARNING


def bits(blob: bytes, draw: random.Random, count: int = 1) -> bytes:
    """Flip ``count`` random bits."""
    changed = bytearray(blob)
    for position in draw.sample(range(8 * len(blob)), count):
        changed[position // 8] ^= 1 << position % 8
    return bytes(changed)


def signs(blob: bytes, draw: random.Random) -> bytes:
    """Flip the signs of two components, which keeps the norm."""
    changed = bytearray(blob)
    for component in draw.sample(range(FAKE_MODEL.require_dimensions()), 2):
        changed[len(blob) - 4 * component - 1] ^= 0x80
    return bytes(changed)


DAMAGES: dict[str, Callable[[bytes, random.Random], bytes]] = {
    "one bit flipped": bits,
    "eight bits flipped": lambda blob, draw: bits(blob, draw, 8),
    "two signs changed": signs,
    "truncated": lambda blob, draw: blob[: draw.randrange(len(blob))],
    "rotated by a component": lambda blob, _: blob[4:] + blob[:4],
    "bytes of zero": lambda blob, _: bytes(len(blob)),
}


def wrong(vectors: np.ndarray, texts: list[str]) -> int:
    """Number of vectors that differ from their texts'."""
    expected = np.stack([fake_vector(text, FAKE_MODEL.require_dimensions()) for text in texts])
    return int((vectors != expected).any(axis=1).sum())


def embed(file: Path, key: str | None, texts: list[str]) -> tuple[int, int]:
    """Embed with this cache file; the number of wrong vectors and of cache hits."""
    with CachedEmbedder(FakeEmbedder(), SqliteCache(file, key=key)) as embedder:
        return wrong(embedder.embed(texts), texts), embedder.stats().cache_hits


def measure_rows(folder: Path, key: str | None, count: int) -> None:
    """Damage every row of a file in every way."""
    texts = [f"text {number}" for number in range(count)]
    draw = random.Random(0)  # noqa: S311 - the same in every run
    for what in (*DAMAGES, "swapped with another row"):
        file = folder / f"{what}-{key is None}.db"
        embed(file, key, texts)
        with closing(sqlite3.connect(file)) as connection, connection:
            rows = connection.execute("SELECT name, vector FROM vectors").fetchall()
            blobs = [blob for _, blob in rows]
            damaged = blobs[1:] + blobs[:1] if what not in DAMAGES else [DAMAGES[what](blob, draw) for blob in blobs]
            changed = [(blob, name) for (name, _), blob in zip(rows, damaged, strict=True)]
            connection.executemany("UPDATE vectors SET vector = ? WHERE name = ?", changed)
        bad, hits = embed(file, key, texts)
        _, repaired = embed(file, key, texts)
        name = "encrypted" if key else "plain"
        print(f"{name}: {len(changed):,} rows, {what}: {bad} wrong vectors, {hits} hits; then {repaired:,} hits")


def measure_files(folder: Path, key: str | None, count: int) -> None:
    """Overwrite random bytes of a file, every fourth time in its header, and truncate every tenth file."""
    texts = [f"text {number}" for number in range(300)]
    whole = folder / f"whole-{key is None}.db"
    embed(whole, key, texts)
    content = whole.read_bytes()
    counter = Warnings()
    logging.getLogger("embedstack").addHandler(counter)
    bad = failed = most = hits = 0
    for number in range(count):
        draw = random.Random(number)  # noqa: S311 - the same in every run
        damaged = bytearray(content)
        for _ in range(draw.choice((1, 5, 50))):
            length = draw.choice((1, 8, 64, 1024))
            start = draw.randrange(100 if number % 4 == 0 else len(damaged))
            damaged[start : start + length] = draw.randbytes(min(length, len(damaged) - start))
        if number % 10 == 1:
            del damaged[draw.randrange(len(damaged)) :]
        file = folder / f"damaged-{number}-{key is None}.db"
        file.write_bytes(damaged)
        before = counter.count
        for _ in range(2):
            try:
                wrong_vectors, cache_hits = embed(file, key, texts)
                bad, hits = bad + wrong_vectors, hits + cache_hits
            except Exception as error:  # noqa: BLE001 - any exception is a failed call
                failed += 1
                print(f"  file {number}: {type(error).__name__}: {error}")
        most = max(most, counter.count - before)
        file.unlink()
    logging.getLogger("embedstack").removeHandler(counter)
    name = "encrypted" if key else "plain"
    print(
        f"{name}: {count} damaged files: {bad} wrong vectors, {failed} failed calls, at most {most} warnings for one, "
        f"{counter.count} in all, {hits:,} of {2 * count * len(texts):,} texts were hits"
    )


def measure_full_disk(folder: Path, key: str | None) -> None:
    """Fill a disk with cache entries."""
    counter = Warnings()
    logging.getLogger("embedstack").addHandler(counter)
    disk = folder / f"disk-{key is None}"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    is_mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    if not is_mounted:
        resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, limits[1]))
    try:
        with CachedEmbedder(FakeEmbedder(), SqliteCache(disk / "cache.db", key=key)) as embedder:
            bad = 0
            for start in range(0, 40_000, 1000):
                texts = [f"text {number}" for number in range(start, start + 1000)]
                bad += wrong(embedder.embed(texts), texts)
            bad += wrong(embedder.embed(["text 1"]), ["text 1"])
            hits = embedder.stats().cache_hits
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        if is_mounted:
            subprocess.run(["umount", disk], check=True)
    logging.getLogger("embedstack").removeHandler(counter)
    name, how = "encrypted" if key else "plain", "a full file system" if is_mounted else "a limit on the size of files"
    print(f"{name}: {how}: {bad} wrong vectors, {counter.count} warnings, {hits} hit of the first cached text")


def main() -> None:
    """Measure everything, unencrypted and encrypted."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000, help="rows to damage in each way (default: %(default)s)")
    parser.add_argument("--files", type=int, default=500, help="files to damage (default: %(default)s)")
    arguments = parser.parse_args()
    logging.getLogger("embedstack").propagate = False
    for key in (None, KEY):
        with tempfile.TemporaryDirectory() as folder:
            measure_rows(Path(folder), key, arguments.rows)
            measure_files(Path(folder), key, arguments.files)
            measure_full_disk(Path(folder), key)


if __name__ == "__main__":
    main()
