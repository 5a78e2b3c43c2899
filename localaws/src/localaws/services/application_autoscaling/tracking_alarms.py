"""The CloudWatch alarms of target tracking policies: one above the target and one below 90 % of it."""

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from moto.cloudwatch.models import cloudwatch_backends

from localaws.services.application_autoscaling.records import (
    COPIES,
    INSTANCES,
    PROVISIONED_CONCURRENCY,
    Policy,
    TargetKey,
)

if TYPE_CHECKING:
    from localaws.services.cloudwatch.alarms import Alarms

__all__ = ["PREDEFINED", "PredefinedMetric", "TrackingAlarms", "dimensions_of"]

#: AWS does not document these numbers; they are those of the alarms that it creates.
_HIGH_PERIODS = 3
_LOW_PERIODS = 15
_LOW_SHARE = 0.9
_MINUTE = 60
_HIGH_RESOLUTION = 10


@dataclass(frozen=True, slots=True)
class PredefinedMetric:
    """The metric of a PredefinedMetricType.

    Attributes:
        name: The metric's name in AWS/SageMaker.
        statistic: The tracked statistic.
        dimension: The only scalable dimension with this metric.
        seconds: Period of the alarm that scales out.
    """

    name: str
    statistic: str
    dimension: str
    seconds: int = _MINUTE


PREDEFINED = {
    "SageMakerVariantInvocationsPerInstance": PredefinedMetric("InvocationsPerInstance", "Sum", INSTANCES),
    "SageMakerVariantConcurrentRequestsPerModelHighResolution": PredefinedMetric(
        "ConcurrentRequestsPerModel", "Average", INSTANCES, _HIGH_RESOLUTION
    ),
    "SageMakerVariantProvisionedConcurrencyUtilization": PredefinedMetric(
        "ServerlessProvisionedConcurrencyUtilization", "Average", PROVISIONED_CONCURRENCY
    ),
    "SageMakerInferenceComponentInvocationsPerCopy": PredefinedMetric("InvocationsPerCopy", "Sum", COPIES),
    "SageMakerInferenceComponentConcurrentRequestsPerCopyHighResolution": PredefinedMetric(
        "ConcurrentRequestsPerCopy", "Average", COPIES, _HIGH_RESOLUTION
    ),
}


class TrackingAlarms:
    """Creates, updates and deletes the alarms of target tracking policies."""

    def __init__(self, alarms: "Alarms") -> None:
        """Create alarms in CloudWatch."""
        self._alarms = alarms

    def put(self, account_id: str, region: str, key: TargetKey, policy: Policy) -> list[str]:
        """Create or update a target tracking policy's alarms.

        Returns:
            Their names: high, and low unless the policy has DisableScaleIn.
        """
        before = {kind: name for name in policy.alarms for kind in ("AlarmHigh", "AlarmLow") if f"-{kind}-" in name}
        target = float(policy.settings["TargetValue"])
        alarms = [("AlarmHigh", "GreaterThanThreshold", target, _HIGH_PERIODS, _high_seconds(policy))]
        if policy.scales_in:
            alarms.append(("AlarmLow", "LessThanThreshold", target * _LOW_SHARE, _LOW_PERIODS, _MINUTE))
        names = []
        for kind, comparison, threshold, periods, seconds in alarms:
            name = before.pop(kind, None) or f"TargetTracking-{key.resource_id}-{kind}-{uuid.uuid4()}"
            self._alarms.put_metric_alarm(
                account_id,
                region,
                name=name,
                comparison_operator=comparison,
                evaluation_periods=periods,
                threshold=threshold,
                description=f"DO NOT EDIT OR DELETE. For TargetTrackingScaling policy {policy.arn}.",
                alarm_actions=[policy.arn],
                **_metric(key, policy, seconds),
            )
            names.append(name)
        self._alarms.delete_alarms(account_id, region, list(before.values()))
        return names

    def delete(self, account_id: str, region: str, policy: Policy) -> None:
        """Delete the alarms created for a policy. The alarms of a step scaling policy belong to the user."""
        self._alarms.delete_alarms(account_id, region, policy.alarms)

    @staticmethod
    def is_low(account_id: str, region: str, policy: Policy) -> bool:
        """Whether a policy's low alarm is in ALARM."""
        alarms = cloudwatch_backends[account_id][region].alarms
        alarm = alarms.get(policy.alarms[1]) if len(policy.alarms) > 1 else None
        return alarm is not None and alarm.state_value == "ALARM"


def _high_seconds(policy: Policy) -> int:
    predefined = policy.settings.get("PredefinedMetricSpecification")
    return PREDEFINED[predefined["PredefinedMetricType"]].seconds if predefined else _MINUTE


def _metric(key: TargetKey, policy: Policy, seconds: int) -> dict[str, Any]:
    """The members of an alarm that define its metric."""
    predefined = policy.settings.get("PredefinedMetricSpecification")
    if predefined:
        metric = PREDEFINED[predefined["PredefinedMetricType"]]
        return {
            "namespace": "AWS/SageMaker",
            "metric_name": metric.name,
            "dimensions": dimensions_of(key),
            "statistic": metric.statistic,
            "unit": None,
            "period": seconds,
        }
    custom = policy.settings["CustomizedMetricSpecification"]
    return {
        "namespace": custom["Namespace"],
        "metric_name": custom["MetricName"],
        "dimensions": custom.get("Dimensions") or [],
        "statistic": custom["Statistic"],
        "unit": custom.get("Unit"),
        "period": seconds,
    }


def dimensions_of(key: TargetKey) -> list[dict[str, str]]:
    """The metric dimensions of a resource: ``endpoint/<name>/variant/<name>`` or ``inference-component/<name>``."""
    parts = key.resource_id.split("/")
    if key.dimension == COPIES:
        return [{"Name": "InferenceComponentName", "Value": parts[1]}]
    return [{"Name": "EndpointName", "Value": parts[1]}, {"Name": "VariantName", "Value": parts[3]}]
