"""Metered usage: quantities by hour and line of the bill."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

__all__ = ["HOUR", "Usage", "UsageLine", "UsageRecords", "hours_of_month", "month_of", "next_month"]

HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class UsageLine:
    """A line of the bill.

    Attributes:
        account_id: The account.
        region: The region.
        service: Cost Explorer's name of the service, such as ``Amazon SageMaker``.
        usage_type: AWS's usage type, such as ``USE1-Host:ml.m5.xlarge``.
        unit: The unit of quantities, such as ``Hrs``.
        product: The product's key in the price book.
        price_units: Units of the price in a unit of the usage: 0.000001 for requests that are priced by the million.
        tags: The resource's tags.
    """

    account_id: str
    region: str
    service: str
    usage_type: str
    unit: str
    product: str
    price_units: Decimal = Decimal(1)
    tags: tuple[tuple[str, str], ...] = ()


class Usage(NamedTuple):
    """The quantity of a line in one hour.

    Attributes:
        hour: Start of the hour, UTC.
        line: The line.
        quantity: The quantity, in the line's unit.
    """

    hour: datetime
    line: UsageLine
    quantity: Decimal


@dataclass(slots=True)
class UsageRecords:
    """Quantities by hour and line. Not safe for threads.

    Attributes:
        hours: By the hour's start and the line.
    """

    hours: dict[datetime, dict[UsageLine, Decimal]] = field(default_factory=dict)

    def add(self, line: UsageLine, quantity: Decimal, at: datetime) -> None:
        """Add a quantity to the hour that contains a moment."""
        lines = self.hours.setdefault(at.replace(minute=0, second=0, microsecond=0), {})
        lines[line] = lines.get(line, Decimal(0)) + quantity

    def usage(self, account_id: str, start: datetime, end: datetime) -> Iterator[Usage]:
        """An account's usage in the hours that start at or after ``start`` and before ``end``."""
        for hour in sorted(self.hours):
            if start <= hour < end:
                for line, quantity in self.hours[hour].items():
                    if line.account_id == account_id:
                        yield Usage(hour, line, quantity)


def month_of(moment: datetime) -> datetime:
    """The start of a moment's month, UTC."""
    return moment.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def next_month(moment: datetime) -> datetime:
    """The start of the month after a moment's, UTC."""
    return month_of(month_of(moment) + timedelta(days=32))


def hours_of_month(moment: datetime) -> Decimal:
    """The hours of a moment's month, by which prices per month are prorated: 672 to 744."""
    return Decimal((next_month(moment) - month_of(moment)) // HOUR)
