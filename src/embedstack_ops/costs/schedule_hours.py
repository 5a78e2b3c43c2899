"""Capacity over a month: the bounds of autoscaling with their scheduled actions, as hours of instances."""

import calendar
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

from embedstack.aws.schedule_expressions import ScheduleError, parse_schedule, time_zone
from embedstack.costs.formulas import FORECAST_HOURS
from embedstack.errors import ConfigurationError
from embedstack_ops.costs.plan import Scaling

__all__ = ["BillingMonth", "capacity_hours"]


@dataclass(frozen=True, slots=True)
class BillingMonth:
    """The period that a plan is priced for.

    Attributes:
        start: Its start in UTC.
        end: Its end in UTC.
        hours: Its hours, as they are billed.
        is_calendar: Whether it is a calendar month. If not, it is a year in hours of an average month.
    """

    start: datetime
    end: datetime
    hours: int
    is_calendar: bool

    @classmethod
    def of(cls, year: int, month: int) -> "BillingMonth":
        """A calendar month."""
        days = calendar.monthrange(year, month)[1]
        start = datetime(year, month, 1, tzinfo=UTC)
        return cls(start, start + timedelta(days=days), 24 * days, is_calendar=True)

    @classmethod
    def average(cls, start: datetime) -> "BillingMonth":
        """An average month of 730 hours, whose schedules are those of the year from a start."""
        return cls(start, start + timedelta(days=365), FORECAST_HOURS, is_calendar=False)


def capacity_hours(scaling: Scaling, month: BillingMonth) -> tuple[Decimal, Decimal]:
    """The lowest and the highest capacity over a month, each times its hours.

    Scheduled actions change the bounds from their time on; a bound that an action leaves out stays.

    Raises:
        ConfigurationError: A schedule expression or its time zone is not valid.
    """
    # What the last actions before the month have set, as far as a week before tells.
    warm_up = month.start - timedelta(days=7)
    low, high, moment = scaling.min, scaling.max, warm_up
    totals = [Fraction(0), Fraction(0)]
    for when, minimum, maximum in _actions(scaling, warm_up, month.end):
        seconds = Fraction((when - max(moment, month.start)).total_seconds()) if when > month.start else Fraction(0)
        totals = [totals[0] + low * seconds, totals[1] + high * seconds]
        low = low if minimum is None else minimum
        high = max(high if maximum is None else maximum, low)
        low, moment = min(low, high), when
    rest = Fraction((month.end - max(moment, month.start)).total_seconds())
    totals = [totals[0] + low * rest, totals[1] + high * rest]
    scale = Fraction(month.hours, 1) / Fraction((month.end - month.start).total_seconds())
    return _decimal(totals[0] * scale), _decimal(totals[1] * scale)


def _actions(scaling: Scaling, start: datetime, end: datetime) -> list[tuple[datetime, int | None, int | None]]:
    actions = []
    for schedule in scaling.schedules:
        try:
            parsed = parse_schedule(schedule.expression, time_zone(schedule.timezone), start)
        except (ScheduleError, NotImplementedError) as error:
            raise ConfigurationError(
                f"The schedule {schedule.name} = {schedule.expression!r} cannot be priced: {error}. Use cron, rate or "
                "at without L, W and #, and an IANA time zone."
            ) from error
        moment = start
        while (due := parsed.next_after(moment)) is not None and due < end:
            actions.append((due, schedule.min, schedule.max))
            moment = due
    return sorted(actions, key=lambda action: action[0])


def _decimal(fraction: Fraction) -> Decimal:
    return Decimal(fraction.numerator) / Decimal(fraction.denominator)
