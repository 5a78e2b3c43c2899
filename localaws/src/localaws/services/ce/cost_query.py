"""GetCostAndUsage: metered usage by period and group, with Cost Explorer's rules and messages."""

import contextlib
import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal

from localaws.metering.filters import InvalidQuery, expression_filter, group_key
from localaws.metering.usage import HOUR, month_of, next_month

if TYPE_CHECKING:
    from localaws.metering.prices import UsagePrices
    from localaws.metering.usage import Usage

__all__ = ["CostQuery", "format_amount", "parse_period"]

Granularity = Literal["HOURLY", "DAILY", "MONTHLY"]

#: All of them are equal: there are no discounts, reservations or accounts to blend.
_COSTS = frozenset({"AmortizedCost", "BlendedCost", "NetAmortizedCost", "NetUnblendedCost", "UnblendedCost"})
_QUANTITIES = frozenset({"NormalizedUsageAmount", "UsageQuantity"})
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_HOUR = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
#: "hourly … for the past 14 days" (Cost Management user guide, "Granular data").
_HOURLY_HISTORY = timedelta(days=14)
_MONTHS_OF_HISTORY = 14
_MAX_GROUPS = 2
_PLACES = Decimal("0.000000000001")


@dataclass(frozen=True, slots=True)
class CostQuery:
    """A validated query.

    Attributes:
        start: The first moment, UTC.
        end: The moment after the last one, UTC.
        granularity: The length of periods.
        metrics: Cost Explorer's names of metrics.
        groups: Up to two GroupDefinitions.
        expression: The filter; None for everything.
    """

    start: datetime
    end: datetime
    granularity: Granularity
    metrics: tuple[str, ...]
    groups: tuple[Mapping[str, str], ...]
    expression: Mapping[str, Any] | None

    @classmethod
    def parse(cls, request: Mapping[str, Any], now: datetime) -> "CostQuery":
        """Validate a request of GetCostAndUsage.

        Raises:
            InvalidQuery: A member is invalid.
        """
        granularity: Granularity = request.get("Granularity") or "MONTHLY"
        start, end = parse_period(request["TimePeriod"], granularity)
        if end > next_month(now):
            raise InvalidQuery("end date past the beginning of next month")
        if granularity == "HOURLY" and start < now - _HOURLY_HISTORY - timedelta(days=1):
            raise InvalidQuery("Hourly granularity is only available for the last 14 days")
        months = (now.year - start.year) * 12 + now.month - start.month
        if months > _MONTHS_OF_HISTORY:
            raise InvalidQuery("You haven't enabled historical data beyond 14 months")
        metrics = tuple(request.get("Metrics") or ())
        for metric in metrics:
            if metric not in _COSTS | _QUANTITIES:
                raise InvalidQuery(f"Invalid metric: {metric}")
        groups = tuple(request.get("GroupBy") or ())
        if len(groups) > _MAX_GROUPS:
            raise InvalidQuery(f"The maximum number of groups is {_MAX_GROUPS}")
        return cls(start, end, granularity, metrics, groups, request.get("Filter"))

    def run(
        self, usage: "list[Usage]", prices: "UsagePrices", active_tags: Collection[str], now: datetime
    ) -> list[dict[str, Any]]:
        """ResultsByTime.

        Args:
            usage: The account's usage in the query's time.
            prices: Its prices.
            active_tags: The activated cost allocation tags.
            now: The simulated time.

        Raises:
            InvalidQuery: The filter is invalid.
        """
        is_included = expression_filter(self.expression, active_tags)
        included = [each for each in usage if is_included(each.line)]
        results = []
        for start, end in self._periods():
            inside = [each for each in included if start <= each.hour < end]
            result: dict[str, Any] = {
                "TimePeriod": {"Start": self._format(start), "End": self._format(end)},
                "Total": {} if self.groups else self._metrics(inside, prices),
                "Groups": self._grouped(inside, prices, active_tags) if self.groups else [],
                "Estimated": end > month_of(now),
            }
            results.append(result)
        return results

    def _periods(self) -> Iterator[tuple[datetime, datetime]]:
        start = self.start
        while start < self.end:
            match self.granularity:
                case "HOURLY":
                    end = start + HOUR
                case "DAILY":
                    end = start + timedelta(days=1)
                case _:
                    end = next_month(start)
            yield start, min(end, self.end)
            start = end

    def _grouped(
        self, usage: "list[Usage]", prices: "UsagePrices", active_tags: Collection[str]
    ) -> list[dict[str, Any]]:
        by_keys: dict[tuple[str, ...], list[Usage]] = defaultdict(list)
        for each in usage:
            by_keys[tuple(group_key(group, each.line, active_tags) for group in self.groups)].append(each)
        return [{"Keys": list(keys), "Metrics": self._metrics(by_keys[keys], prices)} for keys in sorted(by_keys)]

    def _metrics(self, usage: "list[Usage]", prices: "UsagePrices") -> dict[str, dict[str, str]]:
        units = {each.line.unit for each in usage}
        quantity = sum((each.quantity for each in usage), Decimal(0))
        cost = prices.total(usage)
        return {
            name: {"Amount": format_amount(cost), "Unit": "USD"}
            if name in _COSTS
            else {"Amount": format_amount(quantity), "Unit": units.pop() if len(units) == 1 else "N/A"}
            for name in self.metrics
        }

    def _format(self, moment: datetime) -> str:
        return f"{moment:%Y-%m-%dT%H:%M:%SZ}" if self.granularity == "HOURLY" else f"{moment:%Y-%m-%d}"


def parse_period(period: Mapping[str, str], granularity: Granularity) -> tuple[datetime, datetime]:
    """Start and end of a DateInterval, UTC.

    Raises:
        InvalidQuery: They are not in the granularity's format, or in the wrong order.
    """
    start, end = (_moment(name, period[name], granularity) for name in ("Start", "End"))
    if start >= end:
        raise InvalidQuery("Start date (and hour) should be before end date (and hour)")
    return start, end


def _moment(name: str, text: str, granularity: Granularity) -> datetime:
    pattern, form = (_HOUR, "yyyy-MM-dd'T'HH:mm:ss'Z'") if granularity == "HOURLY" else (_DATE, "yyyy-MM-dd")
    if pattern.fullmatch(text):
        with contextlib.suppress(ValueError):
            return datetime.fromisoformat(text).replace(tzinfo=UTC)
    raise InvalidQuery(f"{name} time {text} is invalid. Valid format is: {form}.")


def format_amount(amount: Decimal) -> str:
    """An amount without exponent and trailing zeros."""
    text = f"{amount.quantize(_PLACES):f}"
    return text.rstrip("0").rstrip(".") or "0"
