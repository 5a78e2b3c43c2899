"""The model server compared with other engines: offline, over HTTP, single texts, and time to the first vector.

The engines alternate within a run, so that a slowdown of the machine affects all of them. Ratios are medians over the
rounds, relative to sentence-transformers' fp32 in the same round.

usage: .venv/bin/python benchmarks/serving.py [--rounds 7] [--json FILE] [--plot FILE.svg]
Other engines run if their environment exists: `make install-benchmarks` creates all of them.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import http_load
import numpy as np
import openvino as ov
from openvino import opset13 as ops
from server_process import serving
from serving_plot import plot
from workloads import mixed_texts, short_texts

from embedstack.models.local_files import find_model_folder
from embedstack_server.model.model_folder import ModelFolder
from embedstack_server.model.tokenizer import Tokenizer

ROOT = Path(__file__).resolve().parents[1]
BASELINE = "sentence-transformers fp32"
ENVIRONMENTS = {
    "embedstack bf16": Path(sys.executable),
    "embedstack int8": Path(sys.executable),
    "embedstack fp32": Path(sys.executable),
    BASELINE: ROOT / ".venv-reference/bin/python",
    "sentence-transformers bf16": ROOT / ".venv-reference/bin/python",
    "HuggingFace toolkit": ROOT / ".venv-toolkit/bin/python",
    "infinity": ROOT / ".venv-infinity/bin/python",
    "fastembed": ROOT / ".venv-fastembed/bin/python",
}
OURS = "embedstack bf16"
CLIENTS = (1, 2, 4, 8, 16, 32, 64)
#: Starts per engine, of which the median is used: a start may have to read the program from disk.
STARTS = 3


class Engine:
    """An engine's process."""

    def __init__(self, name: str, folder: Path, workloads: Path) -> None:
        started = time.perf_counter()
        self.name = name
        self._process: Any = subprocess.Popen(
            [str(ENVIRONMENTS[name]), str(ROOT / "benchmarks/engine.py"), name, str(folder), str(workloads)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            env={**os.environ, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "true"},
        )  # fmt: skip
        self._read()
        self.first_vector = time.perf_counter() - started

    def measure(self, workload: str) -> Any:
        """Embed a workload once."""
        self._process.stdin.write(workload + "\n")
        self._process.stdin.flush()
        return self._read()

    def close(self) -> None:
        """Stop its process."""
        self._process.kill()
        self._process.communicate()

    def _read(self) -> Any:
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.name} exited")
        return json.loads(line)


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    parser.add_argument("--plot", type=Path, help="plot throughput and latency under load to this SVG file")
    arguments = parser.parse_args()
    folder = find_model_folder("sentence-transformers/all-MiniLM-L6-v2", ROOT / "models")
    if folder is None:
        sys.exit("The weights are not installed. Install them with: make up")
    texts = {"mix": mixed_texts(160), "short": short_texts(400), "one": short_texts(40)}
    with tempfile.TemporaryDirectory() as scratch:
        workloads = Path(scratch) / "workloads.json"
        workloads.write_text(json.dumps(texts))
        results = {"offline": _offline(folder, workloads, texts, arguments.rounds)}
        results["http"] = _http(folder, workloads, texts, arguments.rounds)
    results["roofline"] = _roofline(folder, texts)
    _print(results)
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1))
    if arguments.plot:
        arguments.plot.write_text(plot(results, BASELINE), encoding="utf-8")


def _offline(folder: Path, workloads: Path, texts: dict[str, list[str]], rounds: int) -> dict[str, Any]:
    engines = []
    for name, python in ENVIRONMENTS.items():
        if not python.exists():
            print(f"{name}: not measured, no {python.parents[1].name}", file=sys.stderr)
            continue
        try:
            engines.append(_started(name, folder, workloads))
        except RuntimeError as error:
            print(f"{name}: not measured, {error}", file=sys.stderr)
    figures: dict[str, Any] = {
        engine.name: {"first_vector": engine.first_vector, "mix": [], "short": [], "one": []} for engine in engines
    }
    for number in range(rounds + 1):
        for workload, inputs in texts.items():
            for engine in engines:
                measured = engine.measure(workload)
                if number:  # the first round warms up
                    rate = len(inputs) / measured["seconds"]
                    figures[engine.name][workload].append(median(measured["each"]) if workload == "one" else rate)
                figures[engine.name]["megabytes"] = measured["megabytes"]
    for engine in engines:
        engine.close()
    return figures


def _started(name: str, folder: Path, workloads: Path) -> Engine:
    """Start an engine several times; the last one, with the median start time."""
    times = []
    for _ in range(STARTS - 1):
        engine = Engine(name, folder, workloads)
        times.append(engine.first_vector)
        engine.close()
    engine = Engine(name, folder, workloads)
    engine.first_vector = median([*times, engine.first_vector])
    return engine


