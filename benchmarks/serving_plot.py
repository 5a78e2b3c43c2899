"""Plot of a run of benchmarks/serving.py: throughput by engine, and latency under load."""

import math
from statistics import median
from typing import Any

import svg

__all__ = ["plot"]

_WIDTH, _HEIGHT, _TOP = 960, 400, 70
_OURS, _OTHERS = "#2563eb", "#94a3b8"
_LINES = {"p50": "#2563eb", "p95": "#7c3aed", "p99": "#db2777"}


def plot(results: dict[str, Any], baseline: str) -> str:
    """Plot a run's results as SVG."""
    body = [*_throughput(results["offline"], baseline), *_latency(results["http"]["latency"])]
    return svg.document(_WIDTH, _HEIGHT, "Throughput by engine, and latency of the model server under load", body)


def _throughput(offline: dict[str, Any], baseline: str) -> list[str]:
    """A bar for each engine: docstrings per second, and the ratio to the baseline."""
    left, right = 205, 400
    rates = {name: median(figures["mix"]) for name, figures in offline.items() if figures is not None}
    height = min(34.0, (_HEIGHT - _TOP - 30) / len(rates))
    drawn = [svg.text(20, 32, "Docstrings per second", size=16, weight=600)]
    for row, (name, rate) in enumerate(sorted(rates.items(), key=lambda item: -item[1])):
        y = _TOP + row * height
        width = (right - left) * rate / max(rates.values())
        fill = _OURS if name.startswith("embedstack") else _OTHERS
        label = f"{rate:.0f}"
        if baseline in offline:
            rounds = zip(offline[name]["mix"], offline[baseline]["mix"], strict=True)
            label += f" ({median(own / other for own, other in rounds):.1f}x)"
        drawn += [
            svg.text(left - 8, y + height / 2 + 4, name, anchor="end"),
            f'<rect x="{left}" y="{y + 3:.1f}" width="{width:.1f}" height="{height - 6:.1f}" rx="2" fill="{fill}"/>',
            svg.text(left + width + 6, y + height / 2 + 4, label),
        ]
    return drawn


def _latency(latency: dict[Any, Any]) -> list[str]:
    """Latency percentiles by number of clients, with logarithmic axes."""
    left, right, bottom = 560, 900, _HEIGHT - 50
    clients = [int(number) for number in latency]
    times = [load[part] * 1000 for load in latency.values() for part in _LINES]
    low, high = math.floor(math.log2(min(times))), math.ceil(math.log2(max(times)))

    def x(number: int) -> float:
        return left + (right - left) * math.log2(number / clients[0]) / max(math.log2(clients[-1] / clients[0]), 1)

    def y(milliseconds: float) -> float:
        return bottom - (bottom - _TOP) * (math.log2(milliseconds) - low) / max(high - low, 1)

    drawn = [svg.text(520, 32, "One short text over HTTP: ms by clients", size=16, weight=600)]
    for power in range(low, high + 1):
        drawn.append(f'<path d="M{left} {y(2.0**power):.1f}H{right}" stroke="{svg.GRID}"/>')
        drawn.append(svg.text(left - 8, y(2.0**power) + 4, f"{2.0**power:g}", anchor="end"))
    drawn += [svg.text(x(number), bottom + 20, str(number), anchor="middle") for number in clients]
    label = math.inf
    for part, colour in _LINES.items():
        values = [load[part] * 1000 for load in latency.values()]
        points = zip(clients, values, strict=True)
        drawn.append(svg.line(((x(number), y(value)) for number, value in points), colour))
        # Overlapping labels are moved apart; the lines are in ascending order.
        label = min(y(values[-1]) + 4, label - 14)
        drawn.append(svg.text(right + 8, label, part, fill=colour))
    loads = list(latency.values())
    rates = " and ".join(f"{load['requests']:.0f}" for load in (loads[0], loads[-1]))
    drawn.append(
        svg.text(left, bottom + 40, f"requests per second with {clients[0]} and {clients[-1]} clients: {rates}")
    )
    return drawn
