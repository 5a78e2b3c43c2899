"""The actions of alarms: messages to SNS topics, and handlers that other services register."""

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from botocore.session import Session

from localaws.services.sns.topic_delivery import publish

__all__ = ["ActionDispatcher", "ActionHandler", "AlarmAction", "format_timestamp"]

_logger = logging.getLogger(__name__)

_STATISTICS = {
    "Average": "AVERAGE",
    "Maximum": "MAXIMUM",
    "Minimum": "MINIMUM",
    "SampleCount": "SAMPLE_COUNT",
    "Sum": "SUM",
}


@dataclass(frozen=True, slots=True)
class AlarmAction:
    """One action of an alarm that is due.

    Attributes:
        action_arn: The action, such as a topic's ARN.
        account_id: The alarm's account.
        region: The alarm's region.
        alarm: moto's alarm.
        state: The alarm's state: ``OK``, ``ALARM`` or ``INSUFFICIENT_DATA``.
        previous_state: The state before; equal to ``state`` for a repeated action.
        at: The simulated time of the evaluation.
        value: The latest datapoint of the evaluation; None without data.
        triggers: For a composite alarm, the children that changed: ``{"Arn", "State": {"Value", "Timestamp"}}``.
    """

    action_arn: str
    account_id: str
    region: str
    alarm: Any
    state: str
    previous_state: str
    at: datetime
    value: float | None = None
    triggers: tuple[dict[str, Any], ...] = ()


ActionHandler = Callable[[AlarmAction], None]


class ActionDispatcher:
    """Runs actions with the handler registered for the prefix of their ARN."""

    def __init__(self) -> None:
        """Start with a handler for SNS."""
        self._handlers: dict[str, ActionHandler] = {"arn:aws:sns:": _publish}
        self._repeated: list[str] = []

    def register(self, prefix: str, handler: ActionHandler) -> None:
        """Handle actions whose ARN has a prefix, on the change of state and every minute after it.

        "For an alarm with an Auto Scaling action, the alarm continues to invoke the action once per minute that
        the alarm remains in the new state" (API reference of PutMetricAlarm).
        """
        self._handlers[prefix] = handler
        self._repeated.append(prefix)

    def repeats(self, action_arn: str) -> bool:
        """Whether an action is repeated while the state lasts."""
        return action_arn.startswith(tuple(self._repeated))

    def run(self, action: AlarmAction) -> dict[str, Any]:
        """Run an action.

        Returns:
            The data of the history entry: ``actionState`` is ``Succeeded`` or ``Failed``, the latter with ``error``.
        """
        result: dict[str, Any] = {"actionState": "Succeeded", "notificationResource": action.action_arn}
        handler = next(
            (handler for prefix, handler in self._handlers.items() if action.action_arn.startswith(prefix)), None
        )
        if handler is None:
            return {**result, "actionState": "Failed", "error": "The local AWS does not implement actions of this kind"}
        try:
            handler(action)
        except Exception as error:
            _logger.warning("action %s of alarm %s failed", action.action_arn, action.alarm.name, exc_info=True)
            return {**result, "actionState": "Failed", "error": str(error)}
        return result


def format_timestamp(moment: datetime) -> str:
    """A moment as alarms write it: ``2026-01-31T12:00:00.000+0000``."""
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03}+0000"


def _publish(action: AlarmAction) -> None:
    message = json.dumps(_notification(action), separators=(",", ":"))
    # SNS limits subjects to 100 characters.
    subject = f'{action.state}: "{action.alarm.name}" in {_region_name(action.region)}'[:100]
    publish(action.action_arn, message, subject)


def _notification(action: AlarmAction) -> dict[str, Any]:
    """The message's JSON (CloudWatch user guide, "Notifying users on alarm changes": SNS notification schemas)."""
    alarm = action.alarm
    message = {
        "AlarmName": alarm.name,
        "AlarmDescription": alarm.description,
        "AWSAccountId": action.account_id,
        "AlarmConfigurationUpdatedTimestamp": format_timestamp(alarm.configuration_updated_timestamp),
        "NewStateValue": action.state,
        "NewStateReason": alarm.state_reason,
        "StateChangeTime": format_timestamp(alarm.state_updated_timestamp),
        "Region": _region_name(action.region),
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


def _trigger(alarm: Any) -> dict[str, Any]:
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
        "Dimensions": [{"value": dimension.value, "name": dimension.name} for dimension in alarm.dimensions],
        "Period": alarm.period,
        "EvaluationPeriods": alarm.evaluation_periods,
        "DatapointsToAlarm": alarm.datapoints_to_alarm or alarm.evaluation_periods,
        "ComparisonOperator": alarm.comparison_operator,
        "Threshold": alarm.threshold,
        "TreatMissingData": alarm.treat_missing_data or "missing",
        "EvaluateLowSampleCountPercentile": alarm.evaluate_low_sample_count_percentile or "",
    }


@cache
def _region_name(region: str) -> str:
    """``US East (N. Virginia)``. Messages write EU for regions that are now called Europe."""
    partitions = Session().get_data("endpoints")["partitions"]
    regions = {name: data["description"] for partition in partitions for name, data in partition["regions"].items()}
    return str(regions.get(region, region)).replace("Europe (", "EU (")
