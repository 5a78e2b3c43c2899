"""``embedstack costs budget``: limits, spend and forecast of budgets, and changes of limits."""

import json
import time
from dataclasses import asdict
from datetime import datetime
from decimal import Decimal
from typing import Any, cast

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from embedstack.costs.budget_alerts import BudgetAlerts
from embedstack.costs.budget_limits import Budget, BudgetLimits, Scope
from embedstack.costs.budget_status import BudgetsReport, read_budgets
from embedstack.costs.budget_store import BudgetStore
from embedstack.costs.forecast import Forecast
from embedstack.costs.ledger import open_ledger
from embedstack.costs.money import format_dollars, to_dollars
from embedstack.errors import ConfigurationError
from embedstack.settings.budget_values import parse_limit
from embedstack.settings.settings import load_settings
from embedstack_ops.cli.command import exit_on_error

__all__ = ["main"]

_EPILOG = """\b
Examples:
  embedstack costs budget
  embedstack costs budget --set month=250 --set key:alice=5 --set context:code=20.50
  embedstack costs budget --unset key:alice
  embedstack costs budget --alert --json
"""


@click.command(epilog=_EPILOG)
@click.option("--set", "changes", multiple=True, metavar="NAME=USD", help="Change a limit for all processes at once.")
@click.option("--unset", "removals", multiple=True, metavar="NAME", help="Return to the limit of the settings.")
@click.option(
    "--alert", is_flag=True, help="Send the alerts that are due, as a process with a budget does each minute."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@exit_on_error
def main(changes: tuple[str, ...], removals: tuple[str, ...], alert: bool, as_json: bool) -> None:
    """Show this month's budgets: limit, spend, forecast, reservations and lost records.

    NAME is month, key:ID or context:NAME. A changed limit is kept in the ledger's store, and takes precedence over
    AWS_COST_BUDGET_LIMIT, COSTS_KEY_BUDGETS and COSTS_CONTEXT_BUDGETS.
    """
    settings = load_settings()
    ledger = open_ledger(settings)
    if ledger is None or settings.costs_ledger is None:
        raise ConfigurationError("No ledger is configured. Set COSTS_LEDGER to the file that counts what is spent.")
    limits = BudgetLimits.from_settings(settings)
    store = BudgetStore(settings.costs_ledger.get_secret_value())
    parsed: list[tuple[Budget, Decimal | None]] = [_parse_change(change) for change in changes]
    parsed += [(_parse_budget(name), None) for name in removals]
    try:
        with store.exclusive() as transaction:
            for budget, limit in parsed:
                transaction.set_limit(budget, limit)
        alerts = BudgetAlerts(limits, ledger, store, settings=settings)
        report = alerts.check() if alert else read_budgets(limits, ledger, store, time.time())
    finally:
        store.close()
    if as_json:
        click.echo(json.dumps(_as_json(report), indent=2))
    else:
        _print(Console(highlight=False), report, limits)


def _parse_change(text: str) -> tuple[Budget, Decimal]:
    name, _, amount = text.partition("=")
    try:
        return _parse_budget(name), parse_limit(amount)
    except ValueError as error:
        raise ConfigurationError(f"--set {text}: {error}.") from None


def _parse_budget(name: str) -> Budget:
    scope, _, rest = name.partition(":")
    if (scope == "month" and not rest) or (scope in ("key", "context") and rest.strip()):
        return Budget(cast("Scope", scope), rest)
    raise ConfigurationError(f"{name!r} is not a budget. Write month, key:ID or context:NAME.")


def _print(console: Console, report: BudgetsReport, limits: BudgetLimits) -> None:
    forecast = _forecast(report.forecast)
    console.print(f"[bold]{report.month.label}[/]  ${_dollars(report.spend)} spent, forecast {forecast}")
    if report.budgets:
        table = Table(box=None, padding=(0, 2, 0, 0))
        for heading in ("Budget", "Limit", "Spent", "%", "Reserved", "Forecast"):
            table.add_column(heading, justify="left" if heading in ("Budget", "Forecast") else "right")
        for status in report.budgets:
            spent_out, warned = status.percent >= 100, status.percent >= limits.alert_percent
            color = "red" if spent_out else "yellow" if warned else "green"
            table.add_row(
                escape(_name(status.budget)),
                f"${_dollars(status.limit)}",
                f"${_dollars(status.spend)}",
                f"[{color}]{status.percent:.1f}[/]",
                f"${_dollars(status.reserved)}",
                _forecast(status.forecast),
            )
        console.print(table)
        console.print(f"Policy {limits.policy}; the month ends at {report.month.resets_at:%Y-%m-%d %H:%M %Z}.")
    else:
        console.print("No budget is set. Set AWS_COST_BUDGET_LIMIT, or use --set month=USD.")
    if report.forecast.reason:
        console.print(f"Forecast: {report.forecast.reason}.")
    if report.unpriced_calls:
        console.print(f"[yellow]{report.unpriced_calls:,} calls have no known price and are in no budget.[/]")
    if report.lost_records:
        console.print(f"[yellow]The ledger lost {report.lost_records:,} records.[/]")
    for reservation in report.reservations:
        if reservation.is_expired:
            console.print(
                f"[yellow]Process {escape(reservation.process)} ended without giving back "
                f"${_dollars(reservation.amount)} of {escape(str(reservation.budget))}: up to this amount may be spent "
                "and missing in the ledger.[/]"
            )
    for alert in report.alerts:
        state = "sent" if alert.sent_at else f"not sent yet, {alert.attempts} attempts"
        when = f"{datetime.fromtimestamp(alert.crossed_at, report.month.zone):%Y-%m-%d %H:%M}"
        console.print(f"{when}  {escape(alert.message.splitlines()[0])} ({state})")


def _as_json(report: BudgetsReport) -> dict[str, Any]:
    return {
        "month": report.month.label,
        "resets_at": report.month.resets_at.isoformat(),
        "spend_usd": _usd(report.spend),
        "forecast": _forecast_json(report.forecast),
        "budgets": [
            {
                "budget": _name(status.budget),
                "limit_usd": _usd(status.limit),
                "spend_usd": _usd(status.spend),
                "percent": float(round(status.percent, 2)),
                "reserved_usd": _usd(status.reserved),
                "forecast": _forecast_json(status.forecast),
            }
            for status in report.budgets
        ],
        "unpriced_calls": report.unpriced_calls,
        "lost_records": report.lost_records,
        "reservations": [
            {**asdict(reservation), "budget": _name(reservation.budget)} for reservation in report.reservations
        ],
        "alerts": [{**asdict(alert), "budget": _name(alert.budget)} for alert in report.alerts],
    }


def _name(budget: Budget) -> str:
    return budget.scope if budget.scope == "month" else f"{budget.scope}:{budget.name}"


def _forecast(forecast: Forecast) -> str:
    return "unknown" if forecast.best is None else f"${_dollars(forecast.best)}"


def _forecast_json(forecast: Forecast) -> dict[str, str | None]:
    amounts = {"linear_usd": forecast.linear, "weekday_usd": forecast.weekday}
    known = {name: None if amount is None else _usd(amount) for name, amount in amounts.items()}
    return {**known, "reason": forecast.reason or None}


def _dollars(picodollars: int) -> str:
    return format_dollars(to_dollars(picodollars))


def _usd(picodollars: int) -> str:
    """An exact amount without an exponent."""
    return f"{to_dollars(picodollars):f}"
