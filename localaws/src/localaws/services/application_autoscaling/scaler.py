"""Changes the capacity of resources for policies, schedules and registrations, one change per resource at a time."""

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
    from localaws.services.application_autoscaling.records import Region, Registry, ScheduledAction
    from localaws.services.application_autoscaling.signals import Signal
    from localaws.services.sagemaker.endpoints.scaling import ScalableResource

__all__ = ["FindResource", "Scaler"]

_logger = logging.getLogger(__name__)
#: Finds a resource by account, region, resource id and dimension.
FindResource = Callable[[str, str, str, str], "ScalableResource | None"]
_Direction = Literal["scaled_out", "scaled_in"]
#: Simulated time after which a change that SageMaker rejects fails instead of being retried.
_RETRY_FOR = timedelta(minutes=15)


@dataclass(slots=True)
class _Change:
    """A change of capacity in progress: its activity, and the policy whose cooldown it starts, if any."""

    activity: Activity
    desired: int
    policy: Policy | None = None
    direction: _Direction = "scaled_out"
    accepted: bool = False


class Scaler:
    """Changes capacity. All methods are safe for threads."""

    def __init__(self, registry: "Registry", find: FindResource, time: "SimulatedTime") -> None:
        """Scale the resources that ``find`` returns."""
        self._registry = registry
        self._find = find
        self._time = time
        self._changes: dict[tuple[str, str, TargetKey], _Change] = {}

    def resource(self, region: "Region", key: TargetKey) -> "ScalableResource | None":
        """The resource of a target; None if it does not exist."""
        return self._find(region.account_id, region.name, key.resource_id, key.dimension)

    def signal(self, region: "Region", signal: "Signal") -> None:
        """Run a policy because of its alarm, on each evaluation of the alarm."""
        with self._registry.lock:
            match = region.policy(signal.policy_arn)
            resource = self.resource(region, match[0].key) if match else None
            if match is None or resource is None:
                return
            target, policy = match
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
        """Move the capacity into the target's range. Only setting the range does this."""
        with self._registry.lock:
            resource = self.resource(region, target.key)
            if resource is None:
                return
            change = self._changes.get((region.account_id, region.name, target.key))
            planned = change.desired if change else resource.desired
            desired = target.capacity.clamp(planned)
            if desired != planned:
                bound = "minimum" if desired > planned else "maximum"
                self._begin(region, target, desired, f"{bound} capacity was set to {desired}")

    def run_action(self, region: "Region", target: Target, action: "ScheduledAction", moment: datetime) -> None:
        """Run a scheduled action that was due at a moment, and plan its next run."""
        with self._registry.lock:
            action.plan_after(moment)
            if target.suspended["ScheduledScalingSuspended"]:
                return
            low = target.capacity.low if action.low is None else action.low
            high = target.capacity.high if action.high is None else action.high
            bounds = (("min", action.low), ("max", action.high))
            change = " and ".join(f"{name} capacity to {bound}" for name, bound in bounds if bound is not None)
            cause = f"scheduled action name {action.name} was triggered"
            activity = Activity(target.key, f"Setting {change}", cause, moment)
            region.activities.append(activity)
            if low > high:
                # The action sets only one bound, and the other one conflicts with it.
                reason = "Maximum capacity cannot be less than minimum capacity."
                activity.end("Failed", f"Failed to set {change}. Reason: {reason}", moment)
                return
            target.capacity = Capacity(low, high)
            activity.end("Successful", f"Successfully set {change}", moment)
            self.keep_in_range(region, target)

    def follow(self) -> None:
        """Continue the changes in progress: retry rejected ones, and end fulfilled ones."""
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
        # Scale in only if all policies that can scale in agree, to the largest capacity that one of them proposes.
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
        """Start a change, which overrides a change in progress."""
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
                    # A scale-out ends the cooldown of a scale-in.
                    other.scaled_in = None
        self._follow(region, key, change)

    def _follow(self, region: "Region", key: TargetKey, change: _Change) -> None:
        resource = self.resource(region, key)
        noun = NOUNS[key.dimension]
        if resource is None:
            self._end(region, key, change, "Failed", _failed(key, change.desired, f"{key.resource_id} does not exist."))
            return
        if not change.accepted:
            try:
                resource.scale(change.desired)
            except CapacityRefused as refused:
                change.activity.message = _failed(key, change.desired, str(refused))
                if self._time.now() - change.activity.started > _RETRY_FOR:
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
        """Record why nothing was scaled, once per reason and not on each evaluation of the alarm."""
        last = next((activity for activity in reversed(region.activities) if activity.key == target.key), None)
        if last is not None and last.cause == cause and [reason["Code"] for reason in last.not_scaled] == [code]:
            return
        reason: dict[str, Any] = {"Code": code}
        match code:
            case "AlreadyAtMaxCapacity":
                reason["MaxCapacity"] = target.capacity.high
            case "AlreadyAtMinCapacity":
                reason["MinCapacity"] = target.capacity.low
            case "AlreadyAtDesiredCapacity":
                reason["CurrentCapacity"] = resource.current
        now = self._time.now()
        description = "Attempting to scale due to alarm triggered"
        activity = Activity(target.key, description, cause, now, "Failed", ended=now, not_scaled=[reason])
        region.activities.append(activity)


def _failed(key: TargetKey, desired: int, reason: str) -> str:
    return f"Failed to set {NOUNS[key.dimension]} to {desired}. Reason: {reason}"
