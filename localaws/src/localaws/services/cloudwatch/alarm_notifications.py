"""The message that an alarm sends to its topic."""

from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from botocore.session import Session

if TYPE_CHECKING:
    from localaws.services.cloudwatch.alarm_actions import AlarmAction


def notification(action: "AlarmAction") -> dict[str, Any]:
    """The message's JSON (CloudWatch user guide, "Notifying users on alarm changes": SNS notification schemas)."""
    alarm = action.alarm
    message = {
        "AlarmName": alarm.name,
        "AlarmDescription": alarm.description,
        "AWSAccountId": action.account_id,
        "AlarmConfigurationUpdatedTimestamp": stamp(alarm.configuration_updated_timestamp),
        "NewStateValue": action.state,
        "NewStateReason": alarm.state_reason,
        "StateChangeTime": stamp(alarm.state_updated_timestamp),
        "Region": _place(action.region),
        "AlarmArn": alarm.alarm_arn,
        "OldStateValue": action.previous_state,
        "OKActions": alarm.ok_actions,
        "AlarmActions": alarm.alarm_actions,
        "InsufficientDataActions": alarm.insufficient_data_actions,
    }
    if alarm.rule is not None:
        del message["AlarmConfigurationUpdatedTimestamp"]
        return {**message, "AlarmRule": alarm.rule, "TriggeringChildren": list(action.triggers)}
    return {**message, "Trigger": _trigger(alarm)}


def subject_of(action: "AlarmAction") -> str:
    """The message's subject; SNS cuts subjects at 100 characters."""
    return f'{action.state}: "{action.alarm.name}" in {_place(action.region)}'[:100]


def stamp(moment: datetime) -> str:
    """A moment as alarms write it: ``2026-01-31T12:00:00.000+0000``."""
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03}+0000"


def _trigger(alarm: Any) -> dict[str, Any]:
    rule = {
        "Period": alarm.period,
        "EvaluationPeriods": alarm.evaluation_periods,
        "DatapointsToAlarm": alarm.datapoints_to_alarm or alarm.evaluation_periods,
        "ComparisonOperator": alarm.comparison_operator,
        "Threshold": alarm.threshold,
        "TreatMissingData": alarm.treat_missing_data or "missing",
        "EvaluateLowSampleCountPercentile": alarm.evaluate_low_sample_count_percentile or "",
    }
    if alarm.metric_data_queries:
        return {**rule, "Metrics": [_query(query) for query in alarm.metric_data_queries]}
    statistic: dict[str, Any] = (
        {"StatisticType": "ExtendedStatistic", "ExtendedStatistic": alarm.extended_statistic}
        if alarm.extended_statistic
        else {"StatisticType": "Statistic", "Statistic": _STATISTICS.get(alarm.statistic, alarm.statistic)}
    )
    return {
        "MetricName": alarm.metric_name,
        "Namespace": alarm.namespace,
        **statistic,
        "Unit": alarm.unit,
        "Dimensions": _dimensions(alarm.dimensions),
        **rule,
    }


_STATISTICS = {
    "Average": "AVERAGE",
    "Maximum": "MAXIMUM",
    "Minimum": "MINIMUM",
    "SampleCount": "SAMPLE_COUNT",
    "Sum": "SUM",
}


def _query(query: Any) -> dict[str, Any]:
    written = {"Id": query.id, "Label": query.label, "ReturnData": query.return_data is not False}
    if query.metric_stat is None:
        return {**written, "Expression": query.expression}
    metric = query.metric_stat.metric
    return {
        **written,
        "MetricStat": {
            "Metric": {
                "Dimensions": _dimensions(metric.dimensions),
                "MetricName": metric.metric_name,
                "Namespace": metric.namespace,
            },
            "Period": query.metric_stat.period,
            "Stat": query.metric_stat.stat,
        },
    }


def _dimensions(dimensions: Any) -> list[dict[str, str]]:
    return [{"value": dimension.value, "name": dimension.name} for dimension in dimensions]


@cache
def _place(region: str) -> str:
    """``US East (N. Virginia)``; messages still write EU where the region is called Europe by now."""
    partitions = Session().get_data("endpoints")["partitions"]
    regions = {name: data["description"] for partition in partitions for name, data in partition["regions"].items()}
    return str(regions.get(region, region)).replace("Europe (", "EU (")
