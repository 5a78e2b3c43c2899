"""The encoder compared with sentence-transformers' ``encode`` on one GPU, each in its own process.

usage: python benchmarks/gpu.py [--rounds 5] [--quick] [--sizes MiniLM-L6 bge-m3 Qwen3-0.6B] [--json FILE]

Needs a GPU and the extra ``torch``; vLLM is measured too if it is installed. The models are those of sized_models.py.
The figures are texts and tokens per second for docstrings and for texts of 50 and 512 tokens, the share of the card's
bfloat16 peak, the time of a single text, and the lowest cosine to the model's float32 vectors on the CPU. The peak is
measured with a matrix product of 8,192 x 8,192.
"""

import argparse
import importlib.util
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from sized_models import SIZES, multiplications, write_model
from workloads import mixed_texts

from embedstack_server.compute.encoder import Encoder

Embed = Callable[[list[str]], Any]

#: Precision, and the batch size of sentence-transformers: its default, and about that of the encoder.
ENGINES: dict[str, tuple[str, int | None]] = {
    "embedstack auto": ("auto", None),
    "embedstack fp32": ("fp32", None),
    "sentence-transformers bf16": ("bf16", 32),
    "sentence-transformers bf16, 256 a batch": ("bf16", 256),
    "sentence-transformers fp32": ("fp32", 32),
    "vLLM bf16": ("bf16", None),
}
_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
_ALONE = 50
_PEAK_SIZE = 8192


def load(engine: str, folder: Path) -> Embed:
    """Load an engine."""
    precision, batch = ENGINES[engine]
    if engine.startswith("vLLM"):
        from vllm import LLM  # noqa: PLC0415 - optional

        vllm = LLM(str(folder), runner="pooling", dtype="bfloat16")
        return lambda texts: [output.outputs.embedding for output in vllm.embed(texts, use_tqdm=False)]
    if batch is None:
        encoder = Encoder.load(folder, device="cuda", precision=precision)  # type: ignore[arg-type]
        print(f"{engine}: {encoder.precision}", file=sys.stderr)
        return lambda texts: encoder.encode(texts).vectors()
    module = SentenceTransformer(str(folder), device="cuda", model_kwargs={"dtype": _DTYPES[precision]})
    return lambda texts: module.encode(texts, batch_size=batch, show_progress_bar=False)


def seconds(embed: Embed, texts: list[str]) -> float:
    """Time of one call."""
    started = time.perf_counter()
    embed(texts)
    return time.perf_counter() - started


def measure(embed: Embed, workloads: dict[str, list[str]], rounds: int) -> dict[str, Any]:
    """One engine's figures, and its vectors of the workload ``compared``."""
    embed(["the first vector"])
    figures: dict[str, Any] = {"one_ms": statistics.median(1000 * seconds(embed, [t]) for t in workloads["alone"])}
    for name in ("docstrings", "50 tokens", "512 tokens"):
        count = len(workloads[name])
        first = count / seconds(embed, workloads[name])
        figures[name] = {"first": first, "rates": [count / seconds(embed, workloads[name]) for _ in range(rounds)]}
    return figures | {"vectors": np.asarray(embed(workloads["compared"]), np.float32).tolist()}


def bf16_peak() -> float:
    """Floating-point operations per second of a large bfloat16 matrix product."""
    matrix = torch.ones(_PEAK_SIZE, _PEAK_SIZE, device="cuda", dtype=torch.bfloat16)
    times = []
    for _ in range(20):
        torch.cuda.synchronize()
        started = time.perf_counter()
        torch.matmul(matrix, matrix)
        torch.cuda.synchronize()
        times.append(time.perf_counter() - started)
    return float(2 * _PEAK_SIZE**3 / statistics.median(times))


