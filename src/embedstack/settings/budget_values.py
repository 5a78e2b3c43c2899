"""Values of the settings of budgets: limits, percentages and time zones."""

import json
from datetime import UTC, tzinfo
from decimal import Decimal, InvalidOperation
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

__all__ = ["Policy", "parse_limit", "parse_named_limits", "parse_threshold", "parse_time_zone"]

#: What happens to calls of a spent budget: they are logged, sent at a low rate, or refused.
Policy = Literal["warn", "limit", "refuse"]

# Largest limit in US dollars: sums of picodollars stay within 64 bits.
_MAX_LIMIT = Decimal(1_000_000)
_MAX_PERCENT = 100


def parse_limit(value: object) -> Decimal:
    """A limit in US dollars a month; 0 refuses everything that has a price.

    Raises:
        ValueError: It is not a number from 0 to 1,000,000.
    """
    limit = _parse_decimal(value)
    if limit is None or not 0 <= limit <= _MAX_LIMIT:
        raise ValueError("Write US dollars a month as a number from 0 to 1000000, such as 250 or 10.50")
    return limit


def parse_named_limits(text: str) -> dict[str, Decimal]:
    """Limits by name, from a JSON object such as ``{"alice": 5, "*": 1}``.

    Raises:
        ValueError: It is not such an object.
    """
    try:
        limits = json.loads(text, parse_float=Decimal)
    except (ValueError, RecursionError) as error:
        raise ValueError("It is not a JSON object of limits by name") from error
    if not isinstance(limits, dict):
        raise ValueError('It is not a JSON object of limits by name, such as {"alice": 5, "*": 1}')  # noqa: TRY004 - pydantic's error
    if any(not name.strip() for name in limits):
        raise ValueError("A name is blank")
    return {name: parse_limit(limit) for name, limit in limits.items()}


def parse_threshold(value: object) -> Decimal:
    """A percentage, 1 to 100.

    Raises:
        ValueError: It is not one.
    """
    percent = _parse_decimal(value)
    if percent is not None and 0 < percent < 1:
        hundredfold = f"{(percent * 100).normalize():f}"
        raise ValueError(f"Is it {hundredfold} % or {percent:f} %? Write a percentage from 1 to 100: 80 is 80 %")
    if percent is None or not 1 <= percent <= _MAX_PERCENT:
        raise ValueError("Write a percentage from 1 to 100, such as 80")
    return percent


def parse_time_zone(name: str) -> tzinfo:
    """A time zone by its IANA name.

    Raises:
        ValueError: This machine knows no zone of this name.
    """
    # Without the system's time zone database, ZoneInfo does not even know UTC.
    if name.upper() == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(
            "Write an IANA time zone such as UTC or Europe/Berlin (a machine without time zones needs pip install "
            "tzdata)"
        ) from None


def _parse_decimal(value: object) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, (int, float, str, Decimal)):
        return None
    try:
        number = Decimal(str(value).strip())
    except InvalidOperation:
        return None
    return number if number.is_finite() else None
