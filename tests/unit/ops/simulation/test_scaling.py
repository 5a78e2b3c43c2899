"""Scaling: the arithmetic and times of Application Auto Scaling, as its user guide and measurements state them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from embedstack.errors import ConfigurationError
from embedstack_ops.simulation.configurations import (
    Alarm,
    Instances,
    Schedule,
    StepPolicy,
    TrackingPolicy,
    backlog_policy,
    invocations_tracking,
)
from embedstack_ops.simulation.scaling_rules import (
    Cooldown,
    PolicyState,
    alarm_is_raised,
    step_capacity,
    tracked_capacity,
)
from embedstack_ops.simulation.service_times import Range, ServiceProfile
from embedstack_ops.simulation.simulation import Run, simulate
from embedstack_ops.simulation.trace_files import read_trace
from embedstack_ops.simulation.traces import Trace

SECOND = 10**9
INSTANT = ServiceProfile(0.01, instance_start_s=Range(0, 0))
CONV = Path(__file__).parents[3] / "fixtures" / "traces" / "AzureLLMInferenceTrace_conv.csv"
OUT = [(0, 10, 0), (10, 20, 10), (20, None, 30)]
IN = [(-10, 0, 0), (-20, -10, -10), (None, -20, -30)]


def steady(rate: float, minutes: float, start: float = 0) -> np.ndarray:
    return start + np.arange(int(rate * minutes * 60)) / rate


def changes(run: Run) -> list[tuple[float, int]]:
    """Minute and number of instances after each change."""
    return [(seconds / 60, count) for seconds, count in run.capacity]


@pytest.mark.parametrize(
    ("current", "value", "target", "expected"), [(2, 150, 100, 3), (2, 140, 70, 4), (3, 0.7, 0.7, 3), (10, 69, 70, 10)]
)
def test_tracking_rounds_up(current: int, value: float, target: float, expected: int) -> None:
    assert tracked_capacity(current, value, target) == expected


@pytest.mark.parametrize(
    ("steps", "current", "value", "expected"),
    [(OUT, 10, 60, 11), (OUT, 11, 70, 14), (IN, 14, 40, 13), (IN, 13, 30, 10), (OUT, 10, 59, 10), (IN, 10, 41, 10)],
)
def test_percentage_steps_follow_the_user_guide(
    steps: list[tuple[float | None, float | None, int]], current: int, value: float, expected: int
) -> None:
    policy = StepPolicy(Alarm("invocations", 50), steps, adjustment="PercentChangeInCapacity")
    assert step_capacity(policy, current, value) == expected


@pytest.mark.parametrize(
    ("current", "percent", "minimum", "change"),
    [(127, 10, 0, 12), (67, 1, 0, 1), (58, -1, 0, -1), (667, -1, 0, -6), (4, 25, 2, 2)],
)
def test_percentages_round_towards_zero_but_not_to_it(current: int, percent: int, minimum: int, change: int) -> None:
    policy = StepPolicy(
        Alarm("invocations", 0), [(None, None, percent)], adjustment="PercentChangeInCapacity", minimum_change=minimum
    )
    assert step_capacity(policy, current, 1) - current == change


def test_scale_out_in_cooldown_adds_only_the_difference() -> None:
    state = PolicyState(StepPolicy(Alarm("invocations", 10), [(0, 10, 2), (10, None, 3)]))
    state.scaled_out = Cooldown(ended=0, base=4)
    assert state.propose([25], 6, 100 * SECOND) == 7
    assert state.propose([25], 6, 300 * SECOND) == 9


def test_scale_in_waits_for_its_cooldown() -> None:
    state = PolicyState(invocations_tracking(100))
    state.scaled_in = Cooldown(ended=0, base=9)
    assert state.propose([10], 5, 299 * SECOND) == 5
    assert state.propose([10], 5, 300 * SECOND) == 1
    assert state.propose([300], 5, 1) == 15


def test_missing_datapoints_raise_no_alarm() -> None:
    alarm = invocations_tracking(100).low
    assert not alarm_is_raised(alarm, [None] * 17)
    assert not alarm_is_raised(alarm, [1.0, *[None] * 16])
    assert alarm_is_raised(alarm, [1.0] * 15)
    assert alarm_is_raised(alarm, [None, *[1.0] * 15])


@pytest.mark.parametrize(
    ("metric", "period", "earliest", "latest"), [("concurrency", 10, 90, 150), ("invocations", 60, 240, 360)]
)
@pytest.mark.parametrize("delay", [60, 120])
def test_scale_out_takes_as_long_as_on_aws(
    metric: str, period: int, earliest: float, latest: float, delay: float
) -> None:
    policy = TrackingPolicy(metric, 2, period_s=period)  # type: ignore[arg-type]
    endpoint = Instances("i", "ml.m5.xlarge", maximum=8, tracking=(policy,), metric_delay_s=delay)
    run = simulate(endpoint, Trace.of(steady(10, 10)), replace(INSTANT, base_s=0.5))
    assert earliest <= run.capacity[1][0] <= latest


def test_tracking_follows_the_azure_trace() -> None:
    endpoint = Instances(
        "i", "ml.m5.xlarge", maximum=50, concurrency=50, tracking=(invocations_tracking(100),), metric_delay_s=0
    )
    run = simulate(endpoint, read_trace(CONV), INSTANT)
    assert changes(run) == [(0, 1), (3, 4), (29, 5), (52, 3)]


def test_idle_endpoint_without_datapoints_does_not_scale_in() -> None:
    trace = Trace.of(steady(14, 10), length=3_600)
    endpoint = Instances("i", "ml.m5.xlarge", minimum=1, maximum=3, initial=3, tracking=(invocations_tracking(300),))
    assert changes(simulate(endpoint, trace, INSTANT))[-1][1] == 3
    zeros = replace(endpoint, publishes_zero=True)
    assert changes(simulate(zeros, trace, INSTANT))[-1][1] == 1


def test_only_unanimous_policies_scale_in() -> None:
    policies = (invocations_tracking(600), invocations_tracking(120))
    endpoint = Instances("i", "ml.m5.xlarge", maximum=9, initial=4, concurrency=50, tracking=policies, metric_delay_s=0)
    run = simulate(endpoint, Trace.of(steady(6, 40)), INSTANT)
    assert changes(run)[-1][1] == 3


def async_endpoint(**settings: object) -> Instances:
    values = {"minimum": 0, "maximum": 5, "component": "async", "longest_wait_s": None, "concurrency": 4, **settings}
    return Instances("a", "ml.m5.xlarge", **values)  # type: ignore[arg-type]


@pytest.mark.parametrize(("requests", "wakes"), [(5, False), (6, True)])
def test_async_backlog_above_target_wakes_the_endpoint(requests: int, wakes: bool) -> None:
    endpoint = async_endpoint(tracking=(TrackingPolicy("backlog", 5),))
    run = simulate(endpoint, Trace.of(np.zeros(requests), length=3_600), INSTANT)
    assert (run.served == requests) is wakes


def test_async_wake_policy_wakes_for_one_request() -> None:
    endpoint = async_endpoint(tracking=(TrackingPolicy("backlog", 5),), steps=(backlog_policy(300),))
    run = simulate(endpoint, Trace.of(np.zeros(1), length=3_600), replace(INSTANT, instance_start_s=Range(300, 300)))
    assert run.served == 1
    assert 120 <= run.wait_percentile(95) - 300 <= 240


def test_late_scale_out_buys_little_and_costs_starts() -> None:
    endpoint = async_endpoint(minimum=1, tracking=(TrackingPolicy("backlog", 5),), metric_delay_s=0)
    profile = ServiceProfile(2.0, instance_start_s=Range(300, 300))
    trace = Trace.of(np.zeros(1_000), length=600)
    run = simulate(endpoint, trace, profile)
    assert changes(run) == [(0, 1), (8, 5)]
    assert run.latency_percentile(100) == 484
    assert run.launches == 4
    assert simulate(replace(endpoint, maximum=1), trace, profile).latency_percentile(100) == 500


def test_tracking_invocations_of_a_queue_is_rejected() -> None:
    with pytest.raises(ConfigurationError, match="never acts at an asynchronous endpoint"):
        async_endpoint(tracking=(invocations_tracking(10),))


def test_endpoint_at_zero_rejects_until_it_wakes() -> None:
    wake = backlog_policy(60, metric="no_capacity_failures", periods=1)
    endpoint = Instances("z", "ml.g5.xlarge", minimum=0, maximum=1, steps=(wake,), metric_delay_s=42)
    run = simulate(endpoint, Trace.of(steady(0.1, 20)), replace(INSTANT, instance_start_s=Range(462, 462)))
    first = next(seconds for seconds, count in run.capacity if count == 1)
    assert first == 564  # measured on AWS: 9 min 24 s after the first request
    assert run.throttled_share == pytest.approx(first / 1_200, abs=0.01)


def test_scale_to_zero_bills_until_the_instance_is_released() -> None:
    endpoint = Instances(
        "z", "ml.g5.xlarge", minimum=0, maximum=1, initial=1, publishes_zero=True, metric_delay_s=0,
        tracking=(invocations_tracking(60),), release_s=720,
    )  # fmt: skip
    run = simulate(endpoint, Trace.of([0.0], length=7_200), INSTANT)
    assert changes(run) == [(0, 1), (15, 0)]
    assert run.instance_s == 15 * 60 + 720


def test_schedule_sets_the_range_in_its_time_zone() -> None:
    schedules = (
        Schedule("cron(0 8 ? * MON-FRI *)", 2, 4, "Europe/Berlin"),
        Schedule("cron(0 18 ? * MON-FRI *)", 1, 1, "Europe/Berlin"),
    )
    endpoint = Instances("i", "ml.m5.xlarge", minimum=1, maximum=1, schedules=schedules)
    run = simulate(endpoint, Trace.of(steady(0.01, 24 * 60)), INSTANT)
    assert changes(run) == [(0, 1), (7 * 60, 2), (17 * 60, 1)]
    assert run.instance_s == pytest.approx((24 + 10) * 3_600, rel=0.001)


def test_failed_launches_cost_time_and_no_money() -> None:
    endpoint = Instances(
        "i", "ml.g6.xlarge", maximum=4, tracking=(invocations_tracking(60),), launch_failures=0.9999, concurrency=9
    )
    run = simulate(endpoint, Trace.of(steady(5, 60)), INSTANT)
    assert changes(run) == [(0, 1)]
    assert run.launches >= 2
    assert run.mean_instances == pytest.approx(1, rel=0.001)


def test_waiting_too_long_fails() -> None:
    run = simulate(Instances("i", "ml.m5.xlarge"), Trace.of(np.zeros(200)), replace(INSTANT, base_s=1.0))
    assert run.served == 61
    assert run.wait_percentile(100) == 60


@pytest.mark.parametrize(("minimum", "maximum", "initial"), [(-1, 1, None), (2, 1, None), (0, 0, None), (1, 2, 3)])
def test_impossible_capacity_is_rejected(minimum: int, maximum: int, initial: int | None) -> None:
    with pytest.raises(ConfigurationError, match="i: "):
        Instances("i", "ml.m5.xlarge", minimum=minimum, maximum=maximum, initial=initial)


def test_instance_that_is_not_released_yet_is_billed_once() -> None:
    endpoint = Instances(
        "z", "ml.g5.xlarge", minimum=0, maximum=1, initial=1, publishes_zero=True, metric_delay_s=0, release_s=720,
        tracking=(invocations_tracking(60),), steps=(backlog_policy(60, metric="no_capacity_failures", periods=1),),
    )  # fmt: skip
    run = simulate(endpoint, Trace.of([0.0, *steady(0.1, 4, start=16 * 60)], length=20 * 60), INSTANT)
    assert changes(run) == [(0, 1), (15, 0), (17, 1)]
    assert run.mean_instances == 1