def make_workloads(words: list[str], size: str, *, quick: bool) -> dict[str, list[str]]:
    """The texts of each workload; a word is one token, and every text has two special tokens."""
    chosen = random.Random(5)  # noqa: S311 - a fixed sequence is the point
    longest = min(512, SIZES[size][2])
    docstrings = mixed_texts((512 if quick else 2048) + _ALONE)

    def of_length(tokens: int, count: int) -> list[str]:
        return [" ".join(chosen.choices(words, k=tokens - 2)) for _ in range(count // 4 if quick else count)]

    return {
        "alone": docstrings[:_ALONE], "docstrings": docstrings[_ALONE:], "50 tokens": of_length(50, 8192),
        "512 tokens": of_length(longest, 1024), "compared": docstrings[:64],
    }  # fmt: skip


def compare(size: str, engines: list[str], rounds: int, peak: float, *, quick: bool) -> list[dict[str, Any]]:
    """Measure the engines one after the other, and print each engine's figures."""
    words = sorted({word for text in mixed_texts(1000) for word in text.split()})[:8000]
    workloads = make_workloads(words, size, quick=quick)
    tokens = {"50 tokens": 50, "512 tokens": min(512, SIZES[size][2])}
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = write_model(Path(temporary), size, [text for each in workloads.values() for text in each])
        reference = SentenceTransformer(str(folder), device="cpu").encode(
            workloads["compared"], show_progress_bar=False
        )
        for engine in engines:
            completed = subprocess.run(
                [sys.executable, __file__, "--rounds", str(rounds), "--engine", engine, "--folder", folder],
                input=json.dumps(workloads), stdout=subprocess.PIPE, text=True, check=False,
            )  # fmt: skip
            if completed.returncode:
                print(f"| {size} | {engine} | failed |", flush=True)
                continue
            row = {"model": size, "engine": engine, **json.loads(completed.stdout.splitlines()[-1])}
            row["cosine"] = float((np.asarray(row.pop("vectors")) * reference).sum(axis=1).min())
            cells = [_rates(row["docstrings"])]
            for name, count in tokens.items():
                rate = statistics.median(row[name]["rates"])
                row[name]["share_of_peak"] = rate * multiplications(size, count) / peak
                cells.append(f"{_rates(row[name])}; {rate * count:,.0f} tokens/s; {row[name]['share_of_peak']:.0%}")
            print(f"| {size} | {engine} | {' | '.join(cells)} | {row['one_ms']:.1f} ms | {row['cosine']:.6f} |",
                  flush=True)  # fmt: skip
            rows.append(row)
    return rows


def _rates(figures: dict[str, Any]) -> str:
    rates = figures["rates"]
    return f"{statistics.median(rates):,.0f} ({min(rates):,.0f} to {max(rates):,.0f}; first {figures['first']:,.0f})"


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="two rounds with a quarter of the texts")
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=["MiniLM-L6", "bge-m3", "Qwen3-0.6B"])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--engine", choices=ENGINES, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.folder:
        print(json.dumps(measure(load(options.engine, options.folder), json.load(sys.stdin), options.rounds)))
        return
    if not torch.cuda.is_available():
        sys.exit("No GPU was found. Run this on a machine with an NVIDIA GPU and the extra torch.")
    engines = [name for name in ENGINES if not name.startswith("vLLM") or importlib.util.find_spec("vllm")]
    for missing in ENGINES.keys() - engines:
        print(f"{missing}: not installed")
    peak = bf16_peak()
    print(
        f"{torch.cuda.get_device_name()}, torch {torch.__version__}, bfloat16 peak {peak / 1e12:.0f} TFLOP/s measured"
    )
    print("| Model size | Engine | docstrings, texts/s | 50 tokens, texts/s; of peak | 512 tokens (MiniLM: 256) "
          "| one text, p50 | lowest cosine |\n|---|---|---|---|---|---|---|")  # fmt: skip
    rounds = 2 if options.quick else options.rounds
    rows = [row for size in options.sizes for row in compare(size, engines, rounds, peak, quick=options.quick)]
    if options.json:
        document = {"device": torch.cuda.get_device_name(), "peak_flops": peak, "rows": rows}
        options.json.write_text(json.dumps(document, indent=1))


if __name__ == "__main__":
    main()
