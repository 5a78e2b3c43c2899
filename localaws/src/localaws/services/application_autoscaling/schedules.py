"""When scheduled actions are due: ``cron(…)``, ``rate(…)`` and ``at(…)``, with time zones and summer time."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Protocol
from zoneinfo import ZoneInfo

from localaws.services.application_autoscaling.cron import CronError, CronExpression

__all__ = ["Schedule", "ScheduleError", "parse_schedule", "time_zone"]

_RATE = re.compile(r"rate\((\d+)\s?(minute|hour|day)s?\)")
_CRON = re.compile(r"cron\((.+)\)")
_AT = re.compile(r"at\((\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\)")
#: Application Auto Scaling's own sentence.
_SYNTAX = (
    "Schedule expressions must have the following syntax: rate(<number>\\s?(minutes?|hours?|days?)), "
    "cron(<cron_expression>) or at(yyyy-MM-dd'T'HH:mm:ss)."
)


class ScheduleError(ValueError):
    """A schedule or a time zone that is none; the message is the service's."""


class Schedule(Protocol):
    """A schedule expression with its time zone."""

    def next_after(self, moment: datetime) -> datetime | None:
        """When it is due next, in UTC; None when never again."""


@dataclass(frozen=True, slots=True)
class _At:
    when: datetime

    def next_after(self, moment: datetime) -> datetime | None:
        return self.when if self.when > moment else None


@dataclass(frozen=True, slots=True)
class _Rate:
    period: timedelta
    anchor: datetime

    def next_after(self, moment: datetime) -> datetime:
        return self.anchor + max((moment - self.anchor) // self.period + 1, 1) * self.period


@dataclass(frozen=True, slots=True)
class _Cron:
    expression: CronExpression
    zone: tzinfo

    def next_after(self, moment: datetime) -> datetime | None:
        """Local time, as the wall clock shows it.

        A minute that summer time skips is not made up for, and one that comes twice counts once: "Time zones" and
        "Daylight savings time" in the EventBridge Scheduler user guide.
        """
        local = moment.astimezone(self.zone).replace(tzinfo=None)
        while (found := self.expression.next_after(local)) is not None:
            due = found.replace(tzinfo=self.zone).astimezone(UTC)
            exists = due.astimezone(self.zone).replace(tzinfo=None) == found
            if exists and due > moment:
                return due
            local = found
        return None


def time_zone(name: str | None) -> tzinfo:
    """An IANA time zone; UTC where none is named, which needs no time zone database.

    Raises:
        ScheduleError: There is none of that name.
    """
    if name in {None, "", "UTC"}:
        return UTC
    try:
        return ZoneInfo(str(name))
    except (KeyError, ValueError, OSError) as error:
        raise ScheduleError(f"Invalid timezone: {name}") from error


def parse_schedule(text: str, zone: tzinfo, created: datetime) -> Schedule:
    """Read a schedule expression.

    Args:
        text: The expression.
        zone: By which cron and at expressions are read; a rate has no time of day.
        created: When the action was made, or is to start: a rate counts from then.

    Raises:
        ScheduleError: It is none.
    """
    if match := _RATE.fullmatch(text):
        if not int(match[1]):
            raise ScheduleError(f"Invalid schedule expression. Details: {_SYNTAX}")
        return _Rate(timedelta(**{f"{match[2]}s": int(match[1])}), created)
    if match := _AT.fullmatch(text):
        try:
            when = datetime.fromisoformat(match[1]).replace(tzinfo=zone)
        except ValueError as error:
            raise ScheduleError(f"Invalid schedule expression. Details: {_SYNTAX}") from error
        return _At(when.astimezone(UTC))
    if match := _CRON.fullmatch(text):
        try:
            return _Cron(CronExpression.parse(match[1]), zone)
        except CronError as error:
            raise ScheduleError(f"Invalid schedule expression. Details: {_SYNTAX} ({error})") from error
    raise ScheduleError(f"Invalid schedule expression. Details: {_SYNTAX}")
