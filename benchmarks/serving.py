"""The model server compared with other engines: offline, over HTTP, single texts, and time to the first vector.

The engines alternate within a run, so that a slowdown of the machine affects all of them. Ratios are medians over the
rounds, relative to sentence-transformers' fp32 in the same round.

usage: .venv/bin/python benchmarks/serving.py [--quick] [--rounds 7] [--json FILE] [--plot FILE.svg]

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
from sized_models import multiplications
from workloads import mixed_texts, short_texts

from embedstack.models.local_files import find_model_folder
from embedstack_server.model.model_folder import ModelFolder
from embedstack_server.model.tokenizer import Tokenizer

ROOT = Path(__file__).resolve().parents[1]
BASELINE = "sentence-transformers fp32"
#: The virtual environment of each engine; None is this script's own.
ENVIRONMENTS = {
    "embedstack bf16": None,
    "embedstack int8": None,
    "embedstack fp32": None,
    BASELINE: ".venv-reference",
    "sentence-transformers bf16": ".venv-reference",
    "sentence-transformers onnx fp32": ".venv-backends",
    "sentence-transformers onnx int8": ".venv-backends",
    "sentence-transformers openvino fp32": ".venv-backends",
    "sentence-transformers openvino int8": ".venv-backends",
    "fastembed": ".venv-peers",
    "llama.cpp f32": ".venv-peers",
    "llama.cpp q8_0": ".venv-peers",
    "infinity": ".venv-infinity",
    "HuggingFace toolkit": ".venv-toolkit",
}
OURS = "embedstack bf16"
CLIENTS = (1, 2, 4, 8, 16, 32, 64)
#: Starts per engine, of which the median is used: a start may have to read the program from disk.
STARTS = 3


def find_python(name: str, environments: Path = ROOT) -> Path:
    """The interpreter of an engine's environment, which may not exist."""
    folder = ENVIRONMENTS[name]
    return Path(sys.executable) if folder is None else environments / folder / "bin/python"


