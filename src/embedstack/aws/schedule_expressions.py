"""Schedule expressions of scheduled actions and schedules: ``cron(…)``, ``rate(…)`` and ``at(…)``, in a time zone.

Syntax: "Schedule recurring scaling actions using cron expressions" in the Application Auto Scaling user guide, "Cron
expressions" in the Amazon EventBridge user guide, and "Schedule types" in the EventBridge Scheduler user guide. Where
they leave a question open (a range that wraps, such as ``FRI-MON``; a day of the month together with a day of the week,
which is rejected), the rule is Quartz's, whose syntax it is. ``L``, ``W`` and ``#`` are not implemented.
"""

import calendar
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Protocol, Self
from zoneinfo import ZoneInfo

__all__ = ["CronExpression", "Schedule", "ScheduleError", "parse_schedule", "time_zone"]

_RATE = re.compile(r"rate\((\d+)\s?(minute|hour|day)s?\)")
_CRON = re.compile(r"cron\((.+)\)")
_AT = re.compile(r"at\((\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\)")
_LAST_YEAR = 2199
_CRON_ITEM = re.compile(r"(?P<first>\*|\w+)(?:-(?P<last>\w+))?(?:/(?P<step>\d+))?")


class ScheduleError(ValueError):
    """An invalid schedule or time zone; the message says what is wrong with it, and is empty for another syntax."""


class Schedule(Protocol):
    """A schedule expression with its time zone."""

    def next_after(self, moment: datetime) -> datetime | None:
        """The next time in UTC, or None."""


def time_zone(name: str | None) -> tzinfo:
    """An IANA time zone. The default is UTC, which needs no time zone database.

    Raises:
        ScheduleError: The name is unknown.
    """
    if name in {None, "", "UTC"}:
        return UTC
    try:
        return ZoneInfo(str(name))
    except (KeyError, ValueError, OSError) as error:
        raise ScheduleError(f"unknown time zone {name}") from error


def parse_schedule(text: str, zone: tzinfo, created: datetime, *, runs_at_start: bool = False) -> Schedule:
    """Parse a schedule expression.

    Args:
        text: The expression.
        zone: Time zone of cron and at expressions.
        created: Start or creation time of the action, from which a rate counts.
        runs_at_start: Whether a rate also runs at its start, instead of one period later.

    Raises:
        ScheduleError: The expression is invalid.
        NotImplementedError: It is a cron expression with L, W or #.
    """
    if (match := _RATE.fullmatch(text)) and int(match[1]):
        return _Rate(timedelta(**{f"{match[2]}s": int(match[1])}), created, 0 if runs_at_start else 1)
    if match := _AT.fullmatch(text):
        try:
            when = datetime.fromisoformat(match[1]).replace(tzinfo=zone)
        except ValueError as error:
            raise ScheduleError(f"{match[1]} is not a moment") from error
        return _At(when.astimezone(UTC))
    if match := _CRON.fullmatch(text):
        return _Cron(CronExpression.parse(match[1]), zone)
    raise ScheduleError


@dataclass(frozen=True, slots=True)
class _At:
    when: datetime

    def next_after(self, moment: datetime) -> datetime | None:
        return self.when if self.when > moment else None


