"""What processes share of budgets: changed limits, reservations, alerts and the pace of spent budgets.

The tables are beside the ledger: in a second SQLite file, so that a check never waits for a flush of the ledger, or in
the ledger's Postgres database.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from embedstack.costs.budget_limits import Budget
from embedstack.costs.databases import Execute, is_postgres, open_database
from embedstack.costs.money import to_dollars, to_picodollars

__all__ = ["Alert", "BudgetStore", "BudgetTransaction", "Reservation"]

# Expired reservations are shown for the rest of the month.
_KEPT_SECONDS = 40 * 86400.0
# Amounts are picodollars, times are seconds since the epoch.
_TABLES = (
    """CREATE TABLE IF NOT EXISTS budget_limits (
        scope TEXT NOT NULL, name TEXT NOT NULL, amount BIGINT NOT NULL, PRIMARY KEY (scope, name))""",
    """CREATE TABLE IF NOT EXISTS budget_reservations (
        process TEXT NOT NULL, scope TEXT NOT NULL, name TEXT NOT NULL, month TEXT NOT NULL, amount BIGINT NOT NULL,
        expires_at DOUBLE PRECISION NOT NULL, expired INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY (process, scope, name, month))""",
    """CREATE TABLE IF NOT EXISTS budget_alerts (
        scope TEXT NOT NULL, name TEXT NOT NULL, month TEXT NOT NULL, kind TEXT NOT NULL, amount BIGINT NOT NULL,
        message TEXT NOT NULL, crossed_at DOUBLE PRECISION NOT NULL, claimed_until DOUBLE PRECISION NOT NULL DEFAULT 0,
        attempts INTEGER NOT NULL DEFAULT 0, sent_at DOUBLE PRECISION,
        PRIMARY KEY (scope, name, month, kind, amount))""",
    """CREATE TABLE IF NOT EXISTS budget_pace (
        scope TEXT NOT NULL, name TEXT NOT NULL, free_at DOUBLE PRECISION NOT NULL, PRIMARY KEY (scope, name))""",
)


@dataclass(frozen=True, slots=True)
class Reservation:
    """An amount that a process may still spend, or has spent and not yet written to the ledger.

    Attributes:
        process: Host, process id and a random part.
        budget: The budget.
        month: The month, such as ``2026-12``.
        amount: The amount in picodollars.
        expires_at: When it ends unless the process renews it, in seconds since the epoch.
        is_expired: Whether it has ended: the process was killed, or stopped for longer than that.
    """

    process: str
    budget: Budget
    month: str
    amount: int
    expires_at: float
    is_expired: bool


@dataclass(frozen=True, slots=True)
class Alert:
    """The crossing of a threshold.

    Attributes:
        budget: The budget.
        month: The month, such as ``2026-12``.
        kind: ``threshold``, ``limit`` or ``forecast``.
        limit: The limit at that time, in picodollars.
        message: The text of the alert.
        crossed_at: When it was noticed, in seconds since the epoch.
        attempts: How often it was sent, including failures.
        sent_at: When it was sent; None if it was not yet.
    """

    budget: Budget
    month: str
    kind: str
    limit: int
    message: str
    crossed_at: float
    attempts: int = 0
    sent_at: float | None = None


class BudgetTransaction:
    """Reads and changes the tables while no other process does."""

    def __init__(self, execute: Execute) -> None:
        self._execute = execute

    def limits(self) -> dict[Budget, Decimal]:
        """The limits that were changed in the store, in US dollars."""
        rows = self._execute("SELECT scope, name, amount FROM budget_limits", ())
        return {Budget(scope, name): to_dollars(amount) for scope, name, amount in rows}

    def set_limit(self, budget: Budget, limit: Decimal | None) -> None:
        """Change a limit, in US dollars; None removes the change."""
        self._execute("DELETE FROM budget_limits WHERE scope = ? AND name = ?", (budget.scope, budget.name))
        if limit is not None:
            row = (budget.scope, budget.name, to_picodollars(limit))
            self._execute("INSERT INTO budget_limits (scope, name, amount) VALUES (?, ?, ?)", row)

    def expire(self, now: float) -> list[Reservation]:
        """End the reservations whose time is over, and return those that were not ended before."""
        condition = "WHERE expired = 0 AND expires_at <= ?"
        ended = self._reservations(condition, (now,))
        if ended:
            self._execute(f"UPDATE budget_reservations SET expired = 1 {condition}", (now,))  # noqa: S608 - a constant
            self._execute("DELETE FROM budget_reservations WHERE expires_at < ?", (now - _KEPT_SECONDS,))
        return ended

    def reserved_by_others(self, budget: Budget, month: str, process: str) -> int:
        """Picodollars of a budget that other processes have reserved."""
        rows = self._execute(
            "SELECT COALESCE(SUM(amount), 0) FROM budget_reservations "
            "WHERE scope = ? AND name = ? AND month = ? AND process <> ? AND expired = 0",
            (budget.scope, budget.name, month, process),
        )
        return int(rows[0][0])

    def reserve(self, process: str, budget: Budget, month: str, amount: int, expires_at: float) -> None:
        """Replace the reservation of a process; an amount of 0 removes it."""
        key = (process, budget.scope, budget.name, month)
        if amount == 0:
            self._execute(
                "DELETE FROM budget_reservations WHERE process = ? AND scope = ? AND name = ? AND month = ?", key
            )
            return
        self._execute(
            "INSERT INTO budget_reservations (process, scope, name, month, amount, expires_at) "
            "VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (process, scope, name, month) "
            "DO UPDATE SET amount = excluded.amount, expires_at = excluded.expires_at, expired = 0",
            (*key, amount, expires_at),
        )

    def reservations(self, month: str) -> list[Reservation]:
        """All reservations of a month, including the expired ones."""
        return self._reservations("WHERE month = ? ORDER BY expires_at", (month,))

    def next_slot(self, budget: Budget, now: float, interval: float) -> float:
        """Take the next slot of a budget whose requests are ``interval`` seconds apart, and return its time."""
        key = (budget.scope, budget.name)
        rows = self._execute("SELECT free_at FROM budget_pace WHERE scope = ? AND name = ?", key)
        # A clock that went back would otherwise leave slots far in the future.
        slot = max(now, rows[0][0]) if rows and rows[0][0] <= now + interval * 1000 else now
        self._execute(
            "INSERT INTO budget_pace (scope, name, free_at) VALUES (?, ?, ?) "
            "ON CONFLICT (scope, name) DO UPDATE SET free_at = excluded.free_at",
            (*key, slot + interval),
        )
        return slot

    def return_slot(self, budget: Budget, interval: float) -> None:
        """Give back a slot that was not used."""
        self._execute(
            "UPDATE budget_pace SET free_at = free_at - ? WHERE scope = ? AND name = ?",
            (interval, budget.scope, budget.name),
        )

    def add_alert(self, alert: Alert) -> None:
        """Note a crossing, unless it was noted before."""
        self._execute(
            "INSERT INTO budget_alerts (scope, name, month, kind, amount, message, crossed_at) "
            "VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (alert.budget.scope, alert.budget.name, alert.month, alert.kind, alert.limit, alert.message,
             alert.crossed_at),
        )  # fmt: skip

    def claim_alerts(self, now: float, seconds: float) -> list[Alert]:
        """Take the alerts that are not sent yet and that no other process is sending, for some seconds."""
        condition = "WHERE sent_at IS NULL AND claimed_until <= ?"
        claimed = self._alerts(condition, (now,))
        if claimed:
            self._execute(
                f"UPDATE budget_alerts SET attempts = attempts + 1, claimed_until = ? {condition}",  # noqa: S608 - a constant
                (now + seconds, now),
            )
        return claimed

    def mark_sent(self, alert: Alert, now: float) -> None:
        """Note that an alert was sent."""
        self._execute(
            "UPDATE budget_alerts SET sent_at = ? "
            "WHERE scope = ? AND name = ? AND month = ? AND kind = ? AND amount = ?",
            (now, alert.budget.scope, alert.budget.name, alert.month, alert.kind, alert.limit),
        )

    def alerts(self, month: str) -> list[Alert]:
        """All alerts of a month, in the order of their crossing."""
        return self._alerts("WHERE month = ? ORDER BY crossed_at", (month,))

    def _reservations(self, condition: str, parameters: Sequence[Any]) -> list[Reservation]:
        rows = self._execute(
            f"SELECT process, scope, name, month, amount, expires_at, expired FROM budget_reservations {condition}",  # noqa: S608 - a constant
            parameters,
        )
        return [
            Reservation(process, Budget(scope, name), month, amount, expires_at, bool(expired))
            for process, scope, name, month, amount, expires_at, expired in rows
        ]

    def _alerts(self, condition: str, parameters: Sequence[Any]) -> list[Alert]:
        rows = self._execute(
            f"SELECT scope, name, month, kind, amount, message, crossed_at, attempts, sent_at FROM budget_alerts {condition}",  # noqa: S608, E501 - a constant
            parameters,
        )
        return [Alert(Budget(row[0], row[1]), *row[2:]) for row in rows]


class BudgetStore:
    """The tables of budgets, opened with the first use."""

    def __init__(self, ledger: str) -> None:
        """Prepare.

        Args:
            ledger: COSTS_LEDGER: the ledger's file, or ``postgresql://…``.

        Raises:
            ConfigurationError: The packages for Postgres are missing.
        """
        if not is_postgres(ledger):
            path = Path(ledger)
            ledger = str(path.with_name(f"{path.stem}.budgets{path.suffix}"))
        self._database = open_database(ledger, "budgets", _TABLES)

    @contextmanager
    def exclusive(self) -> Iterator[BudgetTransaction]:
        """A transaction during which no other thread or process has one.

        Raises:
            StoreUnavailable: The store cannot be read or written, or is locked for too long.
        """
        with self._database.transaction() as execute:
            yield BudgetTransaction(execute)

    def close(self) -> None:
        """Close the connection of this process; a later transaction opens another one."""
        self._database.close()
