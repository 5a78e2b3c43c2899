"""Budgets as they are configured: limits of the month, of keys and of contexts, and the period that each is for."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

if TYPE_CHECKING:
    from embedstack.costs.attribution import Attribution
    from embedstack.settings.settings import Settings

__all__ = [
    "ANY_NAME",
    "MAX_LIMIT",
    "Budget",
    "BudgetLimits",
    "Month",
    "Policy",
    "Scope",
    "parse_limit",
    "parse_named_limits",
    "parse_threshold",
    "parse_time_zone",
]

Scope = Literal["month", "key", "context"]
#: What happens to calls of a spent budget: they are logged, sent at a low rate, or refused.
Policy = Literal["warn", "limit", "refuse"]

#: The name that stands for every key or context without a budget of its own.
ANY_NAME = "*"
#: Largest limit in US dollars: sums of picodollars stay within 64 bits.
MAX_LIMIT = Decimal(1_000_000)

_MAX_PERCENT = 100
_SHOWN_CHARACTERS = 20


@dataclass(frozen=True, slots=True)
class Budget:
    """What a limit is for.

    Attributes:
        scope: ``month`` for all calls of the month; ``key`` or ``context`` for those of one key or context.
        name: The key or context; empty for the month.
    """

    scope: Scope
    name: str = ""

    def __str__(self) -> str:
        if self.scope == "month":
            return "the monthly budget"
        # A key may be a secret of its owner.
        name = self.name if len(self.name) <= _SHOWN_CHARACTERS else f"{self.name[:8]}…"
        return f"the budget of {self.scope} {name!r}"


@dataclass(frozen=True, slots=True)
class Month:
    """A calendar month in a time zone.

    Attributes:
        start: Its first second, since the epoch.
        end: The first second of the next month, since the epoch.
        zone: The time zone.
    """

    start: float
    end: float
    zone: tzinfo

    @classmethod
    def at(cls, seconds: float, zone: tzinfo) -> "Month":
        """The month that contains a time, given in seconds since the epoch."""
        day = datetime.fromtimestamp(seconds, zone)
        start = datetime(day.year, day.month, 1, tzinfo=zone)
        end = datetime(day.year + day.month // 12, day.month % 12 + 1, 1, tzinfo=zone)
        return cls(start.timestamp(), end.timestamp(), zone)

    @property
    def label(self) -> str:
        """The month as ``2026-12``."""
        return f"{datetime.fromtimestamp(self.start, self.zone):%Y-%m}"

    @property
    def resets_at(self) -> datetime:
        """Start of the next month, in the time zone."""
        return datetime.fromtimestamp(self.end, self.zone)


@dataclass(frozen=True, slots=True)
class BudgetLimits:
    """The configured budgets. All of them are for a calendar month.

    Attributes:
        limits: Limit of each budget in US dollars. The name ``*`` is for every key or context without its own.
        policy: What happens to calls of a spent budget.
        alert_percent: Percentage of a limit at which an alert is sent.
        requests_per_minute: Requests per minute of a spent budget under the policy ``limit``.
        zone: Time zone of the months.
    """

    limits: Mapping[Budget, Decimal] = field(default_factory=dict)
    policy: Policy = "refuse"
    alert_percent: Decimal = Decimal(80)
    requests_per_minute: float = 10.0
    zone: tzinfo = UTC

    @classmethod
    def from_settings(cls, settings: "Settings") -> "BudgetLimits":
        """The budgets of the settings."""
        limits: dict[Budget, Decimal] = {}
        if settings.aws_cost_budget_limit is not None:
            limits[Budget("month")] = settings.aws_cost_budget_limit
        for scope, text in (("key", settings.costs_key_budgets), ("context", settings.costs_context_budgets)):
            limits |= {Budget(scope, name): limit for name, limit in parse_named_limits(text or "{}").items()}  # type: ignore[arg-type]  # a scope
        return cls(
            limits,
            settings.costs_budget_policy,
            settings.aws_billing_alert_threshold,
            settings.costs_budget_requests_per_minute,
            parse_time_zone(settings.costs_time_zone),
        )

    def overlaid(self, stored: Mapping[Budget, Decimal]) -> dict[Budget, Decimal]:
        """All limits, with those that were changed in the ledger's store in place of the configured ones."""
        return {**self.limits, **stored}


def budgets_of(attribution: "Attribution", limits: Mapping[Budget, Decimal]) -> list[Budget]:
    """The budgets that a call belongs to; one for ``*`` becomes that of the call's key or context."""
    budgets = [Budget("month")] if Budget("month") in limits else []
    names: tuple[tuple[Scope, str | None], ...] = (("key", attribution.key), ("context", attribution.context))
    budgets += [
        Budget(scope, name)
        for scope, name in names
        if name is not None and (Budget(scope, name) in limits or Budget(scope, ANY_NAME) in limits)
    ]
    return budgets


def limit_of(budget: Budget, limits: Mapping[Budget, Decimal]) -> Decimal | None:
    """The limit of a budget in US dollars; None without one."""
    return limits.get(budget, limits.get(Budget(budget.scope, ANY_NAME)))


def parse_limit(value: object) -> Decimal:
    """A limit in US dollars a month; 0 refuses everything that has a price.

    Raises:
        ValueError: It is not a number from 0 to 1,000,000.
    """
    limit = _parse_decimal(value)
    if limit is None or not 0 <= limit <= MAX_LIMIT:
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
