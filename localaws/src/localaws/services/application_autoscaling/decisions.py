"""The decisions of scaling policies: arithmetic only, without clock, alarms or endpoints.

The rules are in the Application Auto Scaling user guide: "How target tracking scaling for Application Auto
Scaling works" and "How step scaling for Application Auto Scaling works".
"""

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from localaws.services.application_autoscaling.records import Capacity, Movement, Policy

__all__ = ["Decision", "decide_step", "decide_tracking", "step_adjustment", "tracked_capacity"]

#: The API's default of ScaleInCooldown and ScaleOutCooldown for SageMaker, and of a step scaling policy's Cooldown.
DEFAULT_COOLDOWN_SECONDS = 300


@dataclass(frozen=True, slots=True)
class Decision:
    """The decision of a policy.

    Attributes:
        desired: The new capacity within the target's range; None for no change.
        reason: The Code of the NotScaledReason; None during a cooldown.
    """

    desired: int | None = None
    reason: str | None = None


def tracked_capacity(current: int, value: float, target: float) -> int:
    """The capacity, rounded up, that brings a metric per unit of capacity to its target.

    Zero capacity counts as one: an asynchronous endpoint scales out from zero by target tracking once its backlog
    exceeds the target value (SageMaker developer guide, "Autoscale an asynchronous endpoint"). Other metrics have no
    data at zero capacity.

    >>> tracked_capacity(current=2, value=150, target=100)
    3
    """
    # Rounding keeps floating-point errors, as in 3 * 0.7 / 0.7, from adding an instance.
    return math.ceil(round(max(current, 1) * value / target, 9))


def step_adjustment(settings: dict[str, Any], breach: float) -> int | None:
    """The ScalingAdjustment of the step that contains a breach; None if there is no such step.

    Args:
        settings: StepScalingPolicyConfiguration.
        breach: The metric minus the alarm's threshold. A step's lower bound is inclusive for positive values, its
            upper bound for negative ones.
    """
    for step in settings.get("StepAdjustments") or []:
        low, high = step.get("MetricIntervalLowerBound"), step.get("MetricIntervalUpperBound")
        low, high = -math.inf if low is None else low, math.inf if high is None else high
        if low <= breach < high if breach >= 0 else low < breach <= high:
            return int(step["ScalingAdjustment"])
    return None


def adjusted(settings: dict[str, Any], base: int, adjustment: int) -> int:
    """Apply an adjustment to a capacity by the policy's AdjustmentType.

    A percentage is rounded towards zero, but changes the capacity by at least one and by MinAdjustmentMagnitude.

    >>> adjusted({"AdjustmentType": "PercentChangeInCapacity"}, base=11, adjustment=30)
    14
    """
    match settings.get("AdjustmentType"):
        case "ExactCapacity":
            return adjustment
        case "PercentChangeInCapacity":
            change = base * adjustment / 100
            whole = math.copysign(max(math.floor(abs(change)), 1), change) if change else 0
            minimum = settings.get("MinAdjustmentMagnitude") or 0
            return base + int(math.copysign(max(abs(whole), minimum), adjustment) if adjustment else 0)
        case _:
            return base + adjustment


def decide_tracking(policy: "Policy", capacity: "Capacity", current: int, value: float, now: datetime) -> Decision:
    """Decide for a target tracking policy whose alarm is in ALARM.

    Args:
        policy: The policy.
        capacity: The target's range.
        current: The current capacity.
        value: The metric's value.
        now: The simulated time.
    """
    target = float(policy.settings["TargetValue"])
    if value > target:
        base = _base(policy.scaled_out, policy.settings.get("ScaleOutCooldown"), current, now)
        return _scale_out(tracked_capacity(base, value, target), capacity, current)
    if not policy.scales_in or _in_cooldown(policy.scaled_in, policy.settings.get("ScaleInCooldown"), now):
        return Decision()
    return _scale_in(tracked_capacity(current, value, target), capacity, current)


def decide_step(policy: "Policy", capacity: "Capacity", current: int, breach: float, now: datetime) -> Decision:
    """Decide for a step scaling policy whose alarm is in ALARM.

    Args:
        policy: The policy.
        capacity: The target's range.
        current: The current capacity.
        breach: The metric minus the alarm's threshold.
        now: The simulated time.
    """
    adjustment = step_adjustment(policy.settings, breach)
    if adjustment is None:
        return Decision(reason="AlreadyAtDesiredCapacity")
    cooldown = policy.settings.get("Cooldown")
    desired = adjusted(policy.settings, current, adjustment)
    if desired < current:
        return Decision() if _in_cooldown(policy.scaled_in, cooldown, now) else _scale_in(desired, capacity, current)
    base = _base(policy.scaled_out, cooldown, current, now)
    return _scale_out(adjusted(policy.settings, base, adjustment), capacity, current)


def _base(movement: "Movement | None", cooldown: int | None, current: int, now: datetime) -> int:
    """The capacity that a scale-out starts from.

    During a cooldown it is the start of the previous scale-out, so that only the difference to a larger one is added.
    """
    if movement is not None and _in_cooldown(movement, cooldown, now):
        return movement.base
    return current


def _in_cooldown(movement: "Movement | None", cooldown: int | None, now: datetime) -> bool:
    if movement is None:
        return False
    seconds = DEFAULT_COOLDOWN_SECONDS if cooldown is None else cooldown
    return movement.ended is None or now < movement.ended + timedelta(seconds=seconds)


def _scale_out(proposal: int, capacity: "Capacity", current: int) -> Decision:
    desired = min(proposal, capacity.high)
    if desired > current:
        return Decision(desired)
    return Decision(reason="AlreadyAtMaxCapacity" if proposal > capacity.high else "AlreadyAtDesiredCapacity")


def _scale_in(proposal: int, capacity: "Capacity", current: int) -> Decision:
    desired = max(proposal, capacity.low)
    if desired < current:
        return Decision(desired)
    return Decision(reason="AlreadyAtMinCapacity" if proposal < capacity.low else "AlreadyAtDesiredCapacity")
