"""Simulates one configuration under a trace."""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from embedstack_ops.simulation.configurations import Bedrock, Configuration, Instances, Serverless
from embedstack_ops.simulation.fleet import Fleet
from embedstack_ops.simulation.queues import REJECTED, WAITING, serve_serverless, serve_with_quotas
from embedstack_ops.simulation.service_times import ServiceProfile
from embedstack_ops.simulation.traces import NANOSECONDS, Int64, Trace

__all__ = ["Run", "simulate"]

_MILLISECOND: Final = NANOSECONDS // 1000


@dataclass(frozen=True, slots=True)
class Run:
    """The result of a simulation.

    Attributes:
        waits: Nanoseconds from the arrival of each request until its processing starts, a cold start included;
            REJECTED for requests that were not served.
        services: Processing time of each request in nanoseconds.
        length: Length of the trace in seconds.
        tokens: Tokens of the served requests.
        cold_starts: Requests that waited for a container's start.
        billed_s: Seconds of processing that serverless inference bills.
        instance_s: Billed instance-seconds.
        launches: Instances launched after the start.
        capacity: Seconds since the start, and number of serving instances from then on.
    """

    waits: Int64
    services: Int64
    length: float
    tokens: int
    cold_starts: int = 0
    billed_s: float = 0
    instance_s: float = 0
    launches: int = 0
    capacity: tuple[tuple[float, int], ...] = ()

    @property
    def requests(self) -> int:
        """Requests of the trace."""
        return len(self.waits)

    @property
    def served(self) -> int:
        """Requests that were served."""
        return int(np.count_nonzero(self.waits >= 0))

    @property
    def throttled_share(self) -> float:
        """Share of the requests that were throttled, or failed for lack of capacity."""
        return 1 - self.served / self.requests

    @property
    def busy_s(self) -> float:
        """Seconds of processing of the served requests."""
        return float(self.services[self.waits >= 0].sum()) / NANOSECONDS

    @property
    def mean_wait(self) -> float:
        """Mean wait of the served requests in seconds; NaN if none was served."""
        return float(self.waits[self.waits >= 0].mean()) / NANOSECONDS if self.served else math.nan

    @property
    def mean_instances(self) -> float:
        """Billed instances, averaged over the trace."""
        return self.instance_s / self.length

    def wait_percentile(self, percent: float) -> float:
        """Percentile of the wait of the served requests in seconds, by nearest rank; NaN if none was served."""
        return self._percentile(self.waits, percent)

    def latency_percentile(self, percent: float) -> float:
        """Percentile of wait and processing in seconds, by nearest rank; NaN if no request was served."""
        return self._percentile(self.waits + self.services, percent)

    def _percentile(self, times: Int64, percent: float) -> float:
        served = times[self.waits >= 0]
        if not len(served):
            return math.nan
        rank = max(math.ceil(percent / 100 * len(served)) - 1, 0)
        return float(np.partition(served, rank)[rank]) / NANOSECONDS


def simulate(configuration: Configuration, trace: Trace, profile: ServiceProfile, *, seed: int = 0) -> Run:
    """Simulate a configuration under a trace.

    Args:
        configuration: The endpoint or Bedrock model.
        trace: The requests.
        profile: Service and start times.
        seed: Seed; the same arguments give the same result.
    """
    generator = np.random.default_rng(seed)
    services = profile.draw(trace, generator)
    match configuration:
        case Serverless():
            return _simulate_serverless(configuration, trace, services, profile, generator)
        case Instances():
            return _simulate_instances(configuration, trace, services, profile, generator)
        case Bedrock():
            return _simulate_bedrock(configuration, trace, services, profile)


def _simulate_serverless(
    configuration: Serverless, trace: Trace, services: Int64, profile: ServiceProfile, generator: np.random.Generator
) -> Run:
    cold = profile.cold_start_s
    if cold.low == cold.high:
        setups = np.full(len(trace), round(cold.low * NANOSECONDS), np.int64)
    else:
        setups = np.rint(generator.uniform(cold.low, cold.high, len(trace)) * NANOSECONDS).astype(np.int64)
    waits = np.full(len(trace), WAITING, np.int64)
    keep_alive = round(configuration.keep_alive_s * NANOSECONDS)
    starts = serve_serverless(
        trace.arrivals, services, setups, waits, configuration.max_concurrency, configuration.provisioned, keep_alive
    )
    served = waits >= 0
    billed = services[served]
    if configuration.bills_setup:
        billed = billed + waits[served]
    if configuration.rounds_up:
        billed = -(-billed // _MILLISECOND) * _MILLISECOND
    return Run(
        waits=waits,
        services=services,
        length=trace.seconds,
        tokens=int(profile.tokens(trace)[served].sum()),
        cold_starts=starts,
        billed_s=float(billed.sum()) / NANOSECONDS,
    )


def _simulate_instances(
    configuration: Instances, trace: Trace, services: Int64, profile: ServiceProfile, generator: np.random.Generator
) -> Run:
    fleet = Fleet(configuration, trace, services, profile, generator)
    end = fleet.run()
    waits = fleet.waits
    waits[waits == WAITING] = REJECTED  # an asynchronous queue that no policy ever served
    instance_ns = sum(change * (end - min(time, end)) for time, change in fleet.billed)
    return Run(
        waits=waits,
        services=services,
        length=trace.seconds,
        tokens=int(profile.tokens(trace)[waits >= 0].sum()),
        instance_s=instance_ns / NANOSECONDS,
        launches=fleet.launches,
        capacity=tuple((time / NANOSECONDS, count) for time, count in fleet.capacity),
    )


def _simulate_bedrock(configuration: Bedrock, trace: Trace, services: Int64, profile: ServiceProfile) -> Run:
    tokens = profile.tokens(trace)
    waits = np.full(len(trace), WAITING, np.int64)
    quotas = (configuration.requests_per_minute, configuration.tokens_per_minute)
    limits = [-1.0 if quota is None else float(quota) for quota in quotas]
    serve_with_quotas(trace.arrivals, tokens, waits, limits[0], limits[1])
    return Run(waits=waits, services=services, length=trace.seconds, tokens=int(tokens[waits >= 0].sum()))
