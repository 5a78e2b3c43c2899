"""The samples of all metrics, by period."""

import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

from localaws.services.cloudwatch.distribution import Distribution, merged, statistic_of

Dimensions = tuple[tuple[str, str], ...]

#: Length in seconds of the periods of metrics with standard resolution.
STANDARD_RESOLUTION = 60
#: CloudWatch keeps one-minute periods for 15 days, and shorter ones for 3 hours before it aggregates them to minutes
#: (CloudWatch user guide, "Metrics retention"). Older data, which AWS aggregates by the hour, is dropped here.
RETENTION_SECONDS = 15 * 86400
HIGH_RESOLUTION_RETENTION_SECONDS = 3 * 3600
_PRUNE_EVERY = 1024


class MetricId(NamedTuple):
    """The identity of a metric."""

    account_id: str
    region: str
    namespace: str
    name: str
    dimensions: Dimensions

    @classmethod
    def of(
        cls, account_id: str, region: str, namespace: str, name: str, dimensions: Iterable[tuple[str, str]]
    ) -> "MetricId":
        """Build an id from dimensions in any order."""
        return cls(account_id, region, namespace, name, tuple(sorted(dimensions)))


@dataclass(frozen=True, slots=True)
class Datapoint:
    """The samples of one period."""

    start: datetime
    samples: Distribution
    unit: str


class Series:
    """The periods of one metric in one unit, guarded by the store's lock."""

    def __init__(self, unit: str, resolution: int) -> None:
        """Start without samples; ``resolution`` is in seconds."""
        self.unit = unit
        self.resolution = resolution
        self._periods: dict[int, Distribution] = {}
        self._prune_at = _PRUNE_EVERY

    def period(self, seconds: float) -> Distribution:
        """The period that contains a moment, in seconds since 1970."""
        start = int(seconds) // self.resolution * self.resolution
        period = self._periods.get(start)
        if period is None:
            period = self._periods[start] = Distribution()
            if len(self._periods) > self._prune_at:
                self._prune()
        return period

    def within(self, start: int, end: int) -> Iterator[Distribution]:
        """The periods that start in ``[start, end)``."""
        first = -(-start // self.resolution) * self.resolution
        if (end - first) // self.resolution > len(self._periods):
            yield from (period for at, period in self._periods.items() if start <= at < end)
            return
        for at in range(first, end, self.resolution):
            period = self._periods.get(at)
            if period is not None:
                yield period

    def _prune(self) -> None:
        newest = max(self._periods)
        remaining: dict[int, Distribution] = {}
        for at in sorted(self._periods):
            if at < newest - RETENTION_SECONDS:
                continue
            if self.resolution < STANDARD_RESOLUTION and at < newest - HIGH_RESOLUTION_RETENTION_SECONDS:
                minute = at // STANDARD_RESOLUTION * STANDARD_RESOLUTION
                remaining.setdefault(minute, Distribution()).merge(self._periods[at])
            else:
                remaining[at] = self._periods[at]
        self._periods = remaining
        self._prune_at = len(remaining) + _PRUNE_EVERY


class MetricStore:
    """The metrics of all accounts and regions."""

    def __init__(self) -> None:
        """Start without metrics."""
        self.lock = threading.Lock()
        self._metrics: dict[MetricId, dict[str, Series]] = {}

    def series(self, metric: MetricId, unit: str, resolution: int = STANDARD_RESOLUTION) -> Series:
        """The series of a metric and unit, created on first use. Hold the lock while adding samples.

        Args:
            metric: The metric.
            unit: CloudWatch's unit; the string ``None`` for no unit.
            resolution: Length of a period in seconds: 60, or less for a high-resolution metric.
        """
        with self.lock:
            units = self._metrics.setdefault(metric, {})
            return units.setdefault(unit, Series(unit, resolution))

    def metrics(self, account_id: str, region: str) -> list[MetricId]:
        """The metrics of an account and region."""
        with self.lock:
            return [metric for metric in self._metrics if (metric.account_id, metric.region) == (account_id, region)]

    def datapoints(
        self, metric: MetricId, start: datetime, end: datetime, period: int, unit: str | None = None
    ) -> list[Datapoint]:
        """The datapoints of periods that are aligned to ``start``.

        Args:
            metric: The metric.
            start: Start of the first period.
            end: Periods start before this moment.
            period: Length of a period in seconds.
            unit: Only samples with this unit; None for all.

        Returns:
            One per period with samples, oldest first.
        """
        datapoints = []
        with self.lock:
            units = [series for name, series in self._metrics.get(metric, {}).items() if unit is None or name == unit]
            for at in _starts(start, end, period) if units else ():
                periods = [(series.unit, samples) for series in units for samples in series.within(at, at + period)]
                if periods:
                    samples = merged(samples for _, samples in periods)
                    datapoints.append(Datapoint(datetime.fromtimestamp(at, UTC), samples, periods[0][0]))
        return datapoints

    def statistics(
        self, metric: MetricId, start: datetime, end: datetime, period: int, statistic: str
    ) -> list[tuple[datetime, float]]:
        """The values of a statistic, for periods that are aligned to ``start``.

        Args:
            metric: The metric, with all of its dimensions, as on AWS.
            start: Start of the first period.
            end: Periods start before this moment.
            period: Length of a period in seconds.
            statistic: ``SampleCount``, ``Average``, ``Sum``, ``Minimum``, ``Maximum`` or such as ``p99.9``.

        Returns:
            Pairs of a period's start (UTC) and its value, oldest first; periods without a value are left out.

        Raises:
            NotImplementedError: The statistic is not supported.
        """
        compute = statistic_of(statistic)
        points = ((point.start, compute(point.samples)) for point in self.datapoints(metric, start, end, period))
        return [(at, value) for at, value in points if value is not None]


def _starts(start: datetime, end: datetime, period: int) -> range:
    return range(int(start.timestamp()), int(-(-end.timestamp() // 1)), period)
