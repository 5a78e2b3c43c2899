"""Latency of short texts beside bulk callers of the same model server, and the bulk callers' throughput.

All scenarios run with one server and the real all-MiniLM-L6-v2, in alternating rounds, so that a slowdown of the
machine affects all of them. Latencies of short texts are measured by the client. Ratios are relative to the same number
of clients alone. To compare two versions, run this alternately with each version's ``src`` in PYTHONPATH.

usage: .venv/bin/python benchmarks/fairness.py [--rounds 3] [--seconds 10] [--texts 1000] [--json FILE]
"""

import argparse
import json
import sys
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from http_load import Group, Load, run_groups
from server_process import serving
from workloads import mixed_texts, short_texts

from embedstack.models.local_files import find_model_folder

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=10, help="duration of each scenario in a round")
    parser.add_argument("--texts", type=int, default=1000, help="texts in each request of a bulk caller")
    parser.add_argument("--only", nargs="*", help="names of scenarios (default: all)")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    arguments = parser.parse_args()
    folder = find_model_folder("sentence-transformers/all-MiniLM-L6-v2", ROOT / "models")
    if folder is None:
        sys.exit("The weights are not installed: make up installs them.")
    scenarios = {
        name: groups
        for name, groups in _scenarios(arguments.texts).items()
        if not arguments.only or name in arguments.only
    }
    results: dict[str, list[dict[str, float]]] = {name: [] for name in scenarios}
    with serving(folder) as server:
        run_groups(server.port, {"bulk": Group([mixed_texts(200)]), "short": Group([["warm"]])}, 3)
        for _ in range(arguments.rounds):
            for name, groups in scenarios.items():
                results[name].append(_figures(groups, run_groups(server.port, groups, arguments.seconds)))
    _print(results)
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1), encoding="utf-8")


def _scenarios(texts: int) -> dict[str, dict[str, Group]]:
    short = [[text] for text in short_texts(400)]
    mixed = mixed_texts(min(texts, 1000))
    bulk = [(mixed * -(-texts // len(mixed)))[:texts]]
    long_bulk = [[" ".join(short_texts(40))] * texts]
    short_bulk = [short_texts(texts)]
    return {
        "short alone": {"short": Group(short)},
        "16 short alone": {"short": Group(short, 16)},
        "bulk alone": {"bulk": Group(bulk)},
        "batches of 32 alone": {"bulk": Group([bulk[0][at : at + 32] for at in range(0, texts - 31, 32)], 4)},
        "short + bulk": {"short": Group(short), "bulk": Group(bulk)},
        "short + 4 bulk": {"short": Group(short), "bulk": Group(bulk, 4)},
        "short + bulk of long": {"short": Group(short), "bulk": Group(long_bulk)},
        "short + bulk of short": {"short": Group(short), "bulk": Group(short_bulk)},
        "16 short + bulk": {"short": Group(short, 16), "bulk": Group(bulk)},
        "64 short + bulk": {"short": Group(short, 64), "bulk": Group(bulk)},
    }


def _figures(groups: dict[str, Group], loads: dict[str, Load]) -> dict[str, float]:
    figures: dict[str, float] = {}
    if "short" in loads:
        latencies = np.asarray(loads["short"].latencies) * 1000
        figures |= {f"p{part}": float(np.percentile(latencies, part)) for part in (50, 95, 99)}
        figures["requests/s"] = len(latencies) / loads["short"].seconds
    if "bulk" in loads:
        load = loads["bulk"]
        figures["texts/s"] = len(load.latencies) * len(groups["bulk"].bodies[0]) / load.seconds
    return figures


def _print(results: dict[str, list[dict[str, float]]]) -> None:
    def of(name: str, figure: str) -> Any:
        values = [figures[figure] for figures in results.get(name, []) if figure in figures]
        return median(values) if values else float("nan")

    print(f"{'':24}{'p50 ms':>9}{'p95 ms':>9}{'p99 ms':>9}{'x p95':>8}{'short/s':>9}{'bulk texts/s':>14}")
    for name in results:
        alone = of("16 short alone" if name.startswith("16") else "short alone", "p95")
        p50, p95, p99 = (of(name, f"p{part}") for part in (50, 95, 99))
        print(
            f"{name:24}{p50:9.1f}{p95:9.1f}{p99:9.1f}{p95 / alone:8.1f}"
            f"{of(name, 'requests/s'):9.0f}{of(name, 'texts/s'):14.1f}"
        )


if __name__ == "__main__":
    main()
