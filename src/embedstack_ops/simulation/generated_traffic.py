"""Generated traffic: a rate that follows the day, the weekend, bursts and growth."""

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt

from embedstack.errors import ConfigurationError
from embedstack_ops.simulation.traces import Int64, Trace

__all__ = ["Bursts", "Tokens", "Traffic", "generate"]

_HOUR, _DAY = 3_600, 86_400
_PEAK_SHIFT = 9 * _HOUR
_MONTH = 30 * _DAY
_MOST_REQUESTS = 100_000_000


@dataclass(frozen=True, slots=True)
class Bursts:
    """A rate that switches between normal and burst: a Markov-modulated Poisson process of two states (MMPP-2).

    Attributes:
        factor: Rate in a burst divided by the normal rate.
        normal_s: Mean seconds between bursts.
        burst_s: Mean seconds of a burst.
    """

    factor: float = 20
    normal_s: float = 290
    burst_s: float = 10


@dataclass(frozen=True, slots=True)
class Tokens:
    """Tokens of a request, lognormal.

    Attributes:
        mean: Mean tokens.
        variation: Coefficient of variation; 0 for requests of equal length.
    """

    mean: float = 250
    variation: float = 0.5


@dataclass(frozen=True, slots=True)
class Traffic:
    """Parameters of generated traffic.

    Attributes:
        rate: Requests per second at the mean of a weekday, outside bursts.
        days: Length in days.
        diurnal: Amplitude of the day as a share of the rate; the peak is at 15:00 UTC.
        weekend: Rate on Saturday and Sunday as a share of a weekday's.
        growth: Growth in 30 days as a share.
        bursts: Bursts; None for none.
        tokens: Tokens of each request.
        start: Time of the beginning; 2026-01-05 is a Monday.
    """

    rate: float
    days: float = 7
    diurnal: float = 0.6
    weekend: float = 0.3
    growth: float = 0
    bursts: Bursts | None = None
    tokens: Tokens = Tokens()
    start: datetime = datetime(2026, 1, 5, tzinfo=UTC)

    def __post_init__(self) -> None:
        """Check the parameters.

        Raises:
            ConfigurationError: One of them is out of range.
        """
        checks = (
            ("rate", self.rate, 0 < self.rate < float("inf")),
            ("days", self.days, 0 < self.days < float("inf")),
            ("diurnal", self.diurnal, 0 <= self.diurnal <= 1),
            ("weekend", self.weekend, 0 <= self.weekend < float("inf")),
            ("growth", self.growth, -1 < self.growth < float("inf")),
            ("tokens", self.tokens.mean, 0 <= self.tokens.mean < float("inf")),
        )
        for name, value, is_valid in checks:
            if not is_valid:
                raise ConfigurationError(f"The traffic's {name} is {value:g}, which is out of range.")
        if self.rate * self.days * _DAY > _MOST_REQUESTS:
            raise ConfigurationError(
                f"The traffic has about {self.rate * self.days * _DAY:,.0f} requests; at most {_MOST_REQUESTS:,} fit. "
                "Simulate fewer days."
            )

    def share(self, seconds: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """The rate at times since the start, as a share of ``rate``, without bursts."""
        start = self.start.timestamp()
        day = np.floor((start + seconds) / _DAY).astype(np.int64)
        weekday = (day + 3) % 7  # 1 January 1970 was a Thursday
        time_of_day = (start + seconds) % _DAY
        wave = 1 + self.diurnal * np.sin(2 * np.pi * (time_of_day - _PEAK_SHIFT) / _DAY)
        growth = (1 + self.growth) ** (seconds / _MONTH)
        shares: npt.NDArray[np.float64] = wave * np.where(weekday >= 5, self.weekend, 1.0) * growth
        return shares


def generate(traffic: Traffic, seed: int = 0) -> Trace:
    """Generate a trace: a Poisson process of the largest rate, thinned to the rate of each moment.

    Args:
        traffic: The parameters.
        seed: Seed; the same seed and parameters generate the same trace.

    Raises:
        ConfigurationError: There is not one request.
    """
    generator = np.random.default_rng(seed)
    length = traffic.days * _DAY
    most = (1 + traffic.diurnal) * max(1.0, traffic.weekend) * max(1.0, (1 + traffic.growth) ** (length / _MONTH))
    starts, lengths, factors = _states(traffic.bursts, length, generator)
    counts = generator.poisson(traffic.rate * most * factors * lengths)
    times = np.repeat(starts, counts) + generator.random(int(counts.sum())) * np.repeat(lengths, counts)
    times = times[generator.random(len(times)) * most < traffic.share(times)]
    times.sort()
    return Trace.of(times, tokens=_tokens(traffic.tokens, len(times), generator), length=length, start=traffic.start)


def _states(
    bursts: Bursts | None, length: float, generator: np.random.Generator
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Start, length and factor of the rate of each state."""
    if bursts is None:
        return np.zeros(1), np.full(1, length), np.ones(1)
    pairs = int(length / (bursts.normal_s + bursts.burst_s) * 1.5) + 100
    while True:
        stays = np.empty(2 * pairs)
        stays[0::2] = generator.exponential(bursts.normal_s, pairs)
        stays[1::2] = generator.exponential(bursts.burst_s, pairs)
        if stays.sum() >= length:
            break
        pairs *= 2
    ends = np.minimum(np.cumsum(stays), length)
    starts = np.concatenate((np.zeros(1), ends[:-1]))
    return starts, ends - starts, np.tile([1.0, bursts.factor], pairs)


def _tokens(tokens: Tokens, count: int, generator: np.random.Generator) -> Int64:
    if tokens.variation == 0 or tokens.mean == 0:
        return np.full(count, round(tokens.mean), np.int64)
    variance = np.log1p(tokens.variation**2)
    drawn = generator.lognormal(np.log(tokens.mean) - variance / 2, np.sqrt(variance), count)
    return np.maximum(np.rint(drawn), 1).astype(np.int64)
