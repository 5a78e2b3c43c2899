"""Decisions of scaling policies: the user guide's examples, and properties for any values."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, strategies as st

from localaws.services.application_autoscaling.decisions import (
    Decision,
    adjusted,
    decide_step,
    decide_tracking,
    step_adjustment,
    tracked_capacity,
)
from localaws.services.application_autoscaling.records import STEP, TARGET_TRACKING, Capacity, Movement, Policy

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
TEN = Capacity(1, 10)
#: "Step adjustments" in the user guide: thresholds relative to 50.
OUT = {
    "AdjustmentType": "PercentChangeInCapacity",
    "StepAdjustments": [
        {"MetricIntervalLowerBound": 0, "MetricIntervalUpperBound": 10, "ScalingAdjustment": 0},
        {"MetricIntervalLowerBound": 10, "MetricIntervalUpperBound": 20, "ScalingAdjustment": 10},
        {"MetricIntervalLowerBound": 20, "ScalingAdjustment": 30},
    ],
}
IN = {
    "AdjustmentType": "PercentChangeInCapacity",
    "StepAdjustments": [
        {"MetricIntervalLowerBound": -10, "MetricIntervalUpperBound": 0, "ScalingAdjustment": 0},
        {"MetricIntervalLowerBound": -20, "MetricIntervalUpperBound": -10, "ScalingAdjustment": -10},
        {"MetricIntervalUpperBound": -20, "ScalingAdjustment": -30},
    ],
}


def tracking(**settings: Any) -> Policy:
    return Policy("p", "arn", TARGET_TRACKING, {"TargetValue": 100.0, **settings}, NOW)


def stepping(**settings: Any) -> Policy:
    steps = [{"MetricIntervalLowerBound": 0, "ScalingAdjustment": 2}]
    return Policy("p", "arn", STEP, {"AdjustmentType": "ChangeInCapacity", "StepAdjustments": steps, **settings}, NOW)


@given(current=st.integers(1, 500), value=st.floats(0, 1e6), target=st.floats(0.01, 1e5))
def test_tracked_capacity_is_the_smallest_that_meets_the_target(current: int, value: float, target: float) -> None:
    expected = tracked_capacity(current, value, target)
    load = current * value
    assert load <= (expected + 1e-6) * target
    assert (expected - 1) * target <= load + 1e-6 * target


@pytest.mark.parametrize(
    ("current", "value", "expected"), [(1, 300, 3), (2, 101, 3), (3, 70, 3), (0, 12, 1), (0, 0, 0)]
)
def test_tracked_capacity_is_proportional(current: int, value: float, expected: int) -> None:
    assert tracked_capacity(current, value, 100) == expected


def test_tracking_decision_stays_within_the_range() -> None:
    assert decide_tracking(tracking(), TEN, 2, 900, NOW) == Decision(10)
    assert decide_tracking(tracking(), TEN, 10, 900, NOW) == Decision(reason="AlreadyAtMaxCapacity")
    assert decide_tracking(tracking(), TEN, 2, 0, NOW) == Decision(1)
    assert decide_tracking(tracking(), TEN, 1, 0, NOW) == Decision(reason="AlreadyAtMinCapacity")


def test_scale_out_during_cooldown_adds_the_difference() -> None:
    policy = tracking(ScaleOutCooldown=60)
    policy.scaled_out = Movement(base=2, ended=NOW)
    within = NOW + timedelta(seconds=59)
    assert decide_tracking(policy, TEN, 4, 200, within).desired is None
    assert decide_tracking(policy, TEN, 4, 250, within) == Decision(5)
    assert decide_tracking(policy, TEN, 4, 200, NOW + timedelta(seconds=60)) == Decision(8)


def test_unfulfilled_scale_out_has_a_cooldown() -> None:
    policy = tracking(ScaleOutCooldown=0)
    policy.scaled_out = Movement(base=1)
    assert decide_tracking(policy, TEN, 1, 100.5, NOW + timedelta(hours=1)) == Decision(2)
    assert decide_tracking(policy, TEN, 2, 150, NOW + timedelta(hours=1)).desired is None


def test_scale_in_cooldown_does_not_block_scale_out() -> None:
    policy = tracking()
    policy.scaled_in = Movement(base=4, ended=NOW)
    assert decide_tracking(policy, TEN, 3, 10, NOW + timedelta(seconds=299)) == Decision()
    assert decide_tracking(policy, TEN, 3, 10, NOW + timedelta(seconds=300)) == Decision(1)
    assert decide_tracking(policy, TEN, 3, 200, NOW + timedelta(seconds=1)) == Decision(6)


def test_disabled_scale_in_changes_nothing() -> None:
    assert decide_tracking(tracking(DisableScaleIn=True), TEN, 3, 0, NOW) == Decision()


@pytest.mark.parametrize(
    ("settings", "breach", "adjustment"),
    [
        (OUT, 0, 0),
        (OUT, 9.9, 0),
        (OUT, 10, 10),
        (OUT, 20, 30),
        (OUT, 1e9, 30),
        (OUT, -1, None),
        (IN, -0.1, 0),
        (IN, -10, -10),
        (IN, -9.9, 0),
        (IN, -20, -30),
        (IN, -1e9, -30),
        (IN, 1, None),
    ],
)
def test_step_adjustment_is_relative_to_the_threshold(
    settings: dict[str, Any], breach: float, adjustment: int | None
) -> None:
    assert step_adjustment(settings, breach) == adjustment


@pytest.mark.parametrize(
    ("base", "adjustment", "minimum", "result"),
    [
        (10, 10, None, 11),
        (11, 30, None, 14),
        (14, -10, None, 13),
        (13, -30, None, 10),
        (4, 25, 2, 6),
        (4, -25, 2, 2),
        (1, 10, None, 2),
        (3, -10, None, 2),
        (0, 50, None, 0),
        (5, 0, 2, 5),
    ],
)
def test_percentage_change_rounds_towards_zero_but_is_not_zero(
    base: int, adjustment: int, minimum: int | None, result: int
) -> None:
    settings = {"AdjustmentType": "PercentChangeInCapacity", "MinAdjustmentMagnitude": minimum}
    assert adjusted(settings, base, adjustment) == result


def test_step_decision_changes_or_sets_the_capacity() -> None:
    assert decide_step(stepping(), TEN, 0, 0, NOW) == Decision(2)
    assert decide_step(stepping(AdjustmentType="ExactCapacity"), TEN, 5, 1, NOW) == Decision(2)
    assert decide_step(stepping(), TEN, 9, 1, NOW) == Decision(10)
    assert decide_step(stepping(), TEN, 3, -1, NOW) == Decision(reason="AlreadyAtDesiredCapacity")


def test_step_during_cooldown_adds_the_difference() -> None:
    policy = stepping(
        StepAdjustments=[
            {"MetricIntervalLowerBound": 0, "MetricIntervalUpperBound": 10, "ScalingAdjustment": 2},
            {"MetricIntervalLowerBound": 10, "ScalingAdjustment": 3},
        ]
    )
    policy.scaled_out = Movement(base=1, ended=NOW)
    within = NOW + timedelta(seconds=299)
    assert decide_step(policy, TEN, 3, 5, within).desired is None
    assert decide_step(policy, TEN, 3, 15, within) == Decision(4)
    assert decide_step(policy, TEN, 3, 5, NOW + timedelta(seconds=300)) == Decision(5)
