"""Many requests from many clients at once: every vector is its own text's, and memory stays where it was.

usage: .venv/bin/python benchmarks/soak.py [--requests 200000] [--clients 64] [--model FOLDER] [--precision fp32]

Each request holds one text that no other holds. Its vector over HTTP is compared with the one that the encoder computes
offline, in this process. Without --model, a random BERT so small that the server's own work is most of the time.
Exits with 1 if a vector is wrong or if memory grew.
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
# Samples before this one see the server's pools of threads and memory fill for the first time.
_WARM_SAMPLE = 4


def main() -> None:
    """Run it, and say what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=200_000)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--precision", default="fp32", choices=["fp32", "bf16", "int8"])
    parser.add_argument("--least-cosine", type=float, default=0.9999)
    parser.add_argument("--largest-growth", type=float, default=0.05, help="of memory, since a fifth was answered")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.model or _tiny(Path(scratch))
        encoder = Encoder.load(folder, precision=arguments.precision)
        with serving(folder, "--precision", arguments.precision) as server:
            vectors, memory = _soak(server, encoder, arguments.requests, arguments.clients)
        right = _check(encoder, vectors, arguments.least_cosine)
        encoder.close()
    growth = memory[-1] / memory[min(_WARM_SAMPLE, len(memory) - 1)] - 1
    print("memory, MB:", " ".join(f"{megabytes:.0f}" for megabytes in memory), f"({growth:+.1%} since warm)")
    sys.exit(0 if right and growth <= arguments.largest_growth else 1)


def texts(count: int) -> Iterator[str]:
    """Texts of 6 to 14 words, each of them other than all before: they begin with their number, in words."""
    words = ["the", "cat", "sat", "on", "mat", "dog", "ran", "far"]  # all that the tiny model knows
    chosen = random.Random(0)  # noqa: S311 - a fixed sequence is the point
    for number in range(count):
        digits = [words[int(digit)] for digit in f"{number:06o}"]
        yield " ".join(digits + chosen.choices(words, k=chosen.randint(0, 8)))


def _soak(server: Server, encoder: Encoder, requests: int, clients: int) -> tuple[Any, list[float]]:
    vectors = np.full((requests, encoder.model.dimensions), np.nan, np.float32)
    memory: list[float] = []
    answers = 0

    def answered(number: int, body: bytes) -> None:
        nonlocal answers
        vectors[number] = np.frombuffer(body, np.float32, offset=len(body) - vectors.itemsize * vectors.shape[1])
        answers += 1
        if answers % max(requests // _SAMPLES, 1) == 0:
            memory.append(server.megabytes)

    load = http_load.run_each_once(server.port, texts(requests), clients, answered)
    print(f"{answers:,} requests from {clients} clients in {load.seconds:.0f} s, {answers / load.seconds:.0f} a second")
    return vectors, memory


def _check(encoder: Encoder, vectors: Any, least: float) -> bool:
    """Compare with the offline vectors, a few thousand at a time."""
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
    print(f"cosine to the offline vector {worst:.6f} at worst; {wrong} of {len(vectors):,} are under {least}")
    print(
        f"cosine to the nearest of 1,023 other texts {closest:.4f} in the median: what a swapped row would have at best"
    )
    return wrong == 0


def _tiny(folder: Path) -> Path:
    sys.path.insert(0, str(ROOT))
    from tests.support.tiny_bert import write_model  # noqa: PLC0415 - not on the path before

    return write_model(folder)


if __name__ == "__main__":
    main()
