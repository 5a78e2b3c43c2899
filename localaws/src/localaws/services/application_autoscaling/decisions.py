"""How much capacity a policy wants: arithmetic only, without clock, alarms or endpoints.

The rules are those of the Application Auto Scaling user guide: "How target tracking scaling for Application Auto
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
    """What a policy wants.

    Attributes:
        desired: The capacity, within the target's range; None to leave it as it is.
        reason: Why it is left: the Code of a NotScaledReason; None while a cooldown holds it back.
    """

    desired: int | None = None
    reason: str | None = None


def tracked_capacity(current: int, value: float, target: float) -> int:
    """Capacity that brings a metric, which is shared by the capacity there is, to its target: always rounded up.

    With no capacity the metric counts as that of one: an asynchronous endpoint scales out from zero by target
    tracking once its backlog exceeds the target value (SageMaker developer guide, "Autoscale an asynchronous
    endpoint"); metrics that need capacity to be there have no data then, and so never get here.

    >>> tracked_capacity(current=2, value=150, target=100)
    3
    """
    # A product such as 3 * 0.7 / 0.7 must not need a fourth instance for its last bit.
    return math.ceil(round(max(current, 1) * value / target, 9))


def step_adjustment(settings: dict[str, Any], breach: float) -> int | None:
    """The ScalingAdjustment of the step that a breach falls into; None when there is none.

    Args:
        settings: StepScalingPolicyConfiguration.
        breach: The metric less the alarm's threshold. Above it a step's lower bound is inclusive, below it the upper.
    """
    for step in settings.get("StepAdjustments") or []:
        low, high = step.get("MetricIntervalLowerBound"), step.get("MetricIntervalUpperBound")
        low, high = -math.inf if low is None else low, math.inf if high is None else high
        if low <= breach < high if breach >= 0 else low < breach <= high:
            return int(step["ScalingAdjustment"])
    return None


def adjusted(settings: dict[str, Any], base: int, adjustment: int) -> int:
    """Apply an adjustment to a capacity, by the policy's AdjustmentType.

    A percentage is rounded towards zero, but to no less than one, and to no less than MinAdjustmentMagnitude.

    >>> adjusted({"AdjustmentType": "PercentChangeInCapacity"}, base=11, adjustment=30)
    14
    """
    match settings.get("AdjustmentType"):
        case "ExactCapacity":
            return adjustment
        case "PercentChangeInCapacity":
            change = base * adjustment / 100
            whole = math.copysign(max(math.floor(abs(change)), 1), change) if change else 0
            least = settings.get("MinAdjustmentMagnitude") or 0
            return base + int(math.copysign(max(abs(whole), least), adjustment) if adjustment else 0)
        case _:
            return base + adjustment


def decide_tracking(policy: "Policy", capacity: "Capacity", current: int, value: float, now: datetime) -> Decision:
    """What a target tracking policy wants, its alarm being in ALARM with the metric at a value.

    Args:
        policy: The policy.
        capacity: The target's range.
        current: How much runs.
        value: The metric.
        now: When.
    """
    target = float(policy.settings["TargetValue"])
    if value > target:
        base = _base(policy.scaled_out, policy.settings.get("ScaleOutCooldown"), current, now)
        return _scale_out(tracked_capacity(base, value, target), capacity, current)
    if not policy.scales_in or _cools(policy.scaled_in, policy.settings.get("ScaleInCooldown"), now):
        return Decision()
    return _scale_in(tracked_capacity(current, value, target), capacity, current)


def decide_step(policy: "Policy", capacity: "Capacity", current: int, breach: float, now: datetime) -> Decision:
    """What a step scaling policy wants, its alarm being in ALARM with the metric beyond the threshold.

    Args:
        policy: The policy.
        capacity: The target's range.
        current: How much runs.
        breach: The metric less the alarm's threshold.
        now: When.
    """
    adjustment = step_adjustment(policy.settings, breach)
    if adjustment is None:
        return Decision(reason="AlreadyAtDesiredCapacity")
    cooldown = policy.settings.get("Cooldown")
    desired = adjusted(policy.settings, current, adjustment)
    if desired < current:
        return Decision() if _cools(policy.scaled_in, cooldown, now) else _scale_in(desired, capacity, current)
    base = _base(policy.scaled_out, cooldown, current, now)
    return _scale_out(adjusted(policy.settings, base, adjustment), capacity, current)


def _base(movement: "Movement | None", cooldown: int | None, current: int, now: datetime) -> int:
    """What a scale-out counts from.

    During a cooldown that is what the one before counted from: only what is missing to a larger one is added.
    """
    if movement is not None and _cools(movement, cooldown, now):
        return movement.base
    return current


def _cools(movement: "Movement | None", cooldown: int | None, now: datetime) -> bool:
    if movement is None:
        return False
    seconds = DEFAULT_COOLDOWN_SECONDS if cooldown is None else cooldown
    return movement.ended is None or now < movement.ended + timedelta(seconds=seconds)


def _scale_out(wanted: int, capacity: "Capacity", current: int) -> Decision:
    desired = min(wanted, capacity.high)
    if desired > current:
        return Decision(desired)
    return Decision(reason="AlreadyAtMaxCapacity" if wanted > capacity.high else "AlreadyAtDesiredCapacity")


def _scale_in(wanted: int, capacity: "Capacity", current: int) -> Decision:
    desired = max(wanted, capacity.low)
    if desired < current:
        return Decision(desired)
    return Decision(reason="AlreadyAtMinCapacity" if wanted < capacity.low else "AlreadyAtDesiredCapacity")
