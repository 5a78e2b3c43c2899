"""Reading traces from files: CSV with one request a row, and CloudWatch's counts a period as JSON."""

import csv
import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from embedstack.errors import ConfigurationError
from embedstack_ops.simulation.traces import NANOSECONDS, Int64, Trace

__all__ = ["read_trace"]

#: Names of columns, in lower case. ``end_timestamp`` (Azure Functions 2021) is when a request ended.
_TIME: Final = ("timestamp", "time", "at")
_END: Final = "end_timestamp"
_TOKENS: Final = ("contexttokens", "tokens", "input_tokens")
_DURATION: Final = "duration"
_MINUTE: Final = 60
_EPOCH_2000: Final = 946_684_800


def read_trace(path: Path, *, sort: bool = False, seed: int = 0) -> Trace:
    """Read a trace.

    Args:
        path: A CSV file with a header, or a ``.json`` file that ``aws cloudwatch get-metric-statistics`` (Sum) or
            ``get-metric-data`` printed. CSV columns: ``timestamp`` (ISO 8601, or seconds), optionally ``tokens`` or
            ``ContextTokens``, and ``duration`` (seconds). ``end_timestamp`` with ``duration`` replaces ``timestamp``.
        sort: Whether to sort a CSV file by time.
        seed: Seed of the times within a period of CloudWatch's counts.

    Raises:
        ConfigurationError: The file cannot be read, or is not a valid trace.
    """
    try:
        if path.suffix == ".json":
            return _from_counts(path, json.loads(path.read_text(encoding="utf-8")), seed)
        with path.open(encoding="utf-8-sig", newline="") as file:
            return _from_rows(path, csv.reader(file), sort=sort)
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, csv.Error) as error:
        raise ConfigurationError(f"The trace {path} cannot be read: {error}. Pass a CSV or JSON file.") from error


def _from_rows(path: Path, lines: Iterable[list[str]], *, sort: bool) -> Trace:
    columns = _columns(path, lines)
    ends = _END in columns
    time_column = _END if ends else next((name for name in _TIME if name in columns), None)
    if time_column is None:
        raise ConfigurationError(
            f"The trace {path} has the columns {', '.join(columns)} and none with times. Name it timestamp."
        )
    times, notes = _times(path, columns[time_column])
    durations = None
    if ends or _DURATION in columns:
        if _DURATION not in columns:
            raise ConfigurationError(f"The trace {path} has {_END} without a column {_DURATION}. Add it, in seconds.")
        durations = _nanoseconds(_numbers(path, _DURATION, columns[_DURATION]))
        times = times - durations if ends else times
    tokens_column = next((name for name in _TOKENS if name in columns), None)
    tokens = None
    if tokens_column is not None:
        tokens = _numbers(path, tokens_column, columns[tokens_column]).astype(np.int64)
    if sort:
        order = np.argsort(times, kind="stable")
        times = times[order]
        tokens = None if tokens is None else tokens[order]
        durations = None if durations is None else durations[order]
    decreasing = np.flatnonzero(np.diff(times) < 0)
    if len(decreasing):
        line = int(decreasing[0]) + 3
        raise ConfigurationError(
            f"Line {line} of {path} is earlier than the line before it. Order the trace by time, or pass --sort."
        )
    return _trace(times, tokens, durations, notes)


def _trace(times: Int64, tokens: Int64 | None, durations: Int64 | None, notes: tuple[str, ...]) -> Trace:
    first = int(times[0])
    start = datetime.fromtimestamp(first / NANOSECONDS, UTC)
    if first < _EPOCH_2000 * NANOSECONDS:
        start = datetime(2026, 1, 5, tzinfo=UTC)
        notes = ("Times are seconds since the start; the trace starts on a Monday at 00:00 UTC.",)
    return Trace(times - first, tokens, durations, start, max(int(times[-1]) - first, 1), notes)


def _columns(path: Path, lines: Iterable[list[str]]) -> dict[str, tuple[str, ...]]:
    """The values of each column by its name in lower case."""
    rows = [row for row in lines if row]
    if not rows:
        raise ConfigurationError(f"The trace {path} is empty. Pass a file with a header and at least one request.")
    header = [name.strip().lower() for name in rows.pop(0)]
    if not rows:
        raise ConfigurationError(f"The trace {path} has a header and no requests. Pass at least one request.")
    for number, row in enumerate(rows, start=2):
        if len(row) != len(header):
            raise ConfigurationError(
                f"Line {number} of {path} has {len(row)} values; the header has {len(header)}. Correct the line."
            )
    return dict(zip(header, zip(*rows, strict=True), strict=True))


