"""Carries out what policies, schedules and registrations ask for, one change of a resource after the other."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from localaws.services.application_autoscaling.decisions import Decision, decide_step, decide_tracking
from localaws.services.application_autoscaling.records import (
    NOUNS,
    Activity,
    Capacity,
    Movement,
    Policy,
    Target,
    TargetKey,
)
from localaws.services.application_autoscaling.tracking_alarms import TrackingAlarms
from localaws.services.sagemaker.endpoints.scaling import CapacityRefused

if TYPE_CHECKING:
    from localaws.core.clock import SimulatedTime
    from localaws.services.application_autoscaling.records import ScheduledAction
    from localaws.services.application_autoscaling.registry import Region, Registry
    from localaws.services.application_autoscaling.signals import Signal
    from localaws.services.sagemaker.endpoints.scaling import ScalableResource

__all__ = ["FindResource", "Scaler"]

_logger = logging.getLogger(__name__)
#: How a resource is found: account, region, resource id, dimension.
FindResource = Callable[[str, str, str, str], "ScalableResource | None"]
_Direction = Literal["scaled_out", "scaled_in"]
#: How long, in simulated time, a change that SageMaker refuses is tried again before its activity fails.
_PATIENCE = timedelta(minutes=15)


@dataclass(slots=True)
class _Change:
    """A change of capacity on its way: its activity, and the policy whose cooldown it starts, if any."""

    activity: Activity
    desired: int
    policy: Policy | None = None
    direction: _Direction = "scaled_out"
    accepted: bool = False


class Scaler:
    """Moves capacity. All methods may be called from any thread."""

    def __init__(self, registry: "Registry", find: FindResource, time: "SimulatedTime") -> None:
        """Scale what ``find`` finds."""
        self._registry = registry
        self._find = find
        self._time = time
        self._changes: dict[tuple[str, str, TargetKey], _Change] = {}

    def resource(self, region: "Region", key: TargetKey) -> "ScalableResource | None":
        """The resource behind a target, or None when it is not there."""
        return self._find(region.account_id, region.name, key.resource_id, key.dimension)

    def signal(self, region: "Region", signal: "Signal") -> None:
        """Let a policy decide, because an alarm has it as an action; at each of its evaluations again."""
        with self._registry.lock:
            found = region.policy(signal.policy_arn)
            resource = self.resource(region, found[0].key) if found else None
            if found is None or resource is None:
                return
            target, policy = found
            cause = f"{signal.cause} {policy.name}"
            if resource.changing or self._is_open(region, target.key):
                self._not_scaled(region, target, cause, "TargetServicePutResourceAsUnscalable", resource)
                return
            decision = self._decide(region, target, policy, resource, signal)
            if decision.reason:
                self._not_scaled(region, target, cause, decision.reason, resource)
            if decision.desired is None:
                return
            direction: _Direction = "scaled_out" if decision.desired > resource.current else "scaled_in"
            if not self._suspended(target, direction):
                self._begin(region, target, decision.desired, cause, policy, direction)

    def keep_in_range(self, region: "Region", target: Target) -> None:
        """Move the capacity into the target's range, as is done when the range is set, and only then."""
        with self._registry.lock:
            resource = self.resource(region, target.key)
            if resource is None:
                return
            change = self._changes.get((region.account_id, region.name, target.key))
            heading = change.desired if change else resource.desired
            desired = target.capacity.clamp(heading)
            if desired != heading:
                bound = "minimum" if desired > heading else "maximum"
                self._begin(region, target, desired, f"{bound} capacity was set to {desired}")

    def run_action(self, region: "Region", target: Target, action: "ScheduledAction", moment: datetime) -> None:
        """Carry out a scheduled action that was due at a moment, and plan its next run."""
        with self._registry.lock:
            action.plan_after(moment)
            if target.suspended["ScheduledScalingSuspended"]:
                return
            low = target.capacity.low if action.low is None else action.low
            high = target.capacity.high if action.high is None else action.high
            named = (("min", action.low), ("max", action.high))
            what = " and ".join(f"{name} capacity to {bound}" for name, bound in named if bound is not None)
            cause = f"scheduled action name {action.name} was triggered"
            activity = Activity(target.key, f"Setting {what}", cause, moment)
            region.activities.append(activity)
            if low > high:
                # Only one bound is set, and the other one stays where it was.
                reason = "Maximum capacity cannot be less than minimum capacity."
                activity.end("Failed", f"Failed to set {what}. Reason: {reason}", moment)
                return
            target.capacity = Capacity(low, high)
            activity.end("Successful", f"Successfully set {what}", moment)
            self.keep_in_range(region, target)

    def follow(self) -> None:
        """Look after the changes that are on their way: ask again for what was refused, end what is fulfilled."""
        with self._registry.lock:
            for (account_id, name, key), change in list(self._changes.items()):
                region = self._registry.region(account_id, name)
                try:
                    self._follow(region, key, change)
                except Exception as error:
                    _logger.exception("scaling %s failed", key.resource_id)
                    self._end(region, key, change, "Failed", _failed(key, change.desired, repr(error)))

    def _decide(
        self, region: "Region", target: Target, policy: Policy, resource: "ScalableResource", signal: "Signal"
    ) -> Decision:
        now = self._time.now()
        if not policy.tracks:
            breach = signal.breach(policy.settings.get("MetricAggregationType"))
            return decide_step(policy, target.capacity, resource.current, breach, now)
        decision = decide_tracking(policy, target.capacity, resource.current, signal.values[0], now)
        if decision.desired is None or decision.desired > resource.current:
            return decision
        policy.proposal = decision.desired
        # In only when every policy that may is ready to, and then to the largest capacity that one of them wants.
        others = [other for other in target.policies.values() if other.scales_in]
        if not all(
            TrackingAlarms.is_low(region.account_id, region.name, other) and other.proposal is not None
            for other in others
        ):
            return Decision()
        return Decision(max(other.proposal for other in others if other.proposal is not None))

    @staticmethod
    def _suspended(target: Target, direction: _Direction) -> bool:
        member = "DynamicScalingOutSuspended" if direction == "scaled_out" else "DynamicScalingInSuspended"
        return target.suspended[member]

    def _is_open(self, region: "Region", key: TargetKey) -> bool:
        return (region.account_id, region.name, key) in self._changes

    def _begin(
        self,
        region: "Region",
        target: Target,
        desired: int,
        cause: str,
        policy: Policy | None = None,
        direction: _Direction = "scaled_out",
    ) -> None:
        """Start a change; one that is still on its way to another capacity is overridden."""
        key = target.key
        before = self._changes.get((region.account_id, region.name, key))
        if before is not None:
            self._end(region, key, before, "Overridden", before.activity.message)
        now = self._time.now()
        activity = Activity(key, f"Setting {NOUNS[key.dimension]} to {desired}.", cause, now)
        region.activities.append(activity)
        change = _Change(activity, desired, policy, direction)
        self._changes[region.account_id, region.name, key] = change
        resource = self.resource(region, key)
        if policy is not None and resource is not None:
            setattr(policy, direction, Movement(resource.current))
            if direction == "scaled_out":
                for other in target.policies.values():
                    # A scale-out stops the cooldown of a scale-in.
                    other.scaled_in = None
        self._follow(region, key, change)

    def _follow(self, region: "Region", key: TargetKey, change: _Change) -> None:
        resource = self.resource(region, key)
        noun = NOUNS[key.dimension]
        if resource is None:
            self._end(region, key, change, "Failed", _failed(key, change.desired, f"{key.resource_id} is not there."))
            return
        if not change.accepted:
            try:
                resource.scale(change.desired)
            except CapacityRefused as refused:
                change.activity.message = _failed(key, change.desired, str(refused))
                if self._time.now() - change.activity.started > _PATIENCE:
                    self._end(region, key, change, "Failed", change.activity.message)
                return
            change.accepted = True
            change.activity.status = "InProgress"
            change.activity.message = (
                f"Successfully set {noun} to {change.desired}. Waiting for change to be fulfilled by sagemaker."
            )
            return
        if resource.changing:
            return
        if resource.current == change.desired:
            message = f"Successfully set {noun} to {change.desired}. Change successfully fulfilled by sagemaker."
            self._end(region, key, change, "Successful", message)
        else:
            message = f"Failed to set {noun} to {change.desired}. Reason: sagemaker could not fulfill the change."
            self._end(region, key, change, "Unfulfilled", message)

    def _end(self, region: "Region", key: TargetKey, change: _Change, status: str, message: str | None) -> None:
        now = self._time.now()
        change.activity.end(status, message, now)
        del self._changes[region.account_id, region.name, key]
        if change.policy is None:
            return
        movement = getattr(change.policy, change.direction)
        if movement is not None and movement.ended is None:
            fulfilled = status == "Successful"
            setattr(change.policy, change.direction, Movement(movement.base, now) if fulfilled else None)

    def _not_scaled(
        self, region: "Region", target: Target, cause: str, code: str, resource: "ScalableResource"
    ) -> None:
        """Note why nothing was done; once, however often the alarm is evaluated."""
        last = next((activity for activity in reversed(region.activities) if activity.key == target.key), None)
        if last is not None and last.cause == cause and [why["Code"] for why in last.not_scaled] == [code]:
            return
        why: dict[str, Any] = {"Code": code}
        match code:
            case "AlreadyAtMaxCapacity":
                why["MaxCapacity"] = target.capacity.high
            case "AlreadyAtMinCapacity":
                why["MinCapacity"] = target.capacity.low
            case "AlreadyAtDesiredCapacity":
                why["CurrentCapacity"] = resource.current
        now = self._time.now()
        description = "Attempting to scale due to alarm triggered"
        activity = Activity(target.key, description, cause, now, "Failed", ended=now, not_scaled=[why])
        region.activities.append(activity)


def _failed(key: TargetKey, desired: int, reason: str) -> str:
    return f"Failed to set {NOUNS[key.dimension]} to {desired}. Reason: {reason}"