@dataclass(frozen=True, slots=True)
class _Rate:
    period: timedelta
    start: datetime
    first: int

    def next_after(self, moment: datetime) -> datetime:
        return self.start + max((moment - self.start) // self.period + 1, self.first) * self.period


@dataclass(frozen=True, slots=True)
class _Cron:
    expression: "CronExpression"
    zone: tzinfo

    def next_after(self, moment: datetime) -> datetime | None:
        """The next run by the local time of the zone.

        A minute skipped by daylight saving time is not made up for, and a repeated minute counts once: "Time zones" and
        "Daylight savings time" in the EventBridge Scheduler user guide.
        """
        local = moment.astimezone(self.zone).replace(tzinfo=None)
        while (candidate := self.expression.next_after(local)) is not None:
            due = candidate.replace(tzinfo=self.zone).astimezone(UTC)
            exists = due.astimezone(self.zone).replace(tzinfo=None) == candidate
            if exists and due > moment:
                return due
            local = candidate
        return None


@dataclass(frozen=True, slots=True)
class _Field:
    """One field of a cron expression: its name, its bounds, and the names of some of its values."""

    name: str
    low: int
    high: int
    names: dict[str, int]

    def parse(self, text: str) -> tuple[int, ...]:
        """All values that the field's text matches, in order.

        Raises:
            ScheduleError: The text is not a list of values, ranges and steps within the field's bounds.
        """
        return tuple(sorted({value for item in text.split(",") for value in self._values(item)}))

    def _values(self, item: str) -> Iterator[int]:
        match = _CRON_ITEM.fullmatch(item)
        step = int(match["step"] or 1) if match else 0
        if match is None or not step or (match["first"] == "*" and match["last"]):
            raise ScheduleError(f"{item!r} is not a valid {self.name}")
        first = self.low if match["first"] == "*" else self._number(match["first"])
        if match["last"]:
            last = self._number(match["last"])
        else:
            # A step without an end runs to the end of the field: 0/15 is every quarter of an hour.
            last = self.high if match["first"] == "*" or match["step"] else first
        span = self.high - self.low + 1
        length = last - first if last >= first else last + span - first
        return (self.low + (first - self.low + offset) % span for offset in range(0, length + 1, step))

    def _number(self, text: str) -> int:
        value = int(text) if text.isdecimal() else self.names.get(text)
        if value is None or not self.low <= value <= self.high:
            raise ScheduleError(f"{text!r} is not a valid {self.name}")
        return value


_MINUTE = _Field("minute", 0, 59, {})
_HOUR = _Field("hour", 0, 23, {})
_DAY = _Field("day of the month", 1, 31, {})
_MONTH = _Field("month", 1, 12, {name.upper(): number for number, name in enumerate(calendar.month_abbr) if name})
_WEEKDAY = _Field(
    "day of the week",
    1,
    7,
    {name: number for number, name in enumerate(("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"), start=1)},
)
_YEAR = _Field("year", 1970, _LAST_YEAR, {})


@dataclass(frozen=True, slots=True)
class CronExpression:
    """The values of each field, without a time zone; ``days`` or ``weekdays`` is None for ``?``."""

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: tuple[int, ...] | None
    months: tuple[int, ...]
    weekdays: tuple[int, ...] | None
    years: tuple[int, ...]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse the six fields between ``cron(`` and ``)``. Seconds, an optional leading field, are ignored.

        Raises:
            ScheduleError: The expression is invalid.
            NotImplementedError: A day contains L, W or #.
        """
        fields = text.upper().split()
        if len(fields) == 7:
            _MINUTE.parse(fields.pop(0))
        if len(fields) != 6:
            raise ScheduleError(f"{len(fields)} fields instead of minutes, hours, day, month, weekday and year")
        minutes, hours, days, months, weekdays, years = fields
        if (days == "?") == (weekdays == "?"):
            raise ScheduleError("one of the day of the month and the day of the week must be ?")
        if re.fullmatch(r"L|LW|\d+W", days) or re.fullmatch(r"L|\w+L|\w+#\d+", weekdays):
            raise NotImplementedError("cron expressions with L, W or #")
        return cls(
            _MINUTE.parse(minutes),
            _HOUR.parse(hours),
            None if days == "?" else _DAY.parse(days),
            _MONTH.parse(months),
            None if weekdays == "?" else _WEEKDAY.parse(weekdays),
            _YEAR.parse(years),
        )

    def next_after(self, moment: datetime) -> datetime | None:
        """The first matching minute after a moment of local time, or None."""
        start = moment.replace(second=0, microsecond=0) + timedelta(minutes=1)
        for year in self.years:
            for month in self.months:
                if (year, month) < (start.year, start.month):
                    continue
                for day in self._days_of(year, month):
                    candidate = self._first_minute(day, start)
                    if candidate is not None:
                        return candidate
        return None

    def _days_of(self, year: int, month: int) -> Iterator[date]:
        for number in range(1, calendar.monthrange(year, month)[1] + 1):
            day = date(year, month, number)
            if self.days is not None:
                matches = number in self.days
            else:
                # AWS numbers Sunday 1 to Saturday 7.
                matches = day.isoweekday() % 7 + 1 in (self.weekdays or ())
            if matches:
                yield day

    def _first_minute(self, day: date, start: datetime) -> datetime | None:
        """The first matching minute of a day that is not before the start."""
        if day < start.date():
            return None
        for hour in self.hours:
            for minute in self.minutes:
                candidate = datetime(day.year, day.month, day.day, hour, minute, tzinfo=start.tzinfo)
                if candidate >= start:
                    return candidate
        return None
