"""Amounts of money: exact US dollars, and integer picodollars for sums that are stored.

Prices and formulas compute with :class:`decimal.Decimal` and round only when they print. The ledger stores integers, so
that the sum of a billion calls does not depend on their order.
"""

from decimal import ROUND_HALF_EVEN, Decimal

__all__ = ["PICODOLLARS", "format_dollars", "to_dollars", "to_picodollars"]

#: Picodollars of a US dollar. A token of the cheapest model costs 20,000 of them.
PICODOLLARS = 10**12

_CENT = Decimal("0.01")


def to_picodollars(dollars: Decimal) -> int:
    """Convert US dollars to picodollars, rounded half to even.

    Raises:
        ValueError: The amount is NaN or infinite.
    """
    if not dollars.is_finite():
        raise ValueError(f"An amount of money is a finite number, not {dollars}.")
    return int((dollars * PICODOLLARS).to_integral_value(ROUND_HALF_EVEN))


def to_dollars(picodollars: int) -> Decimal:
    """Convert picodollars to US dollars, exactly."""
    return Decimal(picodollars).scaleb(-12)


def format_dollars(dollars: Decimal) -> str:
    """An amount for people: cents, or two significant digits of what is less than a cent."""
    if dollars == 0 or abs(dollars) >= _CENT:
        return f"{dollars:,.2f}"
    return f"{dollars:.{1 - dollars.adjusted()}f}"
