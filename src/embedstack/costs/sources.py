"""A price and the sources that state it."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Final

__all__ = ["OLD_AFTER_DAYS", "Price", "Source", "are_agreed"]

#: A price is reported as old when more days than this have passed since a source last stated it.
OLD_AFTER_DAYS: Final = 90

#: Two amounts agree up to this share of one of them: 1.408 and 1.4084 are the same price, printed with fewer digits.
_TOLERANCE = Decimal("0.0005")
#: Sources that have to agree.
_AGREEING = 2


@dataclass(frozen=True, slots=True)
class Source:
    """Where a price was found.

    Attributes:
        name: Short name, as in the price file.
        title: Title and publisher.
        amount: The amount that this source states, in US dollars.
        published: Date of the statement; None if it is undated.
        url: Address; empty without one.
        is_first_hand: Whether it is AWS's Price List as read by the user, which needs no second source.
    """

    name: str
    title: str
    amount: Decimal
    published: date | None = None
    url: str = ""
    is_first_hand: bool = False


@dataclass(frozen=True, slots=True)
class Price:
    """Price of a unit of a product in a region.

    Attributes:
        amount: US dollars.
        unit: What it is paid for, such as ``hour`` or ``GB-month``.
        settled: Whether two dated sources agree and no newer one disagrees. If not, the price is an estimate.
        sources: Where it was found.
        effective: From when AWS charges it; None if no source says.
        published: When AWS published it, in the Price List; None if no source says.
        read: The day on which a source last stated it.
        is_free: Whether an amount of 0 means that it costs nothing.
        region: The region whose price it is.
        same_as: In a rule: the folder whose prices apply; None otherwise.
    """

    amount: Decimal
    unit: str
    settled: bool
    sources: tuple[Source, ...]
    effective: date | None
    read: date
    published: date | None = None
    is_free: bool = False
    region: str = ""
    same_as: str | None = None

    def age(self, today: date) -> int:
        """Days since a source last stated it."""
        return (today - self.read).days

    def is_old(self, today: date) -> bool:
        """Whether more than 90 days have passed since a source last stated it."""
        return self.age(today) > OLD_AFTER_DAYS


def are_agreed(amount: Decimal, sources: tuple[Source, ...]) -> bool:
    """Whether two dated sources state a price and no newer one disagrees, or the user read it from AWS."""
    if any(source.is_first_hand for source in sources):
        return True
    dated = [(source.published, _agrees(source.amount, amount)) for source in sources if source.published is not None]
    agreeing = [published for published, agrees in dated if agrees]
    others = [published for published, agrees in dated if not agrees]
    return len(agreeing) >= _AGREEING and max(others, default=date.min) < max(agreeing)


def _agrees(stated: Decimal, amount: Decimal) -> bool:
    return abs(stated - amount) <= _TOLERANCE * amount