def _http(folder: Path, workloads: Path, texts: dict[str, list[str]], rounds: int) -> dict[str, Any]:
    """Throughput and latency over HTTP, compared in each round with the same texts embedded offline."""
    figures: dict[str, Any] = {"mix": [], "short": [], "one": [], "latency": {}, "of_offline": {"mix": [], "short": []}}
    offline = Engine(OURS, folder, workloads)

    def add(workload: str, rate: float) -> None:
        seconds = median(offline.measure(workload)["seconds"] for _ in range(3))
        figures[workload].append(rate)
        figures["of_offline"][workload].append(rate * seconds / len(texts[workload]))

    batches = [texts["mix"][start : start + 32] for start in range(0, len(texts["mix"]) - 31, 32)]
    single = [[text] for text in texts["short"]]
    with serving(folder) as server:
        http_load.run(server.port, single, 64, 2)
        http_load.run(server.port, batches, 4, 2)
        for workload in figures["of_offline"]:
            offline.measure(workload)
        for _ in range(rounds):
            load = http_load.run(server.port, batches, 4, 3)
            add("mix", len(load.latencies) * 32 / load.seconds)
            load = http_load.run(server.port, single, 64, 3)
            add("short", len(load.latencies) / load.seconds)
            figures["one"].append(median(http_load.run(server.port, single, 1, 1).latencies))
        for clients in CLIENTS:
            load = http_load.run(server.port, single, clients, 3)
            figures["latency"][clients] = {
                "requests": len(load.latencies) / load.seconds,
                **{f"p{part}": float(np.percentile(load.latencies, part)) for part in (50, 95, 99)},
            }
        figures["megabytes"] = server.megabytes
    offline.close()
    return figures


def _roofline(folder: Path, texts: dict[str, list[str]]) -> dict[str, float]:
    """Texts per second if all multiplications ran at the speed of a large bfloat16 matrix product."""
    model = ModelFolder.read(folder)
    tokenizer = Tokenizer(model.tokenizer, model.max_tokens)
    size = 1024
    weights = ops.constant(np.ones((size, size), np.float32))
    row = ops.parameter([4 * size, size], np.float32)
    streams = str(os.cpu_count())
    compiled = ov.Core().compile_model(
        ov.Model([ops.matmul(row, weights, False, False)], [row]), "CPU",
        {"INFERENCE_PRECISION_HINT": "bf16", "NUM_STREAMS": "1", "INFERENCE_NUM_THREADS": streams},
    )  # fmt: skip
    request, data = compiled.create_infer_request(), np.ones((4 * size, size), np.float32)
    seconds = []
    for _ in range(30):
        started = time.perf_counter()
        request.infer([data], share_inputs=True)
        seconds.append(time.perf_counter() - started)
    flops = 2 * 4 * size**3 / median(seconds)
    per_token = 2 * 6 * (4 * 384 * 384 + 2 * 384 * 1536)  # the linear layers of MiniLM's six blocks
    speeds = {"gflops": flops / 1e9}
    for workload in ("mix", "short"):
        lengths = [len(ids) for ids in tokenizer.encode(texts[workload], truncate=True)]
        work = sum(per_token * length + 2 * 6 * 2 * 384 * length**2 for length in lengths)
        speeds[workload] = len(lengths) * flops / work
    return speeds


def _print(results: dict[str, Any]) -> None:
    offline, http, roofline = results["offline"], results["http"], results["roofline"]
    print("| Engine | docstrings, texts/s | to the baseline | short texts/s | one short text, p50 "
          "| start to first vector | peak memory |")  # fmt: skip
    print("|---|---|---|---|---|---|---|")
    baseline = offline.get(BASELINE)
    for name, figures in offline.items():
        ratio = median(np.divide(figures["mix"], baseline["mix"])) if baseline else float("nan")
        print(
            f"| {name} | {_range(figures['mix'])} | {ratio:.1f} | {_range(figures['short'])} | "
            f"{median(figures['one']) * 1000:.1f} ms | {figures['first_vector']:.1f} s | "
            f"{figures['megabytes']:.0f} MB |"
        )
    ours = offline[OURS]
    print(f"\nbfloat16 roofline, {roofline['gflops']:.0f} GFLOP/s measured: mix {roofline['mix']:.0f}, "
          f"short {roofline['short']:.0f} texts/s; reached: {median(ours['mix']) / roofline['mix']:.0%}, "
          f"{median(ours['short']) / roofline['short']:.0%}")  # fmt: skip
    print(f"HTTP, 4 clients of 32 mixed texts: {_range(http['mix'])} texts/s, "
          f"{median(http['of_offline']['mix']):.0%} of offline in the same rounds")  # fmt: skip
    print(f"HTTP, 64 clients of one short text: {_range(http['short'])} requests/s, "
          f"{median(http['of_offline']['short']):.0%} of offline in the same rounds")  # fmt: skip
    print(f"HTTP, 1 client of one short text: p50 {median(http['one']) * 1000:.1f} ms; "
          f"the server's memory at the end: {http['megabytes']:.0f} MB")  # fmt: skip
    if baseline:
        print(f"One short text, offline: {median(np.divide(ours['one'], baseline['one'])):.2f} of the baseline's time")
    print("\n| Clients | requests/s | p50 | p95 | p99 |\n|---|---|---|---|---|")
    for clients, load in http["latency"].items():
        times = " | ".join(f"{load[part] * 1000:.1f} ms" for part in ("p50", "p95", "p99"))
        print(f"| {clients} | {load['requests']:.0f} | {times} |")


def _range(values: list[float]) -> str:
    return f"{median(values):.0f} ({min(values):.0f}–{max(values):.0f})"  # noqa: RUF001 - a range


if __name__ == "__main__":
    main()
