"""The picture of a run of benchmarks/serving.py: throughput by engine, and latency under load."""

import math
from statistics import median
from typing import Any
from xml.sax.saxutils import escape

__all__ = ["plot"]

_WIDTH, _HEIGHT, _TOP = 960, 400, 70
_OURS, _OTHERS, _INK, _GRID = "#2563eb", "#94a3b8", "#1e293b", "#e2e8f0"
_LINES = {"p50": "#2563eb", "p95": "#7c3aed", "p99": "#db2777"}


def plot(results: dict[str, Any], baseline: str) -> str:
    """Draw a run's results as SVG."""
    body = [*_throughput(results["offline"], baseline), *_latency(results["http"]["latency"])]
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="system-ui, sans-serif" '
        'role="img" aria-label="Throughput by engine, and latency of the model server under load">'
    )
    return "\n".join([head, f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#ffffff"/>', *body, "</svg>\n"])


def _throughput(offline: dict[str, Any], baseline: str) -> list[str]:
    """A bar for each engine: docstrings per second, and how many times the baseline that is."""
    left, right = 205, 400
    rates = {name: median(found["mix"]) for name, found in offline.items()}
    height = min(34.0, (_HEIGHT - _TOP - 30) / len(rates))
    drawn = [_text(20, 32, "Docstrings per second", size=16, weight=600)]
    for row, (name, rate) in enumerate(sorted(rates.items(), key=lambda item: -item[1])):
        y = _TOP + row * height
        width = (right - left) * rate / max(rates.values())
        fill = _OURS if name.startswith("embedstack") else _OTHERS
        label = f"{rate:.0f}" + (f" ({rate / rates[baseline]:.1f}x)" if baseline in rates else "")
        drawn += [
            _text(left - 8, y + height / 2 + 4, name, anchor="end"),
            f'<rect x="{left}" y="{y + 3:.1f}" width="{width:.1f}" height="{height - 6:.1f}" rx="2" fill="{fill}"/>',
            _text(left + width + 6, y + height / 2 + 4, label),
        ]
    return drawn


def _latency(latency: dict[Any, Any]) -> list[str]:
    """Lines of the percentiles by the number of clients, both axes logarithmic."""
    left, right, bottom = 560, 900, _HEIGHT - 50
    clients = [int(number) for number in latency]
    times = [load[part] * 1000 for load in latency.values() for part in _LINES]
    low, high = math.floor(math.log2(min(times))), math.ceil(math.log2(max(times)))

    def x(number: int) -> float:
        return left + (right - left) * math.log2(number / clients[0]) / max(math.log2(clients[-1] / clients[0]), 1)

    def y(milliseconds: float) -> float:
        return bottom - (bottom - _TOP) * (math.log2(milliseconds) - low) / max(high - low, 1)

    drawn = [_text(520, 32, "One short text over HTTP: milliseconds by clients at once", size=16, weight=600)]
    for power in range(low, high + 1):
        drawn.append(f'<path d="M{left} {y(2.0**power):.1f}H{right}" stroke="{_GRID}"/>')
        drawn.append(_text(left - 8, y(2.0**power) + 4, f"{2.0**power:g}", anchor="end"))
    drawn += [_text(x(number), bottom + 20, str(number), anchor="middle") for number in clients]
    for part, colour in _LINES.items():
        values = [load[part] * 1000 for load in latency.values()]
        points = " ".join(f"{x(number):.1f},{y(value):.1f}" for number, value in zip(clients, values, strict=True))
        drawn.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2.5"/>')
        drawn.append(_text(right + 8, y(values[-1]) + 4, part, fill=colour))
    loads = list(latency.values())
    rates = " and ".join(f"{load['requests']:.0f}" for load in (loads[0], loads[-1]))
    drawn.append(_text(left, bottom + 40, f"requests per second with {clients[0]} and {clients[-1]} clients: {rates}"))
    return drawn


def _text(
    x: float, y: float, text: str, *, anchor: str = "start", size: int = 13, weight: int = 400, fill: str = _INK
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" font-weight="{weight}" '
        f'fill="{fill}">{escape(text)}</text>'
    )
