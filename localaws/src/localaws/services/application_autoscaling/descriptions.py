"""Records as the API's Describe operations show them, and the pages that they come in."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from localaws.services.application_autoscaling.errors import InvalidNextToken
from localaws.services.application_autoscaling.records import TARGET_TRACKING, Activity, Policy, ScheduledAction, Target
from localaws.services.application_autoscaling.registry import Region

__all__ = ["activity", "alarms", "page", "policy", "scheduled_action", "target"]

_Record = TypeVar("_Record")


def page(
    member: str,
    records: Sequence[_Record],
    describe: Callable[[_Record], dict[str, Any]],
    request: dict[str, Any],
    most: int,
) -> dict[str, Any]:
    """One page of an answer.

    Args:
        member: The answer's member that holds the records.
        records: All of them, in order.
        describe: How one is shown.
        request: The request, with MaxResults and NextToken.
        most: The most that a page has.

    Raises:
        InvalidNextToken: The token is none that an answer had.
    """
    token = request.get("NextToken") or "0"
    if not token.isdecimal() or int(token) > len(records):
        raise InvalidNextToken
    first, size = int(token), min(request.get("MaxResults") or most, most)
    answer: dict[str, Any] = {member: [describe(record) for record in records[first : first + size]]}
    if first + size < len(records):
        answer["NextToken"] = str(first + size)
    return answer


def target(record: Target) -> dict[str, Any]:
    """A ScalableTarget."""
    return {
        **record.key.members(),
        "MinCapacity": record.capacity.low,
        "MaxCapacity": record.capacity.high,
        "RoleARN": record.role_arn,
        "CreationTime": record.created,
        "SuspendedState": record.suspended,
        "ScalableTargetARN": record.arn,
    }


def alarms(region: Region, record: Policy) -> list[dict[str, str]]:
    """A policy's Alarms: those that target tracking made."""
    return [{"AlarmName": name, "AlarmARN": region.arn("cloudwatch", f"alarm:{name}")} for name in record.alarms]


def policy(region: Region, owner: Target, record: Policy) -> dict[str, Any]:
    """A ScalingPolicy."""
    settings = (
        "TargetTrackingScalingPolicyConfiguration"
        if record.kind == TARGET_TRACKING
        else "StepScalingPolicyConfiguration"
    )
    return {
        "PolicyARN": record.arn,
        "PolicyName": record.name,
        **owner.key.members(),
        "PolicyType": record.kind,
        settings: record.settings,
        "Alarms": alarms(region, record),
        "CreationTime": record.created,
    }


def scheduled_action(owner: Target, record: ScheduledAction) -> dict[str, Any]:
    """A ScheduledAction."""
    bounds = {"MinCapacity": record.low, "MaxCapacity": record.high}
    answer = {
        "ScheduledActionName": record.name,
        "ScheduledActionARN": record.arn,
        **owner.key.members(),
        "Schedule": record.expression,
        "Timezone": record.timezone,
        "StartTime": record.start,
        "EndTime": record.end,
        "ScalableTargetAction": {name: bound for name, bound in bounds.items() if bound is not None},
        "CreationTime": record.created,
    }
    return {name: value for name, value in answer.items() if value is not None}


def activity(record: Activity) -> dict[str, Any]:
    """A ScalingActivity."""
    answer = {
        "ActivityId": record.id,
        **record.key.members(),
        "Description": record.description,
        "Cause": record.cause,
        "StartTime": record.started,
        "EndTime": record.ended,
        "StatusCode": record.status,
        "StatusMessage": record.message,
        "NotScaledReasons": record.not_scaled or None,
    }
    return {name: value for name, value in answer.items() if value is not None}
