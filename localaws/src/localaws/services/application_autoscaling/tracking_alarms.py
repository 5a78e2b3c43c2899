"""The CloudWatch alarms that target tracking makes and owns: one above the target, one well below it."""

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from moto.cloudwatch.models import Dimension, Metric, MetricDataQuery, MetricStat, cloudwatch_backends

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

#: Evaluations: three for scaling out, fifteen for scaling in, and a low threshold a tenth below the target. AWS does
#: not promise these, and they are what its alarms show.
_HIGH_PERIODS = 3
_LOW_PERIODS = 15
_LOW_SHARE = 0.9
_MINUTE = 60
_HIGH_RESOLUTION = 10


@dataclass(frozen=True, slots=True)
class PredefinedMetric:
    """What a PredefinedMetricType stands for.

    Attributes:
        name: CloudWatch's name for it, in AWS/SageMaker.
        statistic: The statistic that is tracked.
        dimension: The only scalable dimension that it is for.
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
    """Makes, changes and removes the alarms of target tracking policies."""

    def __init__(self, alarms: "Alarms") -> None:
        """Keep them among these alarms."""
        self._alarms = alarms

    def put(self, account_id: str, region: str, key: TargetKey, policy: Policy) -> list[str]:
        """Make a target tracking policy's alarms, or change those it has.

        Returns:
            Their names: high, and low unless the policy does not scale in.
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
        """Remove a policy's alarms; those that a step scaling policy is told by are their owner's."""
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
    """The members of an alarm that say what it watches."""
    predefined = policy.settings.get("PredefinedMetricSpecification")
    if predefined:
        metric = PREDEFINED[predefined["PredefinedMetricType"]]
        return _plain("AWS/SageMaker", metric.name, dimensions_of(key), metric.statistic, None, seconds)
    custom = policy.settings["CustomizedMetricSpecification"]
    if custom.get("Metrics"):
        queries = [_query(query, seconds) for query in custom["Metrics"]]
        return {
            **_plain(None, None, [], None, None, None),
            "metric_data_queries": queries,
        }
    dimensions = custom.get("Dimensions") or []
    return _plain(
        custom["Namespace"], custom["MetricName"], dimensions, custom["Statistic"], custom.get("Unit"), seconds
    )


def _plain(
    namespace: str | None,
    name: str | None,
    dimensions: list[dict[str, str]],
    statistic: str | None,
    unit: str | None,
    seconds: int | None,
) -> dict[str, Any]:
    return {
        "namespace": namespace,
        "metric_name": name,
        "dimensions": dimensions,
        "statistic": statistic,
        "unit": unit,
        "period": seconds,
    }


def _query(query: dict[str, Any], seconds: int) -> MetricDataQuery:
    """One query of a metric math specification, which has no period of its own."""
    stat = query.get("MetricStat")
    metric_stat = None
    if stat:
        dimensions = [Dimension(item["Name"], item["Value"]) for item in stat["Metric"].get("Dimensions") or []]
        metric = Metric(stat["Metric"]["MetricName"], stat["Metric"]["Namespace"], dimensions)
        metric_stat = MetricStat(metric=metric, period=seconds, stat=stat["Stat"], unit=stat.get("Unit"))
    return MetricDataQuery(
        query_id=query["Id"],
        label=query.get("Label"),
        period=seconds,
        return_data=query.get("ReturnData", True),
        expression=query.get("Expression"),
        metric_stat=metric_stat,
    )


def dimensions_of(key: TargetKey) -> list[dict[str, str]]:
    """A resource's dimensions in CloudWatch: ``endpoint/<name>/variant/<name>`` or ``inference-component/<name>``."""
    parts = key.resource_id.split("/")
    if key.dimension == COPIES:
        return [{"Name": "InferenceComponentName", "Value": parts[1]}]
    return [{"Name": "EndpointName", "Value": parts[1]}, {"Name": "VariantName", "Value": parts[3]}]
