"""A forecast of a month's spend, from the spend of each day."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from fractions import Fraction
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from embedstack.costs.budget_limits import Month

__all__ = ["HISTORY_DAYS", "Forecast", "forecast"]

#: Days before the month that the forecast by weekday uses.
HISTORY_DAYS = 28
# Complete days of spend that each kind of forecast needs. Four days say nothing about a month.
_LINEAR_DAYS = 5
_WEEKDAY_DAYS = 14
# Complete days without spend before today, after which the past does not describe the future: more than a weekend.
_GAP_DAYS = 3
_DAY_SECONDS = 86400


@dataclass(frozen=True, slots=True)
class Forecast:
    """The spend of a month at its end, in picodollars; None where there is not enough data.

    Attributes:
        linear: The spend so far, continued at the mean of the complete days.
        weekday: The spend so far, continued at the mean of each weekday.
        reason: Why one is missing; empty if none is.
    """

    linear: int | None
    weekday: int | None
    reason: str = ""

    @property
    def best(self) -> int | None:
        """By weekday if possible, otherwise linear."""
        return self.linear if self.weekday is None else self.weekday


def forecast(spend_by_day: Mapping[date, int], month: "Month", now: float) -> Forecast:
    """Continue the spend of the last days to the end of the month.

    The first day with spend is left out, since calls began during it.

    Args:
        spend_by_day: Picodollars of each day in the month's time zone, including :data:`HISTORY_DAYS` before it.
        month: The current month.
        now: Seconds since the epoch.
    """
    moment = datetime.fromtimestamp(now, month.zone)
    today = moment.date()
    first = min((day for day, spend in spend_by_day.items() if spend), default=None)
    if first is None:
        return Forecast(None, None, "not enough data: nothing was spent")
    complete = _days(first + timedelta(days=1), today)[-HISTORY_DAYS:]
    if len(complete) >= _GAP_DAYS and not any(spend_by_day.get(day) for day in complete[-_GAP_DAYS:]):
        return Forecast(None, None, f"not enough data: nothing was spent in the last {_GAP_DAYS} complete days")
    if len(complete) < _LINEAR_DAYS:
        return Forecast(
            None, None, f"not enough data: {len(complete)} complete days of spend, and {_LINEAR_DAYS} are needed"
        )
    begin = datetime.fromtimestamp(month.start, month.zone).date()
    end = month.resets_at.date()
    spent = sum(spend for day, spend in spend_by_day.items() if begin <= day <= today)
    remaining = _days(today + timedelta(days=1), end)
    midnight = datetime(today.year, today.month, today.day, tzinfo=month.zone)
    rest_of_today = 1 - Fraction(int(now - midnight.timestamp()), _DAY_SECONDS)

    def continued(mean_of: Mapping[int, Fraction]) -> int:
        rest = sum((mean_of[day.weekday()] for day in remaining), rest_of_today * mean_of[today.weekday()])
        return round(spent + max(rest, Fraction(0)))

    linear = continued(dict.fromkeys(range(7), _mean(spend_by_day, complete)))
    if len(complete) < _WEEKDAY_DAYS:
        reason = f"not enough data by weekday: {len(complete)} complete days of spend, and {_WEEKDAY_DAYS} are needed"
        return Forecast(linear, None, reason)
    by_weekday = {
        weekday: _mean(spend_by_day, list(days))
        for weekday, days in itertools.groupby(sorted(complete, key=date.weekday), key=date.weekday)
    }
    return Forecast(linear, continued(by_weekday))


def _days(start: date, end: date) -> list[date]:
    """The days from a first to a last one, without the last."""
    return [start + timedelta(days=number) for number in range(max((end - start).days, 0))]


def _mean(spend_by_day: Mapping[date, int], days: list[date]) -> Fraction:
    return Fraction(sum(spend_by_day.get(day, 0) for day in days), len(days))
