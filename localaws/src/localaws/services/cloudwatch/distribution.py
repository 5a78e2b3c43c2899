"""The distribution of a metric's samples in one period, and the statistics that are computed from it."""

import math
from collections.abc import Callable, Iterable

#: Up to this many distinct values are stored exactly; beyond it, values are counted in buckets.
EXACT_VALUES = 64
#: Ratio of a bucket's bounds: the error of a percentile is at most 1 %.
BUCKET_FACTOR = 1.02

_LOG_FACTOR = math.log(BUCKET_FACTOR)


class Distribution:
    """Count, sum, minimum, maximum, and a histogram of the values.

    The histogram is the sparse exponential histogram of CloudWatch's agent (``SEH1`` in
    github.com/aws/amazon-cloudwatch-agent, ``metric/distribution/seh1``, with buckets of 10 %). Its memory depends on
    the range of the values and not on their number.
    """

    __slots__ = ("count", "maximum", "minimum", "rounded", "sum", "values")

    def __init__(self) -> None:
        """Start without samples."""
        self.count = 0.0
        self.sum = 0.0
        self.minimum = math.inf
        self.maximum = -math.inf
        self.rounded = False
        # None after a statistic set was added, which has no percentiles.
        self.values: dict[float, float] | None = {}

    def add(self, value: float, count: float = 1.0) -> None:
        """Add a sample.

        Args:
            value: The sample.
            count: How often it occurred.
        """
        self.count += count
        self.sum += value * count
        self.minimum = min(self.minimum, value)
        self.maximum = max(self.maximum, value)
        values = self.values
        if values is None:
            return
        key = _bucket_middle(value) if self.rounded else value
        values[key] = values.get(key, 0.0) + count
        if not self.rounded and len(values) > EXACT_VALUES:
            self._round()

    def add_set(self, count: float, total: float, minimum: float, maximum: float) -> None:
        """Add a statistic set, which has no single values.

        As on AWS, percentiles remain available if the set has one sample or all samples are equal (API reference of
        GetMetricStatistics).
        """
        if count == 1 or minimum == maximum:
            self.add(minimum, count)
            return
        self.count += count
        self.sum += total
        self.minimum = min(self.minimum, minimum)
        self.maximum = max(self.maximum, maximum)
        self.values = None

    def merge(self, other: "Distribution") -> None:
        """Add the samples of another period."""
        self.count += other.count
        self.sum += other.sum
        self.minimum = min(self.minimum, other.minimum)
        self.maximum = max(self.maximum, other.maximum)
        if self.values is None or other.values is None:
            self.values = None
            return
        if other.rounded and not self.rounded:
            self._round()
        for value, count in other.values.items():
            key = _bucket_middle(value) if self.rounded else value
            self.values[key] = self.values.get(key, 0.0) + count
        if not self.rounded and len(self.values) > EXACT_VALUES:
            self._round()

    def percentile(self, percent: float) -> float | None:
        """The smallest value that at least ``percent`` percent of the samples do not exceed.

        Returns:
            The value; None for statistic sets and negative values, which have no percentiles in CloudWatch.
        """
        if not self.values or self.minimum < 0:
            return None
        rank, seen = self.count * percent / 100, 0.0
        for value in sorted(self.values):
            seen += self.values[value]
            if seen >= rank - 1e-9:
                return min(max(value, self.minimum), self.maximum)
        return self.maximum

    def _round(self) -> None:
        rounded: dict[float, float] = {}
        for value, count in (self.values or {}).items():
            key = _bucket_middle(value)
            rounded[key] = rounded.get(key, 0.0) + count
        self.values, self.rounded = rounded, True


def merged(distributions: Iterable[Distribution]) -> Distribution:
    """The samples of several periods together."""
    total = Distribution()
    for distribution in distributions:
        total.merge(distribution)
    return total


_PLAIN: dict[str, Callable[[Distribution], float | None]] = {
    "SampleCount": lambda samples: samples.count,
    "Sum": lambda samples: samples.sum,
    "Average": lambda samples: samples.sum / samples.count if samples.count else None,
    "Minimum": lambda samples: samples.minimum,
    "Maximum": lambda samples: samples.maximum,
}


def percent_of(statistic: str) -> float | None:
    """The number in a percentile's name: 95.0 for ``p95``; None for any other statistic."""
    number = statistic[1:]
    if not statistic.startswith("p") or not number.replace(".", "", 1).isdigit() or not number[0].isdigit():
        return None
    percent = float(number)
    return percent if 0 <= percent <= 100 else None


def statistic_of(name: str) -> Callable[[Distribution], float | None]:
    """The function that computes a statistic.

    Args:
        name: CloudWatch's name: ``SampleCount``, ``Average``, ``Sum``, ``Minimum``, ``Maximum`` or a percentile
            such as ``p99.9``.

    Raises:
        NotImplementedError: The statistic is not supported, such as a trimmed mean.
    """
    if name in _PLAIN:
        return _PLAIN[name]
    percent = percent_of(name)
    if percent is None:
        raise NotImplementedError(f"the statistic {name}")
    return lambda samples: samples.percentile(percent)


def _bucket_middle(value: float) -> float:
    """The middle of the bucket that contains a value."""
    if value == 0:
        return 0.0
    bucket = math.floor(math.log(abs(value)) / _LOG_FACTOR)
    return math.copysign(math.exp((bucket + 0.5) * _LOG_FACTOR), value)
