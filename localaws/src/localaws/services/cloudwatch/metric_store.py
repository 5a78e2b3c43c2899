"""All samples of all metrics, by period."""

import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

from localaws.services.cloudwatch.distribution import Distribution, merged, statistic_of

Dimensions = tuple[tuple[str, str], ...]

#: Seconds of the periods that metrics are kept in, unless they are of high resolution.
STANDARD_RESOLUTION = 60
#: CloudWatch keeps periods of a minute for 15 days, and shorter ones for 3 hours, after which they become minutes
#: (AmazonCloudWatch user guide, "Metrics retention"). Older data, which AWS keeps by the hour, is dropped here.
KEPT_SECONDS = 15 * 86400
KEPT_SECONDS_OF_HIGH_RESOLUTION = 3 * 3600
_PRUNE_EVERY = 1024


class MetricId(NamedTuple):
    """Whose metric it is, and which."""

    account_id: str
    region: str
    namespace: str
    name: str
    dimensions: Dimensions

    @classmethod
    def of(
        cls, account_id: str, region: str, namespace: str, name: str, dimensions: Iterable[tuple[str, str]]
    ) -> "MetricId":
        """The same for dimensions in any order."""
        return cls(account_id, region, namespace, name, tuple(sorted(dimensions)))


@dataclass(frozen=True, slots=True)
class Datapoint:
    """The samples of one period."""

    start: datetime
    samples: Distribution
    unit: str


class Series:
    """One metric in one unit. The store's lock guards it."""

    def __init__(self, unit: str, resolution: int) -> None:
        """Start without samples; the resolution is in seconds."""
        self.unit = unit
        self.resolution = resolution
        self._periods: dict[int, Distribution] = {}
        self._prune_at = _PRUNE_EVERY

    def period(self, seconds: float) -> Distribution:
        """The period that a moment belongs to, in seconds since 1970."""
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
        kept: dict[int, Distribution] = {}
        for at in sorted(self._periods):
            if at < newest - KEPT_SECONDS:
                continue
            if self.resolution < STANDARD_RESOLUTION and at < newest - KEPT_SECONDS_OF_HIGH_RESOLUTION:
                minute = at // STANDARD_RESOLUTION * STANDARD_RESOLUTION
                kept.setdefault(minute, Distribution()).merge(self._periods[at])
            else:
                kept[at] = self._periods[at]
        self._periods = kept
        self._prune_at = len(kept) + _PRUNE_EVERY


class MetricStore:
    """Every metric of every account and region."""

    def __init__(self) -> None:
        """Start without metrics."""
        self.lock = threading.Lock()
        self._metrics: dict[MetricId, dict[str, Series]] = {}

    def series(self, metric: MetricId, unit: str, resolution: int = STANDARD_RESOLUTION) -> Series:
        """Where a metric's samples go; made when it is not there. Hold the lock while adding to it.

        Args:
            metric: Which metric.
            unit: CloudWatch's unit, ``None`` (the word) for none.
            resolution: Seconds of a period: 60, or less for a metric of high resolution.
        """
        with self.lock:
            units = self._metrics.setdefault(metric, {})
            return units.setdefault(unit, Series(unit, resolution))

    def metrics(self, account_id: str, region: str) -> list[MetricId]:
        """The metrics that have samples."""
        with self.lock:
            return [metric for metric in self._metrics if (metric.account_id, metric.region) == (account_id, region)]

    def datapoints(
        self, metric: MetricId, start: datetime, end: datetime, period: int, unit: str | None = None
    ) -> list[Datapoint]:
        """What was recorded, by periods that count from ``start``.

        Args:
            metric: Which metric.
            start: Where the first period begins.
            end: Periods begin before this.
            period: Seconds of a period.
            unit: Only samples of this unit; None for all.

        Returns:
            One per period that has samples, the oldest first.
        """
        found = []
        with self.lock:
            units = [series for name, series in self._metrics.get(metric, {}).items() if unit is None or name == unit]
            for at in _starts(start, end, period) if units else ():
                periods = [(series.unit, samples) for series in units for samples in series.within(at, at + period)]
                if periods:
                    samples = merged(samples for _, samples in periods)
                    found.append(Datapoint(datetime.fromtimestamp(at, UTC), samples, periods[0][0]))
        return found

    def statistics(
        self, metric: MetricId, start: datetime, end: datetime, period: int, statistic: str
    ) -> list[tuple[datetime, float]]:
        """One statistic, by periods that count from ``start``.

        Args:
            metric: Which metric: ``MetricId.of(account_id, region, namespace, name, dimensions)``. Of dimensions, all
                that the metric has, as on AWS.
            start: Where the first period begins.
            end: Periods begin before this.
            period: Seconds of a period.
            statistic: ``SampleCount``, ``Average``, ``Sum``, ``Minimum``, ``Maximum`` or such as ``p99.9``.

        Returns:
            Pairs of a period's start (UTC) and the value; the oldest first, without periods that have none.

        Raises:
            NotImplementedError: The statistic is another.
        """
        compute = statistic_of(statistic)
        points = ((point.start, compute(point.samples)) for point in self.datapoints(metric, start, end, period))
        return [(at, value) for at, value in points if value is not None]


def _starts(start: datetime, end: datetime, period: int) -> range:
    return range(int(start.timestamp()), int(-(-end.timestamp() // 1)), period)
