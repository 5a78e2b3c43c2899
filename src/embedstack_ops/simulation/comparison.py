"""Compares configurations: money and waiting time, each with the range that start times and seeds leave."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from embedstack.costs.price_book import PriceBook
from embedstack.errors import ConfigurationError
from embedstack_ops.simulation.bills import Bill, bill, capacity_bounds
from embedstack_ops.simulation.configurations import Configuration, Instances, Serverless
from embedstack_ops.simulation.service_times import ServiceProfile
from embedstack_ops.simulation.simulation import Run, simulate
from embedstack_ops.simulation.traces import Trace

__all__ = ["Outcome", "Target", "cheapest", "compare"]


@dataclass(frozen=True, slots=True)
class Target:
    """What a configuration must meet.

    Attributes:
        latency_s: Largest latency (wait and processing) in seconds at the percentile.
        percentile: The percentile.
        throttled_share: Largest share of throttled requests.
    """

    latency_s: float
    percentile: float = 95
    throttled_share: float = 0.001

    def __post_init__(self) -> None:
        """Check the target.

        Raises:
            ConfigurationError: It is out of range.
        """
        if not 0 < self.latency_s < math.inf or not 0 < self.percentile < 100 or not 0 <= self.throttled_share <= 1:
            raise ConfigurationError("A latency target is more than 0 s at a percentile between 0 and 100.")


@dataclass(frozen=True, slots=True)
class Outcome:
    """The simulated outcome of a configuration.

    Attributes:
        configuration: The configuration.
        run: The run with the start times' middle and the first seed.
        bill: Its bill.
        money: Smallest and largest bill of all runs, US dollars a month.
        waits_p95: Smallest and largest p95 wait of all runs, in seconds.
        latencies: Smallest and largest latency at the target's percentile (95 without a target), in seconds.
        throttled: Smallest and largest throttled share of all runs.
        bounds: Bill with the smallest and the largest capacity all the time; None without instances.
        assumptions: What the figures depend on, as sentences.
    """

    configuration: Configuration
    run: Run
    bill: Bill
    money: tuple[Decimal, Decimal]
    waits_p95: tuple[float, float]
    latencies: tuple[float, float]
    throttled: tuple[float, float]
    bounds: tuple[Decimal, Decimal] | None
    assumptions: tuple[str, ...]

    def meets(self, target: Target) -> bool:
        """Whether every run meets a target."""
        return self.latencies[1] <= target.latency_s and self.throttled[1] <= target.throttled_share


def compare(
    configurations: Sequence[Configuration],
    trace: Trace,
    profile: ServiceProfile,
    prices: PriceBook,
    region: str,
    *,
    target: Target | None = None,
    seeds: Sequence[int] = (0, 1, 2),
) -> list[Outcome]:
    """Simulate configurations under the same trace.

    Each is simulated with the middle, the low and the high end of the start times, and with each seed.

    Args:
        configurations: The configurations.
        trace: The requests.
        profile: Service and start times.
        prices: The price book.
        region: AWS region.
        target: A latency target.
        seeds: Seeds of the runs.

    Raises:
        UnknownPrice: The book does not have one of the prices.
    """
    for configuration in configurations:
        if isinstance(configuration, Instances):
            capacity_bounds(configuration, prices, region)  # unknown prices are errors before long simulations
    return [_outcome(configuration, trace, profile, prices, region, target, seeds) for configuration in configurations]


def cheapest(outcomes: Sequence[Outcome], target: Target) -> Outcome | None:
    """The cheapest outcome that meets a target in all its runs; None if none does."""
    return min((outcome for outcome in outcomes if outcome.meets(target)), key=lambda o: o.money[1], default=None)


def _outcome(
    configuration: Configuration,
    trace: Trace,
    profile: ServiceProfile,
    prices: PriceBook,
    region: str,
    target: Target | None,
    seeds: Sequence[int],
) -> Outcome:
    percentile = target.percentile if target else 95
    profiles = [profile]
    if profile.depends_on_starts and _has_starts(configuration):
        profiles += [profile.at_bound("low"), profile.at_bound("high")]
    # Without random service or start times, all seeds give the same run.
    is_random = profile.distribution != "constant" and trace.durations is None
    runs = [simulate(configuration, trace, profile, seed=seeds[0])]
    bills = [bill(configuration, runs[0], profile, prices, region)]
    for other in profiles:
        for seed in seeds if is_random or other.depends_on_starts else seeds[:1]:
            if (other, seed) != (profile, seeds[0]):
                run = simulate(configuration, trace, other, seed=seed)
                bills.append(bill(configuration, run, other, prices, region))
                runs.append(run)
    money = [one.total for one in bills]
    waits = [run.wait_percentile(95) for run in runs]
    latencies = [run.latency_percentile(percentile) for run in runs]
    throttled = [run.throttled_share for run in runs]
    return Outcome(
        configuration=configuration,
        run=runs[0],
        bill=bills[0],
        money=(min(money), max(money)),
        waits_p95=_bounds(waits),
        latencies=_bounds(latencies),
        throttled=(min(throttled), max(throttled)),
        bounds=capacity_bounds(configuration, prices, region) if isinstance(configuration, Instances) else None,
        assumptions=tuple(_assumptions(configuration, profile)),
    )


def _bounds(values: Sequence[float]) -> tuple[float, float]:
    # A run without a served request has no latency and meets no target.
    finite = [math.inf if math.isnan(value) else value for value in values]
    return min(finite), max(finite)


def _has_starts(configuration: Configuration) -> bool:
    if isinstance(configuration, Instances):
        return bool(configuration.tracking or configuration.steps or configuration.schedules)
    return isinstance(configuration, Serverless)


def _assumptions(configuration: Configuration, profile: ServiceProfile) -> list[str]:
    sentences = []
    if isinstance(configuration, Serverless):
        cold = profile.cold_start_s
        if cold.low < cold.high:
            sentences.append(f"Cold starts take {cold.low:g} to {cold.high:g} s; measure yours and pass a profile.")
        sentences.append(
            f"Durations are {'rounded up to' if configuration.rounds_up else 'billed in fractions of'} a millisecond; "
            f"cold starts are {'billed' if configuration.bills_setup else 'not billed'}; idle containers live "
            f"{configuration.keep_alive_s:g} s. AWS does not document these."
        )
    if isinstance(configuration, Instances) and _has_starts(configuration):
        start = profile.instance_start_s
        figure = f"{start.low:g}" if start.low == start.high else f"{start.low:g} to {start.high:g}"
        billed = "billed" if configuration.bills_startup else "not billed"
        sentences.append(f"An instance starts in {figure} s; the start is {billed}.")
    if profile.request_bytes is None or profile.response_bytes is None:
        sentences.append("Data transfer is left out: the profile has no request_bytes and response_bytes.")
    if isinstance(configuration, Instances) and configuration.hourly_price is None and configuration.volume_gb is None:
        sentences.append("Volumes are left out: the configuration has no volume_gb.")
    return sentences
