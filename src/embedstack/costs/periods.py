"""The range of time of a report: whole hours of UTC, as the ledger, CloudWatch and Cost Explorer divide time."""

import calendar
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Self

from embedstack.errors import ConfigurationError

__all__ = ["HOUR_SECONDS", "Period"]

HOUR_SECONDS = 3600


@dataclass(frozen=True, slots=True)
class Period:
    """A range of time.

    Attributes:
        start: The beginning, in UTC.
        end: The end, exclusive, in UTC.
    """

    start: datetime
    end: datetime

    @classmethod
    def today(cls, now: datetime) -> Self:
        """From midnight UTC until now."""
        return cls(_midnight(now.astimezone(UTC).date()), now.astimezone(UTC))

    @classmethod
    def yesterday(cls, now: datetime) -> Self:
        """The day before today, in UTC."""
        today = _midnight(now.astimezone(UTC).date())
        return cls(today - timedelta(days=1), today)

    @classmethod
    def month(cls, now: datetime) -> Self:
        """From the first of the month until now."""
        now = now.astimezone(UTC)
        return cls(_midnight(now.date().replace(day=1)), now)

    @classmethod
    def days(cls, first: date, last: date) -> Self:
        """Whole days.

        Args:
            first: The first day.
            last: The last day, which is part of the period.

        Raises:
            ConfigurationError: The last day is before the first one.
        """
        if last < first:
            raise ConfigurationError(f"The period ends on {last}, before it begins on {first}. Swap the two dates.")
        return cls(_midnight(first), _midnight(last + timedelta(days=1)))

    @property
    def hours(self) -> Decimal:
        """Length in hours."""
        return Decimal(int((self.end - self.start).total_seconds())) / HOUR_SECONDS

    @property
    def dates(self) -> list[date]:
        """The days of which the period has a part."""
        last = (self.end - timedelta(microseconds=1)).date()
        return [self.start.date() + timedelta(days=number) for number in range((last - self.start.date()).days + 1)]

    def months(self) -> Decimal:
        """Length in months, each with the hours of the calendar: 672 to 744. For prices per month."""
        hours: dict[date, Decimal] = {}
        for day in self.dates:
            month = day.replace(day=1)
            hours[month] = hours.get(month, Decimal(0)) + self._hours_of(day)
        return sum((part / _hours_of_month(month) for month, part in hours.items()), Decimal(0))

    def _hours_of(self, day: date) -> Decimal:
        start, end = max(self.start, _midnight(day)), min(self.end, _midnight(day + timedelta(days=1)))
        return Decimal(int((end - start).total_seconds())) / HOUR_SECONDS


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _hours_of_month(day: date) -> int:
    return 24 * calendar.monthrange(day.year, day.month)[1]
