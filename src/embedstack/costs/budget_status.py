"""How much of each budget is spent, and what the month will cost."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from embedstack.costs.budget_limits import ANY_NAME, Budget, BudgetLimits, Month, Scope, limit_of
from embedstack.costs.budget_store import Alert, BudgetStore, Reservation
from embedstack.costs.forecast import HISTORY_DAYS, Forecast, forecast
from embedstack.costs.money import to_picodollars
from embedstack.costs.records import Group, Total

if TYPE_CHECKING:
    from embedstack.costs.ledger import Ledger

__all__ = ["BudgetStatus", "BudgetsReport", "read_budgets"]

# Spend of the month, and of each day.
_Spend = tuple[int, Mapping[date, int]]
_NOTHING: _Spend = (0, {})


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
    whole = _spend_of(ledger, month, "month")
    scopes: tuple[Scope, ...] = ("month", "key", "context")
    for scope in scopes:
        names = {budget.name for budget in current if budget.scope == scope}
        if not names:
            continue
        spend = whole if scope == "month" else _spend_of(ledger, month, scope)
        if ANY_NAME in names:
            names = (names | set(spend)) - {ANY_NAME}
        for name in sorted(names):
            budget = Budget(scope, name)
            limit = limit_of(budget, current)
            if limit is not None:
                spent, by_day = spend.get(name, _NOTHING)
                projected = forecast(by_day, month, now)
                statuses.append(BudgetStatus(budget, to_picodollars(limit), spent, reserved[budget], projected))
    spent, by_day = whole.get("", _NOTHING)
    return BudgetsReport(
        month,
        tuple(statuses),
        spent,
        forecast(by_day, month, now),
        sum(total.unpriced_calls for total in ledger.totals(month.start, month.end)),
        ledger.lost(),
        tuple(reservations),
        tuple(alerts),
    )


def _spend_of(ledger: "Ledger", month: Month, scope: Scope) -> dict[str, _Spend]:
    """What is spent in the month and on each of its days, by key or context; of all calls under the empty name."""
    names: tuple[Group, ...] = () if scope == "month" else (scope,)
    by_day: dict[str, dict[date, int]] = defaultdict(lambda: defaultdict(int))
    for total in ledger.totals(month.start - HISTORY_DAYS * 86400, month.end, ("hour", *names)):
        # In a zone whose offset is not whole hours, an hour at midnight counts for the day in which it begins.
        day = datetime.fromisoformat(str(total.group["hour"])).astimezone(month.zone).date()
        by_day[_name(total, names)][day] += total.cost
    in_month = {_name(total, names): total.cost for total in ledger.totals(month.start, month.end, names)}
    return {name: (in_month.get(name, 0), days) for name, days in by_day.items() if name or not names}


def _name(total: Total, names: tuple[Group, ...]) -> str:
    return (total.group[names[0]] or "") if names else ""
