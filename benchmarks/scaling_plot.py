"""Plot of a run of benchmarks/scaling.py: capacity above, latency and outcome of requests below."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import svg

if TYPE_CHECKING:
    from scaling import Recording

__all__ = ["plot"]

_WIDTH, _PANEL, _LEFT, _GAP = 960, 390, 60, 90
_CAPACITY = (60, 170)
_LATENCY = (210, 360)
_RUNNING, _DESIRED, _ANSWERED, _REJECTED = "#2563eb", "#f59e0b", "#16a34a", "#dc2626"


@dataclass(frozen=True, slots=True)
class _Axis:
    """Maps a range of values to a range of pixels."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        return self.start + (self.end - self.start) * (value - self.low) / (self.high - self.low)


def plot(recordings: "Sequence[Recording]", speed: float) -> str:
    """Draw recordings side by side, as SVG.

    Args:
        recordings: Measurements of each endpoint.
        speed: Simulated seconds per second.
    """
    body = [
        element
        for column, recording in enumerate(recordings)
        for element in _panel(recording, _LEFT + column * (_PANEL + _GAP))
    ]
    middle = _WIDTH / 2
    body.append(svg.text(middle, 408, f"simulated minutes; each takes {60 / speed:g} s", anchor="middle"))
    body += _legend(middle - 250, 436)
    return svg.document(_WIDTH, 456, "Capacity and latency of two endpoints that scale, over time", body)


def _panel(recording: "Recording", left: float) -> Iterator[str]:
    minutes = _Axis(0, max(minute for minute, _, _ in recording.capacity), left, left + _PANEL)
    most = max(max(current, desired) for _, current, desired in recording.capacity)
    capacity = _Axis(0, most, _CAPACITY[1], _CAPACITY[0])
    times = [request.milliseconds for request in recording.requests]
    low, high = math.floor(math.log10(min(times))), math.ceil(math.log10(max(times)))
    latency = _Axis(low, high, _LATENCY[1], _LATENCY[0])
    yield svg.text(left, 32, recording.title, size=16, weight=600)
    yield from _grid(left, range(most + 1), capacity, str)
    yield from _grid(left, range(low, high + 1), latency, _duration)
    for minute in range(0, int(minutes.high) + 1, 10):
        yield svg.text(minutes(minute), _LATENCY[1] + 20, str(minute), anchor="middle")
    for which, colour, width in ((2, _DESIRED, 1.5), (1, _RUNNING, 3.0)):
        steps = [(sample[0], sample[which]) for sample in recording.capacity]
        yield svg.line(_staircase(steps, minutes, capacity), colour, width=width)
    for request in recording.requests:
        x, y = minutes(min(request.minute, minutes.high)), latency(math.log10(request.milliseconds))
        colour, radius = (_ANSWERED, 1.6) if request.outcome == "answered" else (_REJECTED, 2.6)
        yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}" fill="{colour}" fill-opacity="0.6"/>'


def _duration(power: int) -> str:
    """The label of 10^power milliseconds."""
    return f"{10.0**power:g} ms" if power < 3 else f"{10 ** (power - 3):g} s"


def _grid(left: float, values: range, axis: _Axis, label: Callable[[int], str]) -> Iterator[str]:
    for value in values:
        yield f'<path d="M{left} {axis(value):.1f}H{left + _PANEL}" stroke="{svg.GRID}"/>'
        yield svg.text(left - 8, axis(value) + 4, label(value), anchor="end")


def _staircase(steps: Sequence[tuple[float, float]], minutes: _Axis, capacity: _Axis) -> Iterator[tuple[float, float]]:
    """The points of a step function through the samples, without unchanged ones."""
    last = steps[0][1]
    yield minutes(steps[0][0]), capacity(last)
    for minute, value in steps[1:]:
        if value != last:
            yield minutes(minute), capacity(last)
            yield minutes(minute), capacity(value)
            last = value
    yield minutes(steps[-1][0]), capacity(last)


def _legend(left: float, y: float) -> Iterator[str]:
    entries = {"running": _RUNNING, "desired": _DESIRED, "answered": _ANSWERED, "rejected: no capacity": _REJECTED}
    for index, (name, colour) in enumerate(entries.items()):
        x = left + index * 130
        yield f'<rect x="{x:.1f}" y="{y - 9:.1f}" width="12" height="8" fill="{colour}"/>'
        yield svg.text(x + 18, y, name)
