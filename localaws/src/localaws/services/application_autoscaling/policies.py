"""PutScalingPolicy: validation and the resulting record."""

import math
from datetime import datetime
from itertools import pairwise
from typing import Any

from localaws.services.application_autoscaling.errors import ValidationFailed
from localaws.services.application_autoscaling.records import STEP, TARGET_TRACKING, Policy, Region, Target
from localaws.services.application_autoscaling.tracking_alarms import PREDEFINED, TrackingAlarms

__all__ = ["put_policy"]

_MEMBERS = {TARGET_TRACKING: "TargetTrackingScalingPolicyConfiguration", STEP: "StepScalingPolicyConfiguration"}


def put_policy(
    region: Region, target: Target, request: dict[str, Any], alarms: TrackingAlarms, now: datetime
) -> Policy:
    """Create or update a policy, with the alarms of target tracking.

    Raises:
        ValidationFailed: The policy is invalid.
        NotImplementedError: Its metric is a metric math expression.
    """
    name = request["PolicyName"]
    before = target.policies.get(name)
    kind = request.get("PolicyType") or (before.kind if before else None)
    if kind is None:
        raise ValidationFailed("PolicyType must be specified for a new scaling policy")
    if kind not in _MEMBERS:
        raise ValidationFailed(f"{kind} policies are not supported for service namespace sagemaker")
    if before is not None and before.kind != kind:
        raise ValidationFailed(f"The type of scaling policy {name} cannot be changed from {before.kind} to {kind}")
    settings = request.get(_MEMBERS[kind]) or (before.settings if before else None)
    if not settings:
        raise ValidationFailed(f"{_MEMBERS[kind]} must be specified for policy type {kind}")
    if kind == TARGET_TRACKING:
        _check_tracking(target, name, settings)
    else:
        _check_steps(settings)
    policy = before or Policy(name, region.policy_arn(target.key, name), kind, settings, now)
    policy.settings = settings
    if policy.tracks:
        policy.alarms = alarms.put(region.account_id, region.name, target.key, policy)
    target.policies[name] = policy
    return policy


def _check_tracking(target: Target, name: str, settings: dict[str, Any]) -> None:
    predefined: dict[str, Any] = settings.get("PredefinedMetricSpecification") or {}
    custom: dict[str, Any] = settings.get("CustomizedMetricSpecification") or {}
    if bool(predefined) == bool(custom):
        raise ValidationFailed(
            "Exactly one of PredefinedMetricSpecification and CustomizedMetricSpecification must be specified"
        )
    if settings["TargetValue"] <= 0:
        raise ValidationFailed("TargetValue must be greater than 0")
    if predefined:
        metric = PREDEFINED.get(predefined["PredefinedMetricType"])
        if metric is None or metric.dimension != target.key.dimension:
            raise ValidationFailed(
                f"Predefined metric type {predefined['PredefinedMetricType']} is not supported for scalable dimension "
                f"{target.key.dimension}"
            )
    elif custom.get("Metrics"):
        raise NotImplementedError("PutScalingPolicy with CustomizedMetricSpecification.Metrics (metric math)")
    elif not all(custom.get(key) for key in ("MetricName", "Namespace", "Statistic")):
        raise ValidationFailed(
            "CustomizedMetricSpecification must have MetricName, Namespace and Statistic, or Metrics"
        )
    for other in target.policies.values():
        if other.tracks and other.name != name and _metric(other.settings) == _metric(settings):
            raise ValidationFailed("Only one TargetTrackingScaling policy for a given metric specification is allowed.")


def _metric(settings: dict[str, Any]) -> tuple[Any, Any]:
    return settings.get("PredefinedMetricSpecification"), settings.get("CustomizedMetricSpecification")


def _check_steps(settings: dict[str, Any]) -> None:
    """Check the rules under "Step adjustments" in the user guide's page about step scaling."""
    if not settings.get("AdjustmentType"):
        raise ValidationFailed("AdjustmentType must be specified for a step scaling policy")
    steps = settings.get("StepAdjustments")
    if not steps:
        raise ValidationFailed("At least one step adjustment must be specified")
    if settings.get("MinAdjustmentMagnitude") and settings["AdjustmentType"] != "PercentChangeInCapacity":
        raise ValidationFailed("MinAdjustmentMagnitude is only valid for PercentChangeInCapacity")
    bounds = [(step.get("MetricIntervalLowerBound"), step.get("MetricIntervalUpperBound")) for step in steps]
    if (None, None) in bounds:
        raise ValidationFailed("The upper and lower bound can't be null in the same step adjustment")
    intervals = sorted((-math.inf if low is None else low, math.inf if high is None else high) for low, high in bounds)
    if any(low >= high for low, high in intervals):
        raise ValidationFailed("The upper bound must be greater than the lower bound of a step adjustment")
    if any(before[1] != after[0] for before, after in pairwise(intervals)):
        raise ValidationFailed("The ranges of your step adjustments can't overlap or have a gap")
    if intervals[0][0] < 0 and intervals[0][0] != -math.inf:
        raise ValidationFailed("There must be a step adjustment with a null lower bound below a negative lower bound")
    if intervals[-1][1] > 0 and intervals[-1][1] != math.inf:
        raise ValidationFailed("There must be a step adjustment with a null upper bound above a positive upper bound")
