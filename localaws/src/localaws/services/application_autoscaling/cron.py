"""AWS's cron expressions: six fields, with ``?``, ``L``, ``W`` and ``#``.

Syntax: "Cron expressions" in the Amazon EventBridge user guide, which Application Auto Scaling's guide refers to
("Schedule recurring scaling actions using cron expressions"). Where that is silent (a range that wraps, as in
``FRI-MON``; a day of the month beside a day of the week, which is refused), Quartz decides, whose syntax it is.
"""

import calendar
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Self

__all__ = ["CronError", "CronExpression"]

_MONTHS = {name: number for number, name in enumerate(calendar.month_abbr) if name}
_WEEKDAYS = {name: number for number, name in enumerate(("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"), start=1)}
_SATURDAY = 7
_LAST_YEAR = 2199
_ITEM = re.compile(r"(?P<first>\*|\w+)(?:-(?P<last>\w+))?(?:/(?P<step>\d+))?")


class CronError(ValueError):
    """An expression that is not one of AWS's; the message says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class _Field:
    """One field: its name, its values, and the names that some of them have."""

    name: str
    low: int
    high: int
    names: dict[str, int]

    def parse(self, text: str) -> frozenset[int]:
        """Every value that the field's text matches.

        Raises:
            CronError: The text is not a list of values, ranges and steps within the field's bounds.
        """
        return frozenset(value for item in text.split(",") for value in self._values(item))

    def number(self, text: str) -> int:
        """One value, by number or name.

        Raises:
            CronError: It is none, or out of bounds.
        """
        value = self.names.get(text) if not text.isdecimal() else int(text)
        if value is None or not self.low <= value <= self.high:
            raise CronError(f"{text!r} is no {self.name}")
        return value

    def _values(self, item: str) -> Iterator[int]:
        match = _ITEM.fullmatch(item)
        if match is None:
            raise CronError(f"{item!r} is no {self.name}")
        step = int(match["step"] or 1)
        if not step or (match["first"] == "*" and match["last"]):
            raise CronError(f"{item!r} is no {self.name}")
        first = self.low if match["first"] == "*" else self.number(match["first"])
        if match["last"]:
            last = self.number(match["last"])
        else:
            # A step without an end runs to the end of the field: 0/15 is every quarter of an hour.
            last = self.high if match["first"] == "*" or match["step"] else first
        span = self.high - self.low + 1
        length = last - first if last >= first else last + span - first
        return (self.low + (first - self.low + offset) % span for offset in range(0, length + 1, step))


_MINUTE = _Field("minute", 0, 59, {})
_HOUR = _Field("hour", 0, 23, {})
_DAY = _Field("day of the month", 1, 31, {})
_MONTH = _Field("month", 1, 12, {name.upper(): number for name, number in _MONTHS.items()})
_WEEKDAY = _Field("day of the week", 1, 7, _WEEKDAYS)
_YEAR = _Field("year", 1970, _LAST_YEAR, {})


@dataclass(frozen=True, slots=True)
class CronExpression:
    """Minutes of local time, without a time zone.

    Attributes:
        minutes: Minutes of the hour.
        hours: Hours of the day.
        days: The day-of-month field, or ``?``.
        months: Months of the year.
        weekdays: The day-of-week field, or ``?``.
        years: Years.
    """

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: str
    months: tuple[int, ...]
    weekdays: str
    years: tuple[int, ...]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the six fields between ``cron(`` and ``)``; a seventh, leading one is seconds, which are not kept.

        Raises:
            CronError: The text is no such expression.
        """
        fields = text.upper().split()
        if len(fields) == 7:
            _MINUTE.parse(fields.pop(0))
        if len(fields) != 6:
            raise CronError(f"{len(fields)} fields instead of minutes, hours, day, month, weekday and year")
        minutes, hours, days, months, weekdays, years = fields
        if (days == "?") == (weekdays == "?"):
            raise CronError("one of the day of the month and the day of the week must be ?")
        expression = cls(
            tuple(sorted(_MINUTE.parse(minutes))),
            tuple(sorted(_HOUR.parse(hours))),
            days,
            tuple(sorted(_MONTH.parse(months))),
            weekdays,
            tuple(sorted(_YEAR.parse(years))),
        )
        # The days depend on the month: reading those of any month finds what no month has.
        expression.days_of(2024, 1)
        return expression

    def next_after(self, moment: datetime) -> datetime | None:
        """The first matching minute after a moment of local time, or None when there is none any more."""
        start = moment.replace(second=0, microsecond=0) + timedelta(minutes=1)
        for year in self.years:
            if year < start.year:
                continue
            for month in self.months:
                if (year, month) < (start.year, start.month):
                    continue
                for day in sorted(self.days_of(year, month)):
                    found = self._minute_of(date(year, month, day), start)
                    if found is not None:
                        return found
        return None

    def days_of(self, year: int, month: int) -> frozenset[int]:
        """The days of a month that match."""
        if self.weekdays != "?":
            return frozenset(day for item in self.weekdays.split(",") for day in _weekdays_of(item, year, month))
        return frozenset(day for item in self.days.split(",") for day in _days_of(item, year, month))

    def _minute_of(self, day: date, start: datetime) -> datetime | None:
        """The first matching minute of a day, not before the start."""
        if day < start.date():
            return None
        for hour in self.hours:
            for minute in self.minutes:
                candidate = datetime(day.year, day.month, day.day, hour, minute, tzinfo=start.tzinfo)
                if candidate >= start:
                    return candidate
        return None


def _days_of(item: str, year: int, month: int) -> Iterator[int]:
    """Days of the month by one item of the day-of-month field."""
    last = calendar.monthrange(year, month)[1]
    if item == "L":
        yield last
    elif item == "LW":
        yield _nearest_workday(year, month, last)
    elif item.endswith("W"):
        day = _DAY.number(item[:-1])
        if day <= last:
            yield _nearest_workday(year, month, day)
    else:
        yield from (day for day in _DAY.parse(item) if day <= last)


def _weekdays_of(item: str, year: int, month: int) -> Iterator[int]:
    """Days of the month by one item of the day-of-week field."""
    last = calendar.monthrange(year, month)[1]
    days = {day: _weekday(year, month, day) for day in range(1, last + 1)}
    if item == "L":
        wanted: frozenset[int] = frozenset({_SATURDAY})
    elif item.endswith("L"):
        weekday = _WEEKDAY.number(item[:-1])
        yield max(day for day in days if days[day] == weekday)
        return
    elif "#" in item:
        name, _, count = item.partition("#")
        if count not in {"1", "2", "3", "4", "5"}:
            raise CronError(f"{item!r} is no day of the week")
        weekday = _WEEKDAY.number(name)
        yield from [day for day in days if days[day] == weekday][int(count) - 1 : int(count)]
        return
    else:
        wanted = _WEEKDAY.parse(item)
    yield from (day for day in days if days[day] in wanted)


def _weekday(year: int, month: int, day: int) -> int:
    """1 for Sunday to 7 for Saturday."""
    return date(year, month, day).isoweekday() % 7 + 1


def _nearest_workday(year: int, month: int, day: int) -> int:
    """The day, or the Monday to Friday next to it within the month."""
    last = calendar.monthrange(year, month)[1]
    weekday = _weekday(year, month, day)
    if weekday == _SATURDAY:
        return day - 1 if day > 1 else day + 2
    if weekday == 1:
        return day + 1 if day < last else day - 2
    return day
