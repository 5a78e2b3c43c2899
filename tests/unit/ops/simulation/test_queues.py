"""Queues against closed forms of queueing theory, within the simulation's standard error."""

from collections.abc import Callable

import numpy as np
import pytest

from embedstack_ops.simulation.configurations import Serverless
from embedstack_ops.simulation.queues import wait_in_queue
from embedstack_ops.simulation.service_times import Range, ServiceProfile
from embedstack_ops.simulation.simulation import Run, simulate
from embedstack_ops.simulation.traces import Trace

COUNT = 1_000_000
Draw = Callable[[np.random.Generator, int], np.ndarray]


def exponential(rate: float) -> Draw:
    return lambda generator, count: generator.exponential(1 / rate, count)


def constant(seconds: float) -> Draw:
    return lambda _, count: np.full(count, seconds)


def erlang2(seconds: float) -> Draw:
    return lambda generator, count: generator.gamma(2, seconds / 2, count)


def two_rates(generator: np.random.Generator, count: int) -> np.ndarray:
    return generator.exponential(np.where(generator.random(count) < 0.75, 1 / 1.5, 1 / 0.5))


def lognormal(seconds: float, variance: float) -> Draw:
    spread = np.log1p(variance)
    return lambda generator, count: seconds * generator.lognormal(-spread / 2, np.sqrt(spread), count)


def waits(rate: float, draw: Draw, servers: int, count: int = COUNT) -> np.ndarray:
    generator = np.random.default_rng(7)
    arrivals = np.cumsum(generator.exponential(1 / rate, count))
    nanoseconds = wait_in_queue(
        np.rint(arrivals * 1e9).astype(np.int64), np.rint(draw(generator, count) * 1e9).astype(np.int64), servers
    )
    return nanoseconds[count // 20 :] / 1e9


def agrees(samples: np.ndarray, statistic: Callable[[np.ndarray], float], expected: float) -> bool:
    """Whether a statistic is within four standard errors, estimated from batches, and that error is below 5 %."""
    batches = [statistic(batch) for batch in np.array_split(samples, 30)]
    error = float(np.std(batches, ddof=1) / np.sqrt(len(batches)))
    return abs(float(np.mean(batches)) - expected) < 4 * error + 1e-3 * expected and error < 0.05 * expected


@pytest.mark.parametrize(
    ("rate", "draw", "servers", "waited", "mean", "p95"),
    [
        (0.8, exponential(1), 1, 0.8, 4, 13.86294361),
        (3, exponential(2), 2, 0.6428571429, 0.6428571429, 2.553899521),
        (8, exponential(2.5), 4, 0.5964324718, 0.2982162359, 1.239471511),
        (45, exponential(5), 10, 0.6687315241, 0.1337463048, 0.518671933),
        (180, exponential(10), 20, 0.5507690048, 0.02753845024, 0.1199646243),
        (0.5, constant(1), 1, 0.5, 0.5, 2.050638407),
        (0.8, constant(1), 1, 0.8, 2, 6.620324997),
        (7, erlang2(0.1), 1, 0.7, 0.175, 0.6452794141),
        (0.7, two_rates, 1, 0.7, 3.111111111, 12.29029271),
        (6, lognormal(0.1, 0.5), 1, 0.6, 0.1125, None),
        (1.6, constant(1), 2, 0.7018983172, 0.9032838794, None),
        (64, constant(0.05), 4, 0.5782820155, 0.01930474654, None),
    ],
    ids=[
        "M/M/1",
        "M/M/2",
        "M/M/4",
        "M/M/10",
        "M/M/20",
        "M/D/1 0.5",
        "M/D/1 0.8",
        "M/E2/1",
        "M/H2/1",
        "M/G/1",
        "M/D/2",
        "M/D/4",
    ],
)
def test_queue_waits_as_theory_says(
    rate: float, draw: Draw, servers: int, waited: float, mean: float, p95: float | None
) -> None:
    samples = waits(rate, draw, servers)
    assert agrees(samples, lambda batch: float((batch > 0).mean()), waited)
    assert agrees(samples, lambda batch: float(batch.mean()), mean)
    if p95 is not None:
        assert np.quantile(samples, 0.95) == pytest.approx(p95, rel=0.05)


def test_queue_waits_scale_with_time() -> None:
    slow = wait_in_queue(np.array([0, 10, 20]), np.array([100, 100, 100]), 1)
    fast = wait_in_queue(np.array([0, 5, 10]), np.array([50, 50, 50]), 1)
    assert slow.tolist() == [0, 90, 180]
    assert (slow / 2).tolist() == fast.tolist()


@pytest.mark.parametrize("distribution", ["constant", "exponential", "lognormal"])
@pytest.mark.parametrize(
    ("load", "slots", "share"),
    [(2, 5, 0.0366972477), (8, 10, 0.1216610643), (20, 20, 0.1588919615), (210, 200, 0.0857485816)],
)
def test_serverless_throttles_as_erlang_b(distribution: str, load: float, slots: int, share: float) -> None:
    generator = np.random.default_rng(11)
    trace = Trace.of(np.cumsum(generator.exponential(1 / load, 200_000)))
    profile = ServiceProfile(1.0, distribution=distribution, cold_start_s=Range(0, 0))  # type: ignore[arg-type]
    run = simulate(Serverless("s", max_concurrency=slots), trace, profile)
    warm = run.waits[10_000:]
    assert agrees(warm, lambda batch: float((batch < 0).mean()), share)


def test_serverless_cold_share_follows_keep_alive() -> None:
    generator = np.random.default_rng(3)
    trace = Trace.of(np.cumsum(generator.exponential(200, 300_000)))
    profile = ServiceProfile(0.5, cold_start_s=Range(8, 8))
    run = simulate(Serverless("s", max_concurrency=1, keep_alive_s=300), trace, profile)
    cold = run.waits[run.waits >= 0] > 0
    assert agrees(cold, lambda batch: float(batch.mean()), 0.2231301601)
    assert run.throttled_share == pytest.approx(0.0112961456, rel=0.1)


def test_littles_law_holds() -> None:
    generator = np.random.default_rng(5)
    arrivals = np.rint(np.cumsum(generator.exponential(1 / 8, 100_000)) * 1e9).astype(np.int64)
    services = np.rint(generator.exponential(0.4, len(arrivals)) * 1e9).astype(np.int64)
    waiting = wait_in_queue(arrivals, services, 4)
    starts = np.sort(arrivals + waiting)
    span = int(starts[-1])
    # The number waiting, integrated over time, by counting arrivals and starts.
    events = np.concatenate([arrivals, starts])
    steps = np.concatenate([np.ones(len(arrivals)), -np.ones(len(starts))])
    order = np.argsort(events, kind="stable")
    number = np.cumsum(steps[order])[:-1]
    mean_number = float((number * np.diff(events[order])).sum()) / span
    assert mean_number == pytest.approx(len(arrivals) / span * waiting.mean(), rel=1e-3)


def test_run_percentiles_are_by_nearest_rank() -> None:
    run = Run(np.arange(100, dtype=np.int64) * 10**9, np.zeros(100, np.int64), 1.0, 0)
    assert run.wait_percentile(95) == 94
    assert run.wait_percentile(99.9) == 99