def _times(path: Path, values: Sequence[str]) -> tuple[Int64, tuple[str, ...]]:
    """Nanoseconds since the epoch, or since the start for plain numbers."""
    if _is_number(values[0]):
        return _nanoseconds(_numbers(path, "time", values)), ()
    has_zone = values[0].rstrip().endswith("Z") or "+" in values[0] or values[0].count("-") > 2
    try:
        if has_zone:
            moments = [datetime.fromisoformat(value.strip()) for value in values]
            return np.array([_epoch(moment) for moment in moments], np.int64), ()
        times = np.array([value.strip() for value in values], "datetime64[ns]").astype(np.int64)
    except ValueError as error:
        line = next(number for number, value in enumerate(values, start=2) if not _is_time(value))
        raise ConfigurationError(
            f"Line {line} of {path} has no valid time. Write times as 2026-01-31T08:00:00.250, or as seconds."
        ) from error
    return times, ("Times without a time zone are read as UTC.",)


def _epoch(moment: datetime) -> int:
    if moment.tzinfo is None:
        raise ValueError("time zone missing")
    return round(moment.timestamp() * 1_000_000) * 1_000


def _is_time(value: str) -> bool:
    try:
        np.datetime64(datetime.fromisoformat(value.strip()).replace(tzinfo=None))
    except ValueError:
        return False
    return True


def _is_number(value: str) -> bool:
    try:
        float(value)
    except ValueError:
        return False
    return True


def _numbers(path: Path, column: str, values: Sequence[str]) -> npt.NDArray[np.float64]:
    for number, value in enumerate(values, start=2):
        if not _is_number(value) or not 0 <= float(value) < float("inf"):
            raise ConfigurationError(
                f"Line {number} of {path} has {value.strip() or 'nothing'} as {column}. Pass a number of 0 or more."
            )
    return np.array(values, np.float64)


def _nanoseconds(seconds: npt.NDArray[np.float64]) -> Int64:
    return np.rint(seconds * NANOSECONDS).astype(np.int64)


def _from_counts(path: Path, content: Any, seed: int) -> Trace:
    """Spread the requests of each period evenly at random within it."""
    counts = sorted(_counts(path, content))
    if not counts or sum(count for _, count in counts) == 0:
        raise ConfigurationError(f"The CloudWatch export {path} has no requests. Choose a time with traffic.")
    times = np.array([moment.timestamp() for moment, _ in counts])
    gaps = np.diff(times)
    period = float(gaps[gaps > 0].min()) if np.any(gaps > 0) else float(_MINUTE)
    numbers = np.array([count for _, count in counts], np.int64)
    generator = np.random.default_rng(seed)
    starts = np.repeat(times - times[0], numbers)
    arrivals = np.sort(starts + generator.random(len(starts)) * period)
    length = float(times[-1] - times[0]) + period
    note = f"Counts per {period:g} s are spread at random within each period."
    nanoseconds = _nanoseconds(arrivals)
    return Trace(nanoseconds, None, None, counts[0][0].astimezone(UTC), round(length * NANOSECONDS), (note,))


def _counts(path: Path, content: Any) -> list[tuple[datetime, int]]:
    try:
        if "Datapoints" in content:
            points = [(point["Timestamp"], point["Sum"]) for point in content["Datapoints"]]
        else:
            results = content["MetricDataResults"]
            points = [pair for result in results for pair in zip(result["Timestamps"], result["Values"], strict=True)]
        counts = [(_moment(time), float(value)) for time, value in points]
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigurationError(
            f"{path} is not an export of CloudWatch. Write it with `aws cloudwatch get-metric-statistics "
            "--statistics Sum` or get-metric-data."
        ) from error
    if any(not value >= 0 or value != round(value) for _, value in counts):
        raise ConfigurationError(f"{path} has counts that are not whole numbers of 0 or more. Export the sum.")
    return [(moment, int(value)) for moment, value in counts]


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
