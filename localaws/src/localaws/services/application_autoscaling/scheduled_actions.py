"""PutScheduledAction: validation and the resulting record."""

from datetime import UTC, datetime
from typing import Any

from embedstack.aws.schedule_expressions import Schedule, ScheduleError, parse_schedule, time_zone
from localaws.services.application_autoscaling.errors import ValidationFailed
from localaws.services.application_autoscaling.records import Region, ScheduledAction, Target
from localaws.services.application_autoscaling.registration import check_range

__all__ = ["put_action"]

#: The service's own sentence.
_SYNTAX = (
    "Invalid schedule expression. Details: Schedule expressions must have the following syntax: "
    "rate(<number>\\s?(minutes?|hours?|days?)), cron(<cron_expression>) or at(yyyy-MM-dd'T'HH:mm:ss)."
)


def put_action(region: Region, target: Target, request: dict[str, Any], now: datetime) -> ScheduledAction:
    """Create or update a scheduled action; an update without StartTime or EndTime removes them.

    Raises:
        ValidationFailed: The schedule, the bounds or the times are invalid.
        NotImplementedError: The schedule is a cron expression with L, W or #.
    """
    name = request["ScheduledActionName"]
    before = target.actions.get(name)
    expression = request.get("Schedule") or (before.expression if before else None)
    bounds = request.get("ScalableTargetAction") or {}
    low, high = bounds.get("MinCapacity"), bounds.get("MaxCapacity")
    if before is not None and not bounds:
        low, high = before.low, before.high
    if expression is None:
        raise ValidationFailed("Schedule must be specified for a new scheduled action")
    if low is None and high is None:
        raise ValidationFailed("At least one of MinCapacity and MaxCapacity must be specified in ScalableTargetAction")
    check_range(region, target.key, low, high)
    start, end = _moment(request.get("StartTime")), _moment(request.get("EndTime"))
    if start is not None and end is not None and end <= start:
        raise ValidationFailed("EndTime must be later than StartTime")
    timezone = request.get("Timezone") or (before.timezone if before else None)
    schedule = _schedule(expression, timezone, start or now)
    arn = before.arn if before else region.action_arn(target.key, name)
    created = before.created if before else now
    action = ScheduledAction(name, arn, expression, timezone, schedule, created, low, high, start, end)
    action.plan_after(now)
    target.actions[name] = action
    return action


def _schedule(expression: str, timezone: str | None, start: datetime) -> Schedule:
    try:
        zone = time_zone(timezone)
    except ScheduleError as error:
        raise ValidationFailed(f"Invalid timezone: {timezone}") from error
    try:
        return parse_schedule(expression, zone, start)
    except ScheduleError as error:
        raise ValidationFailed(f"{_SYNTAX} ({error})" if str(error) else _SYNTAX) from error


def _moment(value: Any) -> datetime | None:
    """A request's timestamp in UTC."""
    if value is None:
        return None
    moment = value if isinstance(value, datetime) else datetime.fromtimestamp(float(value), UTC)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
