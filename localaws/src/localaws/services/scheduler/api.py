"""The EventBridge Scheduler API: moto's records, with schedules that invoke their targets."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from moto.scheduler.exceptions import ScheduleGroupNotFound, ValidationException
from moto.scheduler.responses import EventBridgeSchedulerResponse

from embedstack.aws.schedule_expressions import ScheduleError, parse_schedule, time_zone
from localaws.services.iam.role_policies import find_role, trust_statements
from localaws.services.scheduler.deliveries import target_service
from localaws.services.scheduler.service import Schedules

__all__ = ["SIMPLIFICATIONS", "Scheduler"]

SIMPLIFICATIONS = {
    "CreateSchedule": (
        "Targets are functions, queues and topics, invoked at the start of a flexible time window. After the clock was "
        "advanced, the last 100 missed invocations are made up for."
    ),
}

#: "The StartDate you specify cannot be earlier than 5 minutes ago."
_EARLIEST_START = timedelta(minutes=5)
_SERVICE = "scheduler.amazonaws.com"
#: The members of a ScheduleSummary.
_SUMMARY = frozenset({"Arn", "CreationDate", "GroupName", "LastModificationDate", "Name", "State", "Target"})


class Scheduler(EventBridgeSchedulerResponse):  # type: ignore[misc]  # moto is untyped
    """The EventBridge Scheduler API of one local AWS."""

    schedules: ClassVar[Schedules]

    def create_schedule(self) -> str:
        """CreateSchedule."""
        self._check()
        response: str = super().create_schedule()
        self._plan(is_new=True)
        return response

    def update_schedule(self) -> str:
        """UpdateSchedule: members that are missing get their defaults."""
        schedule = self._schedule()
        self._check()
        with self.schedules.lock:
            self.schedules.run_due()
            response: str = super().update_schedule()
            schedule.action_after_completion = self._get_param("ActionAfterCompletion")
            self._plan(is_new=False)
        return response

    def get_schedule(self) -> str:
        """GetSchedule, without members that have no value."""
        return json.dumps(_without_none(json.loads(super().get_schedule())))

    def list_schedules(self) -> str:
        """ListSchedules."""
        response = _without_none(json.loads(super().list_schedules()))
        response["Schedules"] = [
            {name: value for name, value in schedule.items() if name in _SUMMARY} for schedule in response["Schedules"]
        ]
        return json.dumps(response)

    def list_schedule_groups(self) -> str:
        """ListScheduleGroups, without members that have no value."""
        response = _without_none(json.loads(super().list_schedule_groups()))
        response["ScheduleGroups"] = [_without_none(group) for group in response["ScheduleGroups"]]
        return json.dumps(response)

    def get_schedule_group(self) -> str:
        """GetScheduleGroup, without members that have no value."""
        return json.dumps(_without_none(json.loads(super().get_schedule_group())))

    def delete_schedule_group(self) -> str:
        """DeleteScheduleGroup, with its schedules."""
        name = self.uri.split("?")[0].split("/")[-1]
        if name == "default":
            raise ValidationException("The default schedule group cannot be deleted.")
        self.scheduler_backend.get_schedule_group(name)
        response: str = super().delete_schedule_group()
        return response

    def _plan(self, *, is_new: bool) -> None:
        self.schedules.plan(self._schedule(), is_new=is_new)

    def _schedule(self) -> Any:
        name = self.uri.split("?")[0].split("/")[-1]
        return self.scheduler_backend.get_schedule(self._get_param("GroupName"), name)

    def _check(self) -> None:
        """Check a request to create or update a schedule.

        Raises:
            ValidationException: A member is invalid.
            ScheduleGroupNotFound: The group does not exist.
            NotImplementedError: The target or the cron expression is not implemented.
        """
        group = self._get_param("GroupName") or "default"
        if group not in self.scheduler_backend.schedule_groups:
            raise ScheduleGroupNotFound(group)
        self._check_expression()
        self._check_dates()
        window = self._get_param("FlexibleTimeWindow")
        if (window["Mode"] == "FLEXIBLE") != ("MaximumWindowInMinutes" in window):
            raise ValidationException("MaximumWindowInMinutes must be provided if and only if the mode is FLEXIBLE.")
        target = self._get_param("Target")
        target_service(target["Arn"])
        group_arn = f"arn:{self.partition}:scheduler:{self.region}:{self.current_account}:schedule-group/{group}"
        if not _can_be_assumed(target["RoleArn"], group_arn, self.current_account):
            raise ValidationException(
                "The execution role you provide must allow AWS EventBridge Scheduler to assume the role."
            )

    def _check_expression(self) -> None:
        expression, zone = self._get_param("ScheduleExpression"), self._get_param("ScheduleExpressionTimezone")
        try:
            parsed_zone = time_zone(zone)
        except ScheduleError as error:
            raise ValidationException(f"Invalid ScheduleExpressionTimezone {zone}.") from error
        try:
            parse_schedule(expression, parsed_zone, datetime.now(UTC))
        except ScheduleError as error:
            raise ValidationException(f"Invalid Schedule Expression {expression}.") from error

    def _check_dates(self) -> None:
        if self._get_param("ScheduleExpression").startswith("at("):
            return
        start, end = self._get_param("StartDate"), self._get_param("EndDate")
        now = self.schedules.time.now()
        if start is not None and datetime.fromtimestamp(float(start), UTC) < now - _EARLIEST_START:
            raise ValidationException("The StartDate you specify cannot be earlier than 5 minutes ago.")
        if end is not None and datetime.fromtimestamp(float(end), UTC) < now:
            raise ValidationException("The EndDate you specify must come after the current time.")
        if start is not None and end is not None and float(start) >= float(end):
            raise ValidationException("The StartDate must come before the EndDate.")


def _without_none(members: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}


def _can_be_assumed(role_arn: str, group_arn: str, account_id: str) -> bool:
    """Whether a role's trust policy lets EventBridge Scheduler assume it.

    The condition key ``aws:SourceArn`` has the ARN of the schedule's group, not of the schedule ("Confused deputy
    prevention", EventBridge Scheduler user guide).
    """
    role = find_role(role_arn)
    if role is None:
        return False
    values = {"aws:sourcearn": group_arn, "aws:sourceaccount": account_id}
    return any(
        all(
            _matches(values.get(key.lower(), ""), expected)
            for conditions in (statement.get("Condition") or {}).values()
            for key, expected in conditions.items()
        )
        for statement in trust_statements(role, _SERVICE)
    )


def _matches(value: str, expected: Any) -> bool:
    patterns = expected if isinstance(expected, list) else [expected]
    return any(value == pattern or (pattern.endswith("*") and value.startswith(pattern[:-1])) for pattern in patterns)
