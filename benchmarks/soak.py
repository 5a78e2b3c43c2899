"""Soak test with many concurrent clients: every vector belongs to its text, and memory does not grow.

usage: .venv/bin/python benchmarks/soak.py [--requests 200000] [--clients 64] [--model FOLDER]... [--precision fp32]

Each request contains a unique text. Its vector over HTTP is compared with the one that the encoder computes offline, in
this process. Several models have a server each and share requests and clients. Without --model, these are tiny models
of three architectures with random weights, so that most of the time is the servers' own work. Exits with status 1 if a
vector is wrong or if memory grew.
"""

import argparse
import random
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import http_load
import numpy as np
from server_process import Server, serving

from embedstack_server.compute.encoder import Encoder

ROOT = Path(__file__).resolve().parents[1]
_SAMPLES = 20
# Words of which the texts consist; the second line is in the vocabulary of the reference models.
_WORDS = (
    ("the", "cat", "sat", "on", "mat", "dog", "ran", "far"),
    ("w0", "w1", "w2", "w3", "w4", "w5", "w6", "w7"),
)
# Up to this sample, memory grows because the server's thread and memory pools fill up.
_WARM_SAMPLE = 4


def main() -> None:
    """Run the soak test, and print its results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=200_000, help="of all models together (default: %(default)s)")
    parser.add_argument("--clients", type=int, default=64, help="of all models together (default: %(default)s)")
    parser.add_argument("--model", type=Path, action="append", dest="models", help="may be repeated")
    parser.add_argument("--precision", default="fp32", choices=["fp32", "bf16", "int8"])
    parser.add_argument("--least-cosine", type=float, default=0.9999)
    parser.add_argument(
        "--largest-growth",
        type=float,
        default=0.05,
        help="maximum growth of memory after the first fifth of the requests",
    )
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch, ExitStack() as servers:
        folders = arguments.models or _tiny_models(Path(scratch))
        precision = arguments.precision
        soaks = [
            _Soak(
                folder,
                servers.enter_context(serving(folder, "--precision", precision)),
                servers.enter_context(closing(Encoder.load(folder, precision=precision))),
                arguments.requests // len(folders),
            )
            for folder in folders
        ]
        loads = http_load.run_each_once_at(
            [(soak.server.port, texts(len(soak.vectors), soak.words), soak.record) for soak in soaks],
            max(arguments.clients // len(soaks), 1),
        )
        seconds = max(load.seconds for load in loads)
        total = sum(soak.responses for soak in soaks)
        print(f"{total:,} requests from {arguments.clients} clients in {seconds:.0f} s, {total / seconds:.0f}/s")
        passed = [soak.check(arguments.least_cosine, arguments.largest_growth) for soak in soaks]
    sys.exit(0 if all(passed) else 1)


def texts(count: int, words: tuple[str, ...]) -> Iterator[str]:
    """Unique texts of 6 to 14 words, which begin with their number in words."""
    chosen = random.Random(0)  # noqa: S311 - a fixed sequence is the point
    for number in range(count):
        digits = [words[int(digit)] for digit in f"{number:06o}"]
        yield " ".join(digits + chosen.choices(words, k=chosen.randint(0, 8)))


class _Soak:
    """One model: its server, its offline encoder, and the responses."""

    def __init__(self, folder: Path, server: Server, encoder: Encoder, requests: int) -> None:
        self.server = server
        self.vectors = np.full((requests, encoder.model.dimensions), np.nan, np.float32)
        self.responses = 0
        # Unknown words have the same token, so that a swapped row could not be told from the right one.
        self.words = next(words for words in _WORDS if len({*map(tuple, encoder.encode(words).ids)}) == len(words))
        self._name = folder.name
        self._encoder = encoder
        self._memory: list[float] = []

    def record(self, number: int, body: bytes) -> None:
        """Keep a response's vector."""
        size = self.vectors.itemsize * self.vectors.shape[1]
        self.vectors[number] = np.frombuffer(body, np.float32, offset=len(body) - size)
        self.responses += 1
        if self.responses % max(len(self.vectors) // _SAMPLES, 1) == 0:
            self._memory.append(self.server.megabytes)

    def check(self, least_cosine: float, largest_growth: float) -> bool:
        """Compare with the offline vectors, in blocks of a few thousand; print the results."""
        inputs = list(texts(len(self.vectors), self.words))
        worst, wrong, closest = 1.0, 0, -1.0
        for start in range(0, len(inputs), 4096):
            expected = self._encoder.encode(inputs[start : start + 4096]).vectors()
            cosines = (self.vectors[start : start + 4096] * expected).sum(axis=1)
            worst = min(worst, float(cosines.min()))
            wrong += int((~(cosines >= least_cosine)).sum())
            others = expected[:1024] @ expected[:1024].T
            np.fill_diagonal(others, -1)
            closest = max(closest, float(np.median(others.max(axis=1))))
        growth = self._memory[-1] / self._memory[min(_WARM_SAMPLE, len(self._memory) - 1)] - 1
        print(f"{self._name}: lowest cosine to the offline vector {worst:.6f}; {wrong} of {len(inputs):,} are under "
              f"{least_cosine}; median cosine to the nearest of 1,023 other texts {closest:.4f}, the best that a "
              "swapped row could have")  # fmt: skip
        print(f"{self._name}: memory, MB:", " ".join(f"{megabytes:.0f}" for megabytes in self._memory),
              f"({growth:+.1%} since warm)")  # fmt: skip
        return wrong == 0 and growth <= largest_growth


def _tiny_models(folder: Path) -> list[Path]:
    sys.path.insert(0, str(ROOT))
    from tests.support.reference_models import ReferenceModel  # noqa: PLC0415 - needs the path set above
    from tests.support.tiny_bert import write_model  # noqa: PLC0415

    others = [ReferenceModel.load(name).write(folder / name) for name in ("modernbert", "qwen3")]
    return [write_model(folder / "bert"), *others]


if __name__ == "__main__":
    main()
