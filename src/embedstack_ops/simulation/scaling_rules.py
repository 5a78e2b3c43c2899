"""The arithmetic of Application Auto Scaling, and its cooldowns.

The rules are in its user guide: "How target tracking scaling works" and "How step scaling works".
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from statistics import mean

from embedstack_ops.simulation.configurations import Alarm, StepPolicy, TrackingPolicy

__all__ = ["Cooldown", "PolicyState", "alarm_is_raised", "step_capacity", "tracked_capacity"]

#: Periods that an alarm reads beyond its evaluation periods, to replace missing datapoints.
EXTRA_PERIODS = 2
_AGGREGATIONS: dict[str, Callable[[Sequence[float]], float]] = {"Average": mean, "Minimum": min, "Maximum": max}


def tracked_capacity(current: int, value: float, target: float) -> int:
    """The capacity, rounded up, that brings a metric per instance to its target. Zero counts as one.

    >>> tracked_capacity(2, 150, 100)
    3
    """
    # Rounding keeps floating-point errors, as in 3 * 0.7 / 0.7, from adding an instance.
    return math.ceil(round(max(current, 1) * value / target, 9))


def step_capacity(policy: StepPolicy, current: int, value: float) -> int:
    """The capacity that a step policy sets for a metric's value. A value outside all steps keeps the capacity.

    Above the threshold a step's lower bound is inclusive; below it, its upper bound. A percentage is rounded towards
    zero, and up to 1 below that.
    """
    breach = value - policy.alarm.threshold
    for lower, upper, adjustment in policy.steps:
        low, high = -math.inf if lower is None else lower, math.inf if upper is None else upper
        if not (low <= breach < high if breach >= 0 else low < breach <= high):
            continue
        if policy.adjustment == "ExactCapacity":
            return adjustment
        if policy.adjustment == "ChangeInCapacity":
            return current + adjustment
        change = current * abs(adjustment) / 100
        size = max(math.floor(change), 1, policy.minimum_change) if change else 0
        return current + (size if adjustment > 0 else -size)
    return current


def alarm_is_raised(alarm: Alarm, recent: Iterable[float | None]) -> bool:
    """Whether an alarm is in ALARM, given its recent datapoints, latest first. Missing data are treated as missing.

    Missing datapoints are replaced by older ones of the evaluation range. If too few are left, all of them must breach
    and the oldest must be as old as the alarm's periods (CloudWatch user guide, "Avoiding premature transitions").
    """
    used = oldest = 0
    for age, value in enumerate(islice(recent, alarm.periods + EXTRA_PERIODS)):
        if value is None:
            continue
        if not alarm.breaches(value):
            return False
        used, oldest = used + 1, age
        if used == alarm.periods:
            return True
    return used > 0 and oldest + 1 >= alarm.periods


@dataclass(slots=True)
class Cooldown:
    """The last change by a policy in one direction: its end, in ns, and the capacity before it."""

    ended: int | None = None
    base: int = 0

    def is_active(self, now: int, length: int) -> bool:
        """Whether the cooldown, of a length in ns, has not passed."""
        return self.ended is not None and now < self.ended + length


@dataclass(slots=True)
class PolicyState:
    """A policy with its cooldowns and its last proposal to scale in."""

    policy: TrackingPolicy | StepPolicy
    scaled_out: Cooldown = field(default_factory=Cooldown)
    scaled_in: Cooldown = field(default_factory=Cooldown)

    def propose(self, values: Sequence[float], current: int, now: int) -> int:
        """The capacity that the policy sets when its alarm is in ALARM; the current one for no change.

        During a cooldown after a scale-out, a larger scale-out starts from the capacity before the first one.

        Args:
            values: The alarm's datapoints, latest first.
            current: The current capacity.
            now: The time in ns.
        """
        policy = self.policy
        if isinstance(policy, TrackingPolicy):
            value = values[0]
            cooldown = policy.scale_out_cooldown_s
            if value > policy.target:
                base = self._base(current, now, cooldown)
                return max(tracked_capacity(base, value, policy.target), current)
            if not policy.scales_in or self.scaled_in.is_active(now, policy.scale_in_cooldown_s * 10**9):
                return current
            return min(tracked_capacity(current, value, policy.target), current)
        value = float(_AGGREGATIONS[policy.aggregation](values))
        proposal = step_capacity(policy, current, value)
        if proposal < current:
            return current if self.scaled_in.is_active(now, policy.cooldown_s * 10**9) else proposal
        return max(step_capacity(policy, self._base(current, now, policy.cooldown_s), value), current)

    def _base(self, current: int, now: int, cooldown_s: int) -> int:
        return self.scaled_out.base if self.scaled_out.is_active(now, cooldown_s * 10**9) else current
