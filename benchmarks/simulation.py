"""The simulator against queueing theory in long runs, and its speed.

Prints the simulated and the exact mean and p95 wait of queues, the throttled share of loss systems beside Erlang's
formula B, and the time that ten million requests take, compilation excluded.

usage: .venv/bin/python benchmarks/simulation.py [--arrivals 3000000] [--seeds 4]
"""

import argparse
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from embedstack_ops.simulation.configurations import (
    Bedrock,
    Configuration,
    Instances,
    Serverless,
    TrackingPolicy,
    invocations_tracking,
)
from embedstack_ops.simulation.queues import wait_in_queue
from embedstack_ops.simulation.service_times import Range, ServiceProfile
from embedstack_ops.simulation.simulation import simulate
from embedstack_ops.simulation.traces import Trace

Draw = Callable[[np.random.Generator, int], npt.NDArray[np.float64]]
REQUESTS = 10_000_000


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue: arrivals per second, service times, servers, and the exact mean and p95 wait in seconds."""

    name: str
    rate: float
    draw: Draw
    servers: int
    mean: float
    p95: float | None


def exponential(seconds: float) -> Draw:
    return lambda generator, count: generator.exponential(seconds, count)


def constant(seconds: float) -> Draw:
    return lambda _, count: np.full(count, seconds)


QUEUES = [
    Queue("M/M/1 rho 0.8", 0.8, exponential(1), 1, 4, 13.86294361),
    Queue("M/M/2 rho 0.75", 3, exponential(0.5), 2, 0.6428571429, 2.553899521),
    Queue("M/M/4 rho 0.8", 8, exponential(0.4), 4, 0.2982162359, 1.239471511),
    Queue("M/M/10 rho 0.9", 45, exponential(0.2), 10, 0.1337463048, 0.518671933),
    Queue("M/M/20 rho 0.9", 180, exponential(0.1), 20, 0.02753845024, 0.1199646243),
    Queue("M/D/1 rho 0.5", 0.5, constant(1), 1, 0.5, 2.050638407),
    Queue("M/D/1 rho 0.8", 0.8, constant(1), 1, 2, 6.620324997),
    Queue("M/D/1 rho 0.9", 0.9, constant(1), 1, 4.5, 14.12867383),
    Queue("M/E2/1 rho 0.7", 7, lambda generator, count: generator.gamma(2, 0.05, count), 1, 0.175, 0.6452794141),
    Queue("M/D/2 rho 0.8", 1.6, constant(1), 2, 0.9032838794, None),
    Queue("M/D/4 rho 0.8", 64, constant(0.05), 4, 0.01930474654, None),
]
LOSSES = [(2, 5, 0.0366972477), (8, 10, 0.1216610643), (20, 20, 0.1588919615), (210, 200, 0.0857485816)]


def main() -> None:
    """Run all, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--arrivals", type=int, default=3_000_000)
    parser.add_argument("--seeds", type=int, default=4)
    arguments = parser.parse_args()
    print(f"{'queue':16} {'mean wait':>12} {'exact':>12} {'error':>8} {'p95 wait':>12} {'exact':>12} {'error':>8}")
    for queue in QUEUES:
        means, p95s = [], []
        for seed in range(arguments.seeds):
            waits = _waits(queue, arguments.arrivals, seed)
            means.append(waits.mean())
            p95s.append(np.quantile(waits, 0.95))
        mean, p95 = float(np.mean(means)), float(np.mean(p95s))
        row = f"{queue.name:16} {mean:12.6f} {queue.mean:12.6f} {100 * (mean / queue.mean - 1):+7.2f}%"
        if queue.p95 is not None:
            row += f" {p95:12.6f} {queue.p95:12.6f} {100 * (p95 / queue.p95 - 1):+7.2f}%"
        print(row)
    print(f"\n{'loss':16} {'throttled':>12} {'Erlang B':>12} {'error':>8}")
    for load, slots, share in LOSSES:
        run = simulate(
            Serverless("loss", max_concurrency=slots),
            _poisson(load, arguments.arrivals, 0),
            ServiceProfile(1.0, distribution="lognormal", cold_start_s=Range(0, 0)),
        )
        throttled = run.throttled_share
        print(f"a {load:3}, c {slots:3}     {throttled:12.6f} {share:12.6f} {100 * (throttled / share - 1):+7.2f}%")
    print(f"\n{REQUESTS:,} requests")
    for name, seconds, processor in _speed():
        print(f"{name:40} {seconds:6.2f} s, {processor:6.2f} s of processor time")


def _waits(queue: Queue, count: int, seed: int) -> npt.NDArray[np.float64]:
    generator = np.random.default_rng(seed)
    arrivals = np.rint(np.cumsum(generator.exponential(1 / queue.rate, count)) * 1e9).astype(np.int64)
    services = np.rint(queue.draw(generator, count) * 1e9).astype(np.int64)
    waits: npt.NDArray[np.float64] = wait_in_queue(arrivals, services, queue.servers)[count // 100 :] / 1e9
    return waits


def _poisson(rate: float, count: int, seed: int) -> Trace:
    return Trace.of(np.cumsum(np.random.default_rng(seed).exponential(1 / rate, count)))


def _speed() -> list[tuple[str, float, float]]:
    month = _poisson(REQUESTS / (30 * 86_400), REQUESTS, 0)
    profile = ServiceProfile(0.5, distribution="lognormal")
    tracking = (invocations_tracking(100),)
    quick = (TrackingPolicy("concurrency", 4, period_s=10),)
    configurations: list[Configuration] = [
        Serverless("serverless, 200 concurrent", max_concurrency=200),
        Instances("instances, one-minute tracking", "ml.m5.xlarge", maximum=20, concurrency=8, tracking=tracking),
        Instances("instances, 10-second tracking", "ml.m5.xlarge", maximum=20, concurrency=8, tracking=quick),
        Bedrock("Bedrock with quotas", "amazon.titan-embed-text-v2:0", requests_per_minute=1000),
    ]
    times = []
    for configuration in configurations:
        simulate(configuration, _poisson(1, 1000, 0), profile)  # compiles
        began, used = time.perf_counter(), time.process_time()
        run = simulate(configuration, month, profile)
        if not math.isfinite(run.wait_percentile(95)):
            raise SystemExit(f"{configuration.name} served nothing")
        times.append((configuration.name, time.perf_counter() - began, time.process_time() - used))
    return times


if __name__ == "__main__":
    main()