class Engine:
    """An engine's process."""

    def __init__(self, name: str, folder: Path, workloads: Path, environments: Path = ROOT) -> None:
        started = time.perf_counter()
        self.name = name
        python = find_python(name, environments)
        self._process: Any = subprocess.Popen(
            [str(python), str(ROOT / "benchmarks/engine.py"), name, str(folder), str(workloads)],
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
    """Measure, and print tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--quick", action="store_true", help="two rounds with a quarter of the texts and shorter loads")
    parser.add_argument(
        "--environments", type=Path, default=ROOT, help="folder of the environments .venv-* (default: the repository)"
    )
    parser.add_argument("--only", nargs="+", choices=ENVIRONMENTS, help="engines to measure beside the baseline")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    parser.add_argument("--plot", type=Path, help="plot throughput and latency under load to this SVG file")
    options = parser.parse_args()
    folder = find_model_folder("sentence-transformers/all-MiniLM-L6-v2", ROOT / "models")
    if folder is None:
        sys.exit("The weights are not installed. Install them with: make up")
    rounds, seconds = (2, 1.0) if options.quick else (options.rounds, 3.0)
    share = 4 if options.quick else 1
    texts = {"mix": mixed_texts(160 // share), "short": short_texts(400 // share), "one": short_texts(40 // share)}
    names = tuple(name for name in ENVIRONMENTS if not options.only or name in (BASELINE, *options.only))
    with tempfile.TemporaryDirectory() as scratch:
        workloads = Path(scratch) / "workloads.json"
        workloads.write_text(json.dumps(texts))
        engines = _start_all(names, options.environments, folder, workloads, 1 if options.quick else STARTS)
        offline = _offline(engines, texts, rounds)
        results: dict[str, Any] = {"offline": {name: offline.get(name) for name in names}}
        results["roofline"] = _roofline(folder, texts)
        results["http"] = _http(folder, workloads, texts, rounds, seconds)
    _print(results)
    if options.json:
        options.json.write_text(json.dumps(results, indent=1))
    if options.plot:
        options.plot.write_text(plot(results, BASELINE), encoding="utf-8")


def _start_all(names: tuple[str, ...], environments: Path, folder: Path, workloads: Path, starts: int) -> list[Engine]:
    """Start the installed engines; their time to the first vector is the median of several starts."""
    engines = []
    for name in names:
        if not find_python(name, environments).exists():
            print(f"{name}: not installed", file=sys.stderr)
            continue
        try:
            # The first start of some engines makes their export of the model, which is not measured.
            Engine(name, folder, workloads, environments).close()
            times = []
            for number in range(starts):
                engine = Engine(name, folder, workloads, environments)
                times.append(engine.first_vector)
                if number < starts - 1:
                    engine.close()
        except RuntimeError as error:
            print(f"{name}: not measured, {error}", file=sys.stderr)
            continue
        engine.first_vector = median(times)
        engines.append(engine)
    return engines


def _offline(engines: list[Engine], texts: dict[str, list[str]], rounds: int) -> dict[str, Any]:
    vectors = {engine.name: np.asarray(engine.measure("vectors")["vectors"]) for engine in engines}
    figures: dict[str, Any] = {
        engine.name: {
            "first_vector": engine.first_vector, "mix": [], "short": [], "one": [],
            "cosine": _lowest_cosine(vectors[engine.name], vectors.get(BASELINE)),
        }
        for engine in engines
    }  # fmt: skip
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


def _lowest_cosine(vectors: Any, reference: Any) -> float | None:
    """Lowest cosine of a text's vector to the reference's; None if one of them has no vectors."""
    if reference is None or vectors.shape != reference.shape:
        return None
    lengths = np.linalg.norm(vectors, axis=1) * np.linalg.norm(reference, axis=1)
    return float(((vectors * reference).sum(axis=1) / lengths).min())


def _http(folder: Path, workloads: Path, texts: dict[str, list[str]], rounds: int, seconds: float) -> dict[str, Any]:
    """Throughput and latency over HTTP; throughput is compared in each round with the same texts embedded offline."""
    figures: dict[str, Any] = {"mix": [], "short": [], "one": [], "of_offline": {"mix": [], "short": []}}
    offline = Engine(OURS, folder, workloads)

    def add(workload: str, rate: float) -> None:
        spent = median(offline.measure(workload)["seconds"] for _ in range(3))
        figures[workload].append(rate)
        figures["of_offline"][workload].append(rate * spent / len(texts[workload]))

    batches = [texts["mix"][start : start + 32] for start in range(0, len(texts["mix"]) - 31, 32)]
    single = [[text] for text in texts["short"]]
    loads: dict[int, list[http_load.Load]] = {clients: [] for clients in CLIENTS}
    with serving(folder) as server:
        http_load.run(server.port, batches, 4, 2)
        for clients in CLIENTS:
            http_load.run(server.port, single, clients, 1)
        for workload in figures["of_offline"]:
            offline.measure(workload)
        for _ in range(rounds):
            load = http_load.run(server.port, batches, 4, seconds)
            add("mix", len(load.latencies) * 32 / load.seconds)
            for clients in CLIENTS:
                loads[clients].append(http_load.run(server.port, single, clients, seconds))
            add("short", len(loads[CLIENTS[-1]][-1].latencies) / loads[CLIENTS[-1]][-1].seconds)
            figures["one"].append(median(loads[1][-1].latencies))
        figures["megabytes"] = server.megabytes
    offline.close()
    figures["latency"] = {clients: _load_figures(each, loads[1]) for clients, each in loads.items()}
    return figures


def _load_figures(loads: list[http_load.Load], alone: list[http_load.Load]) -> dict[str, Any]:
    """Figures of a number of clients, with ratios to one client in the same round."""

    def rate(load: http_load.Load) -> float:
        return len(load.latencies) / load.seconds

    pairs = list(zip(loads, alone, strict=True))
    return {
        "rates": [rate(load) for load in loads],
        "requests": median(map(rate, loads)),
        **{f"p{part}": median(float(np.percentile(load.latencies, part)) for load in loads) for part in (50, 95, 99)},
        "rate_ratio": median(rate(load) / rate(one) for load, one in pairs),
        "p50_ratio": median(median(load.latencies) / median(one.latencies) for load, one in pairs),
    }


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
    speeds = {"gflops": flops / 1e9}
    for workload in ("mix", "short"):
        lengths = [len(ids) for ids in tokenizer.encode(texts[workload], truncate=True)]
        work = sum(multiplications("MiniLM-L6", length) for length in lengths)
        speeds[workload] = len(lengths) * flops / work
    return speeds


def _print(results: dict[str, Any]) -> None:
    offline, roofline = results["offline"], results["roofline"]
    print("| Engine | docstrings, texts/s | to the baseline | short texts/s | one short text, p50 "
          "| start to first vector | peak memory | lowest cosine |")  # fmt: skip
    print("|---|---|---|---|---|---|---|---|")
    baseline = offline.get(BASELINE)
    for name, figures in offline.items():
        if figures is None:
            print(f"| {name} | not installed |")
            continue
        ratio = median(np.divide(figures["mix"], baseline["mix"])) if baseline else float("nan")
        cosine = "" if figures["cosine"] is None else f"{figures['cosine']:.5f}"
        print(
            f"| {name} | {_range(figures['mix'])} | {ratio:.1f} | {_range(figures['short'])} | "
            f"{median(figures['one']) * 1000:.1f} ms | {figures['first_vector']:.1f} s | "
            f"{figures['megabytes']:.0f} MB | {cosine} |"
        )
    ours = offline[OURS]
    if ours is not None:
        print(f"\nbfloat16 roofline, {roofline['gflops']:.0f} GFLOP/s measured: mix {roofline['mix']:.0f}, "
              f"short {roofline['short']:.0f} texts/s; reached: {median(ours['mix']) / roofline['mix']:.0%}, "
              f"{median(ours['short']) / roofline['short']:.0%}")  # fmt: skip
    if ours is not None and baseline:
        print(f"One short text, offline: {median(np.divide(ours['one'], baseline['one'])):.2f} of the baseline's time")
    if "http" in results:
        _print_http(results["http"])


def _print_http(http: dict[str, Any]) -> None:
    print(f"HTTP, 4 clients of 32 mixed texts: {_range(http['mix'])} texts/s, "
          f"{median(http['of_offline']['mix']):.0%} of offline in the same rounds")  # fmt: skip
    print(f"HTTP, {CLIENTS[-1]} clients of one short text: {_range(http['short'])} requests/s, "
          f"{median(http['of_offline']['short']):.0%} of offline in the same rounds")  # fmt: skip
    print(f"HTTP, 1 client of one short text: p50 {median(http['one']) * 1000:.1f} ms; "
          f"the server's memory at the end: {http['megabytes']:.0f} MB")  # fmt: skip
    print("\n| Clients | requests/s | to 1 client | p50 | p50 to 1 client | p95 | p99 |\n|---|---|---|---|---|---|---|")
    for clients, load in http["latency"].items():
        p50, p95, p99 = (f"{load[part] * 1000:.1f} ms" for part in ("p50", "p95", "p99"))
        print(f"| {clients} | {_range(load['rates'])} | {load['rate_ratio']:.2f} | {p50} | {load['p50_ratio']:.2f} "
              f"| {p95} | {p99} |")  # fmt: skip
    rates = [load["requests"] for load in http["latency"].values()]
    fall = max(1 - after / max(rates[: number + 1]) for number, after in enumerate(rates))
    print(f"largest fall of throughput as clients are added: {fall:.0%}")


def _range(values: list[float]) -> str:
    return f"{median(values):.0f} ({min(values):.0f}–{max(values):.0f})"  # noqa: RUF001 - a range


if __name__ == "__main__":
    main()
