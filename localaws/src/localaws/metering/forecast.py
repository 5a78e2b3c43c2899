"""Forecasts of costs.

AWS forecasts from about five weeks of usage. Here the rate of the last seven days, or of the time since the first usage
but at least a day, continues until the end of the period.
"""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from localaws.metering.prices import UsagePrices
    from localaws.metering.usage import Usage

__all__ = ["HISTORY", "cost_per_hour"]

#: The time whose usage a forecast continues.
HISTORY = timedelta(days=7)
_LEAST = timedelta(days=1)


def cost_per_hour(usage: "Iterable[Usage]", prices: "UsagePrices", now: datetime) -> Decimal:
    """The cost per hour that continues.

    Args:
        usage: The usage of the last :data:`HISTORY`.
        prices: Its prices.
        now: The end of the history.
    """
    history = list(usage)
    if not history:
        return Decimal(0)
    first = min(each.hour for each in history)
    hours = Decimal(max(now - first, _LEAST) // timedelta(seconds=1)) / 3600
    return prices.total(history) / hours
