"""The output shapes of the Describe actions, and their pages."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from localaws.services.application_autoscaling.errors import InvalidNextToken
from localaws.services.application_autoscaling.records import (
    TARGET_TRACKING,
    Activity,
    Policy,
    Region,
    ScheduledAction,
    Target,
)

__all__ = ["activity", "alarms", "page", "policy", "scheduled_action", "target"]

_Record = TypeVar("_Record")


def page(
    member: str,
    records: Sequence[_Record],
    describe: Callable[[_Record], dict[str, Any]],
    request: dict[str, Any],
    max_size: int,
) -> dict[str, Any]:
    """One page of a Describe response.

    Args:
        member: The member of the response that holds the records.
        records: All records in order.
        describe: Converts a record to its output shape.
        request: The request, with MaxResults and NextToken.
        max_size: Maximum size of a page.

    Raises:
        InvalidNextToken: The token is not from an earlier response.
    """
    token = request.get("NextToken") or "0"
    if not token.isdecimal() or int(token) > len(records):
        raise InvalidNextToken
    first, size = int(token), min(request.get("MaxResults") or max_size, max_size)
    response: dict[str, Any] = {member: [describe(record) for record in records[first : first + size]]}
    if first + size < len(records):
        response["NextToken"] = str(first + size)
    return response


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
    """A policy's Alarms, which target tracking created."""
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
    response = {
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
    return {name: value for name, value in response.items() if value is not None}


def activity(record: Activity) -> dict[str, Any]:
    """A ScalingActivity."""
    response = {
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
    return {name: value for name, value in response.items() if value is not None}
