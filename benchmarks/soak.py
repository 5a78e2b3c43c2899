"""Soak test with many concurrent clients: every vector belongs to its text, and memory does not grow.

usage: .venv/bin/python benchmarks/soak.py [--requests 200000] [--clients 64] [--model FOLDER] [--precision fp32]

Each request contains a unique text. Its vector over HTTP is compared with the one that the encoder computes offline, in
this process. Without --model, a tiny random BERT is used, so that most of the time is the server's own work. Exits with
status 1 if a vector is wrong or if memory grew.
"""

import argparse
import random
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import http_load
import numpy as np
from server_process import Server, serving

from embedstack_server.compute.encoder import Encoder

ROOT = Path(__file__).resolve().parents[1]
_SAMPLES = 20
# Up to this sample, memory grows because the server's thread and memory pools fill up.
_WARM_SAMPLE = 4


def main() -> None:
    """Run the soak test, and print its results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=200_000)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--precision", default="fp32", choices=["fp32", "bf16", "int8"])
    parser.add_argument("--least-cosine", type=float, default=0.9999)
    parser.add_argument(
        "--largest-growth",
        type=float,
        default=0.05,
        help="maximum growth of memory after the first fifth of the requests",
    )
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.model or _tiny(Path(scratch))
        encoder = Encoder.load(folder, precision=arguments.precision)
        with serving(folder, "--precision", arguments.precision) as server:
            vectors, memory = _soak(server, encoder, arguments.requests, arguments.clients)
        all_correct = _check(encoder, vectors, arguments.least_cosine)
        encoder.close()
    growth = memory[-1] / memory[min(_WARM_SAMPLE, len(memory) - 1)] - 1
    print("memory, MB:", " ".join(f"{megabytes:.0f}" for megabytes in memory), f"({growth:+.1%} since warm)")
    sys.exit(0 if all_correct and growth <= arguments.largest_growth else 1)


def texts(count: int) -> Iterator[str]:
    """Unique texts of 6 to 14 words, which begin with their number in words."""
    words = ["the", "cat", "sat", "on", "mat", "dog", "ran", "far"]  # the tiny model's vocabulary
    chosen = random.Random(0)  # noqa: S311 - a fixed sequence is the point
    for number in range(count):
        digits = [words[int(digit)] for digit in f"{number:06o}"]
        yield " ".join(digits + chosen.choices(words, k=chosen.randint(0, 8)))


def _soak(server: Server, encoder: Encoder, requests: int, clients: int) -> tuple[Any, list[float]]:
    vectors = np.full((requests, encoder.model.dimensions), np.nan, np.float32)
    memory: list[float] = []
    responses = 0

    def record(number: int, body: bytes) -> None:
        nonlocal responses
        vectors[number] = np.frombuffer(body, np.float32, offset=len(body) - vectors.itemsize * vectors.shape[1])
        responses += 1
        if responses % max(requests // _SAMPLES, 1) == 0:
            memory.append(server.megabytes)

    load = http_load.run_each_once(server.port, texts(requests), clients, record)
    print(f"{responses:,} requests from {clients} clients in {load.seconds:.0f} s, {responses / load.seconds:.0f}/s")
    return vectors, memory


def _check(encoder: Encoder, vectors: Any, least: float) -> bool:
    """Compare with the offline vectors, in blocks of a few thousand."""
    inputs = list(texts(len(vectors)))
    worst, wrong, closest = 1.0, 0, -1.0
    for start in range(0, len(inputs), 4096):
        expected = encoder.encode(inputs[start : start + 4096]).vectors()
        cosines = (vectors[start : start + 4096] * expected).sum(axis=1)
        worst = min(worst, float(cosines.min()))
        wrong += int((~(cosines >= least)).sum())
        others = expected[:1024] @ expected[:1024].T
        np.fill_diagonal(others, -1)
        closest = max(closest, float(np.median(others.max(axis=1))))
    print(f"lowest cosine to the offline vector {worst:.6f}; {wrong} of {len(vectors):,} are under {least}")
    print(f"median cosine to the nearest of 1,023 other texts {closest:.4f}, the best that a swapped row could have")
    return wrong == 0


def _tiny(folder: Path) -> Path:
    sys.path.insert(0, str(ROOT))
    from tests.support.tiny_bert import write_model  # noqa: PLC0415 - needs the path set above

    return write_model(folder)


if __name__ == "__main__":
    main()
