"""How much of each budget is spent, and what the month will cost."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import date, datetime, tzinfo
from decimal import Decimal
from typing import TYPE_CHECKING

from embedstack.costs.budget_limits import ANY_NAME, Budget, BudgetLimits, Month, Scope, limit_of
from embedstack.costs.budget_store import Alert, BudgetStore, Reservation
from embedstack.costs.forecast import HISTORY_DAYS, Forecast, forecast
from embedstack.costs.money import to_picodollars

if TYPE_CHECKING:
    from embedstack.costs.ledger import Ledger

__all__ = ["BudgetStatus", "BudgetsReport", "read_budgets"]


@dataclass(frozen=True, slots=True)
class BudgetStatus:
    """A budget in a month. Amounts are picodollars.

    Attributes:
        budget: The budget.
        limit: Its limit.
        spend: What is spent.
        reserved: What processes have reserved for requests in flight.
        forecast: The spend at the end of the month.
    """

    budget: Budget
    limit: int
    spend: int
    reserved: int
    forecast: Forecast

    @property
    def percent(self) -> Decimal:
        """What is spent of the limit, in percent; of a limit of 0, 100."""
        return Decimal(self.spend) * 100 / self.limit if self.limit else Decimal(100)


@dataclass(frozen=True, slots=True)
class BudgetsReport:
    """All budgets in a month.

    Attributes:
        month: The month.
        budgets: One for each budget with a limit, the monthly one first.
        spend: What is spent in all, in picodollars.
        forecast: The spend of all calls at the end of the month.
        unpriced_calls: Calls whose price is unknown: they are in no budget.
        lost_records: Calls that the ledger lost.
        reservations: Reservations of running and of killed processes.
        alerts: Alerts of the month.
    """

    month: Month
    budgets: tuple[BudgetStatus, ...]
    spend: int
    forecast: Forecast
    unpriced_calls: int
    lost_records: int
    reservations: tuple[Reservation, ...]
    alerts: tuple[Alert, ...]


def read_budgets(limits: BudgetLimits, ledger: "Ledger", store: BudgetStore, now: float) -> BudgetsReport:
    """Read the ledger and the store.

    Args:
        limits: The configured budgets.
        ledger: What is spent.
        store: What processes share.
        now: Seconds since the epoch.

    Raises:
        EmbedStackError: One of them cannot be read.
    """
    month = Month.at(now, limits.zone)
    with store.exclusive() as transaction:
        transaction.expire(now)
        current = limits.overlaid(transaction.limits())
        reservations = transaction.reservations(month.label)
        alerts = transaction.alerts(month.label)
    reserved: dict[Budget, int] = defaultdict(int)
    for reservation in reservations:
        if not reservation.is_expired:
            reserved[reservation.budget] += reservation.amount
    statuses: list[BudgetStatus] = []
    history = _spend_by_day(ledger, month, None)
    whole = forecast(history.get("", {}), month, now)
    scopes: tuple[Scope, ...] = ("month", "key", "context")
    for scope in scopes:
        names = {budget.name for budget in current if budget.scope == scope}
        if not names:
            continue
        by_day = history if scope == "month" else _spend_by_day(ledger, month, scope)
        if ANY_NAME in names:
            names = (names | set(by_day)) - {ANY_NAME}
        for name in sorted(names):
            budget = Budget(scope, name)
            limit = limit_of(budget, current)
            if limit is None:
                continue
            statuses.append(
                BudgetStatus(
                    budget,
                    to_picodollars(limit),
                    _since(by_day.get(name, {}), month),
                    reserved[budget],
                    forecast(by_day.get(name, {}), month, now),
                )
            )
    totals = ledger.totals(month.start, month.end, ())
    return BudgetsReport(
        month,
        tuple(statuses),
        _since(history.get("", {}), month),
        whole,
        sum(total.unpriced_calls for total in totals),
        ledger.lost(),
        tuple(reservations),
        tuple(alerts),
    )


def _spend_by_day(ledger: "Ledger", month: Month, scope: Scope | None) -> dict[str, dict[date, int]]:
    """Spend of each day in the month's time zone, by key or context; of all calls, under the empty name."""
    spend: dict[str, dict[date, int]] = defaultdict(lambda: defaultdict(int))
    start = month.start - HISTORY_DAYS * 86400
    group_by = ("hour",) if scope in (None, "month") else ("hour", str(scope))
    for total in ledger.totals(start, month.end, group_by):
        name = total.group.get(str(scope)) if len(group_by) > 1 else ""
        if name is not None:
            spend[name][_day(total.group["hour"], month.zone)] += total.cost
    return spend


def _day(hour: str, zone: tzinfo) -> date:
    return datetime.fromisoformat(hour).astimezone(zone).date()


def _since(by_day: dict[date, int], month: Month) -> int:
    begin = datetime.fromtimestamp(month.start, month.zone).date()
    return sum(spend for day, spend in by_day.items() if begin <= day < month.resets_at.date())
