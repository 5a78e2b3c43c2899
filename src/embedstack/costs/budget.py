"""The budget guard: admits a request while the budgets it belongs to have money left.

A process reserves amounts in the store that all processes share, for a second at a time, and admits requests within
them without further access to the store. When the requests in flight could exceed what is left, each process sends one
request at a time. Only money that is really spent refuses a request: reservations delay it.
"""

import logging
import os
import socket
import threading
import time
import uuid
import weakref
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

from embedstack.calls.call_context import Call
from embedstack.calls.clock import Clock, SystemClock
from embedstack.calls.process_local import Lock, Origin, PerProcess, keep_forever
from embedstack.calls.rare_warnings import RareWarnings
from embedstack.costs.budget_account import BudgetAccount
from embedstack.costs.budget_alerts import BudgetAlerts
from embedstack.costs.budget_limits import Budget, BudgetLimits, Month, budgets_of, limit_of
from embedstack.costs.budget_store import BudgetStore, BudgetTransaction
from embedstack.costs.money import format_dollars, to_dollars, to_picodollars
from embedstack.errors import BudgetExceeded, ConfigurationError, EmbedStackError, UnknownPrice

if TYPE_CHECKING:
    from decimal import Decimal

    from embedstack.costs.attribution import Attribution
    from embedstack.costs.ledger import Ledger
    from embedstack.settings.settings import Settings

__all__ = ["RESERVATION_SECONDS", "Admission", "BudgetGuard", "open_guard"]

_logger = logging.getLogger(__name__)

#: A reservation ends this long after its process was killed or stopped, in seconds. A running process renews it.
RESERVATION_SECONDS = 15.0

# Age at which limits, spend and reservations are read again.
_FRESH_SECONDS = 0.5
# Wait for other processes' reservations, at most, before a request is refused.
_PATIENCE_SECONDS = 5.0
_POLL_SECONDS = 0.02
# Until the first cost is known, a request may cost this many times its estimate.
_FIRST_FACTOR = 4
# Age after which an unused reservation is given back.
_IDLE_SECONDS = 1.0
# Pause after a failure of the ledger or the store.
_RETRY_SECONDS = 5.0
_SETTINGS = {
    "month": "AWS_COST_BUDGET_LIMIT", "key": "COSTS_KEY_BUDGETS", "context": "COSTS_CONTEXT_BUDGETS"
}  # fmt: skip


class BudgetGuard:
    """Admits requests within the budgets of the month, of keys and of contexts. Shared by threads and processes.

    If the ledger or the store fails, requests are admitted by what this process knows, and a log line says so once a
    minute: accounting must not stop the calls that it counts.
    """

    def __init__(
        self,
        limits: BudgetLimits,
        ledger: "Ledger",
        store: BudgetStore,
        *,
        alerts: BudgetAlerts | None = None,
        now: Callable[[], float] = time.time,
        clock: Clock | None = None,
    ) -> None:
        """Prepare; nothing is read yet.

        Args:
            limits: The configured budgets.
            ledger: What is spent.
            store: What processes share.
            alerts: Sends alerts; None for no alerts.
            now: Seconds since the epoch.
            clock: Measures the waits of the policy ``limit``.
        """
        self._limits = limits
        self._ledger = ledger
        self._store = store
        self._alerts = alerts
        self._now = now
        self._clock = clock or SystemClock()
        self._process = PerProcess(_Process, discard=keep_forever)

    def admit(self, estimate: int | None, attribution: "Attribution", *, product: str = "this request") -> "Admission":
        """Wait until a request may be sent.

        Args:
            estimate: Its expected cost in picodollars; 0 only for a backend that costs nothing per request, None if
                the price is unknown.
            attribution: The key and the context that the request belongs to.
            product: What is called, for the message about an unknown price.

        Raises:
            BudgetExceeded: A budget is spent and the policy is ``refuse``; not retryable, no request was sent.
            UnknownPrice: The price is unknown, a budget applies, and the policy is ``refuse``.
            DeadlineExceeded: The request may not be sent before the call's deadline.
        """
        if estimate == 0:
            return Admission(self)
        process = self._process.get()
        with process.changed:
            accounts = self._accounts(process, attribution)
            self._start(process)
        if estimate is None:
            if accounts:
                self._admit_unpriced(process, accounts[0].budget, product)
            return Admission(self)
        admission = Admission(self, estimate)
        try:
            for account in accounts:
                if self._limits.policy == "refuse":
                    self._take(process, account, admission)
                else:
                    self._watch(process, account, admission)
        except BaseException:
            admission.release()
            raise
        return admission

    def close(self) -> None:
        """Give back this process's reservations and end its threads. A later request starts them again."""
        if self._alerts is not None:
            self._alerts.close()
        process = self._process.take()
        if process is not None:
            process.closed.set()
            if process.keeper is not None:
                process.keeper.join()
            _give_back(process, self._store)
        self._store.close()

    def _accounts(self, process: "_Process", attribution: "Attribution") -> list[BudgetAccount]:
        """The budgets of a request, as this process uses them in the current month."""
        if _is_old(process.limits_read_at):
            self._transact(process, lambda _: None)
        month = Month.at(self._now(), self._limits.zone)
        accounts = []
        for budget in budgets_of(attribution, process.limits or self._limits.limits):
            key = (budget, month.label)
            if key not in process.accounts:
                process.accounts[key] = BudgetAccount(budget, month)
            accounts.append(process.accounts[key])
        return accounts

    def _take(self, process: "_Process", account: BudgetAccount, admission: "Admission") -> None:
        """Reserve the amount of a request; wait while the requests in flight may use up what is left.

        Raises:
            BudgetExceeded: The budget is spent.
        """
        patient_until: float | None = None
        with process.changed:
            while True:
                Call.current().check()
                amount = process.scaled(admission.estimate)
                if _is_old(account.read_at) or not (account.fits(amount) or account.is_spent):
                    self._read(process, account, amount)
                if account.fits(amount):
                    account.take(amount)
                    admission.add(process, account, amount)
                    return
                if account.is_spent:
                    raise self._exceeded(account)
                if account.requests > 0:
                    # Until one of this process's requests has ended.
                    _wait(process.changed, _FRESH_SECONDS)
                    continue
                # Until another process has written its spend to the ledger, or its reservation has expired.
                patient_until = patient_until or time.monotonic() + _PATIENCE_SECONDS
                if time.monotonic() > patient_until:
                    raise self._exceeded(account)
                _wait(process.changed, _POLL_SECONDS)

    def _watch(self, process: "_Process", account: BudgetAccount, admission: "Admission") -> None:
        """Let a request of a spent budget continue, with a warning or at a low rate."""
        with process.changed:
            if _is_old(account.read_at):
                self._read(process, account, 0)
            account.take(0)
            admission.add(process, account, 0)
            if not account.is_spent:
                return
        policy = self._limits.policy
        process.warn(
            f"{account.budget}",
            f"{self._exceeded(account)} COSTS_BUDGET_POLICY is {policy}, so requests continue.",
        )
        if policy == "limit":
            self._pace(process, account.budget)

    def _pace(self, process: "_Process", budget: Budget) -> None:
        """Wait for the next slot of a spent budget, which all processes share.

        Raises:
            DeadlineExceeded: It is after the call's deadline.
        """
        interval = 60 / self._limits.requests_per_minute
        now = self._now()
        slots: list[float] = []
        with process.changed:
            self._transact(process, lambda transaction: slots.append(transaction.next_slot(budget, now, interval)))
        seconds = max(slots[0] - now, 0.0) if slots else interval
        try:
            if seconds > 0:
                Call.current().pause(seconds, self._clock)
        except BaseException:
            with process.changed:
                self._transact(process, lambda transaction: transaction.return_slot(budget, interval))
            raise

    def _admit_unpriced(self, process: "_Process", budget: Budget, product: str) -> None:
        message = f"The price of {product} is unknown, so {budget} cannot count it."
        if self._limits.policy == "refuse":
            raise UnknownPrice(
                f"{message} Add the price to the file of COSTS_PRICES_FILE, or set COSTS_BUDGET_POLICY=warn to send "
                "such requests uncounted."
            )
        process.warn(product, f"{message} The request is sent; `embedstack costs budget` shows how many there are.")

    def _read(self, process: "_Process", account: BudgetAccount, amount: int) -> None:
        """Read limit, spend and reservations, and reserve for requests of an amount."""
        budget, month = account.budget, account.month

        def read(transaction: BudgetTransaction) -> None:
            # In this order, what another process flushes meanwhile is counted twice for a moment, but never missed.
            others = transaction.reserved_by_others(budget, month.label, process.name)
            spend = self._ledger.spend(
                month.start,
                month.end,
                key=budget.name if budget.scope == "key" else None,
                context=budget.name if budget.scope == "context" else None,
            )
            limit = limit_of(budget, process.limits)
            account.know(None if limit is None else to_picodollars(limit), spend, others)
            account.plan(amount)
            if account.granted > 0 or account.is_reserved:
                expires_at = self._now() + RESERVATION_SECONDS
                transaction.reserve(process.name, budget, month.label, account.granted, expires_at)
                account.is_reserved = account.granted > 0

        if not self._transact(process, read, flush=True):
            configured = limit_of(budget, self._limits.limits)
            if account.limit is None and configured is not None:
                account.limit = to_picodollars(configured)
            account.others = 0
            account.plan(amount)

    def _transact(self, process: "_Process", work: Callable[[BudgetTransaction], None], *, flush: bool = False) -> bool:
        """Run work in a transaction; False if the store or the ledger fails, which is logged and tried again later."""
        if time.monotonic() < process.retry_at:
            return False
        try:
            if flush:
                self._ledger.flush()
            with self._store.exclusive() as transaction:
                process.limits = self._limits.overlaid(transaction.limits())
                process.limits_read_at = time.monotonic()
                for ended in transaction.expire(self._now()):
                    _logger.warning(
                        "Process %s ended without giving back $%s of %s: up to this amount may be spent and missing in "
                        "the ledger.", ended.process, format_dollars(to_dollars(ended.amount)), ended.budget,
                    )  # fmt: skip
                work(transaction)
        except EmbedStackError as error:
            process.retry_at = time.monotonic() + _RETRY_SECONDS
            process.limits_read_at = time.monotonic()
            process.warn("store", f"Budgets are checked by this process's own spend only: {error}")
            return False
        return True

    def end(self, process: "_Process", account: BudgetAccount, amount: int, cost: int) -> None:
        """Count the end of a request."""
        with process.changed:
            account.end(amount, cost)
            if account.is_scarce:
                # Other processes wait for what this one does not use.
                self._read(process, account, 0)
            process.changed.notify_all()

    def _exceeded(self, account: BudgetAccount) -> BudgetExceeded:
        limit, spend = to_dollars(account.limit or 0), to_dollars(account.spend)
        reset = account.month.resets_at
        reserved = (
            "" if account.is_spent else f", and other processes reserve ${format_dollars(to_dollars(account.others))}"
        )
        setting = _SETTINGS[account.budget.scope]
        return BudgetExceeded(
            f"{str(account.budget).capitalize()} of ${format_dollars(limit)} is spent: ${format_dollars(spend)} since "
            f"{account.month.label}-01{reserved}. It resets at {reset:%Y-%m-%d %H:%M %Z}. Raise it with `embedstack "
            f"costs budget --set` or {setting}, or wait.",
            budget=str(account.budget),
            limit=limit,
            spend=spend,
            resets_at=reset,
        )  # fmt: skip

    def _start(self, process: "_Process") -> None:
        if self._alerts is not None:
            self._alerts.start()
        if process.keeper is None and self._limits.policy == "refuse":
            process.keeper = threading.Thread(
                target=_keep_reservations, args=(weakref.ref(self), process), name="embedstack-budget", daemon=True
            )
            process.keeper.start()
            # Without this, the reservations of a process that ends would be reported as those of a killed one.
            weakref.finalize(self, _give_back, process, self._store)

    def _renew(self, process: "_Process") -> None:
        """Renew what is in flight, and give back what an idle process has reserved."""
        for key, account in list(process.accounts.items()):
            with process.changed:
                now = time.monotonic()
                is_idle = now - account.used_at > _IDLE_SECONDS
                is_too_much = is_idle and account.is_reserved and account.granted > account.reserved
                if is_too_much or (account.requests > 0 and now - account.read_at > RESERVATION_SECONDS / 3):
                    self._read(process, account, 0)
                elif is_idle and account.requests == 0 and not account.is_reserved:
                    process.accounts.pop(key, None)


class Admission:
    """A request that may be sent. Exactly one of :meth:`settle` and :meth:`release` is called when it has ended."""

    def __init__(self, guard: BudgetGuard, estimate: int = 0) -> None:
        self.estimate = estimate
        self._guard = guard
        self._parts: list[tuple[_Process, BudgetAccount, int]] = []

    def add(self, process: "_Process", account: BudgetAccount, amount: int) -> None:
        """Count the request in an account."""
        self._parts.append((process, account, amount))

    def settle(self, cost: int | None) -> None:
        """The request was billed. Call it after :meth:`Ledger.record`.

        Args:
            cost: Its cost in picodollars; None if the price is unknown.
        """
        if self._parts:
            self._parts[0][0].learn(self.estimate, cost or 0)
        self._end(cost or 0)

    def release(self) -> None:
        """The request was not billed: it was not sent, or AWS does not charge for its failure."""
        self._end(0)

    def _end(self, cost: int) -> None:
        parts, self._parts = self._parts, []
        for process, account, amount in parts:
            self._guard.end(process, account, amount, cost)


class _Process:
    """What one process knows of budgets."""

    def __init__(self) -> None:
        self.origin = Origin()
        self.name = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
        self.changed = threading.Condition(threading.RLock())
        self.accounts: dict[tuple[Budget, str], BudgetAccount] = {}
        self.limits: Mapping[Budget, Decimal] = {}
        self.limits_read_at = float("-inf")
        self.retry_at = float("-inf")
        self.keeper: threading.Thread | None = None
        self.closed = threading.Event()
        self._warnings = RareWarnings(_logger)
        self._largest = (_FIRST_FACTOR, 1)
        self._has_cost = False

    def scaled(self, estimate: int) -> int:
        """An estimate times the largest ratio of a cost to its estimate so far; at least the estimate itself."""
        cost, of = self._largest
        return max(estimate, -(-estimate * cost // of))

    def learn(self, estimate: int, cost: int) -> None:
        """Compare a cost with its estimate."""
        with self.changed:
            if cost and (not self._has_cost or cost * self._largest[1] > self._largest[0] * estimate):
                self._largest = (cost, estimate)
                self._has_cost = True

    def warn(self, subject: str, message: str) -> None:
        """Log a warning, once a minute for each subject."""
        self._warnings.log(subject, "%s", message)


def open_guard(
    settings: "Settings", ledger: "Ledger | None", *, now: Callable[[], float] = time.time
) -> BudgetGuard | None:
    """The guard of the settings; None if they have no budget. Clients of the same ledger and budgets share one.

    Args:
        settings: The settings.
        ledger: The ledger of COSTS_LEDGER.
        now: Seconds since the epoch.

    Raises:
        ConfigurationError: A budget is set without a ledger.
    """
    limits = BudgetLimits.from_settings(settings)
    if not limits.limits:
        return None
    if ledger is None or settings.costs_ledger is None:
        raise ConfigurationError(
            "A budget is set, but no ledger counts what is spent. Set COSTS_LEDGER to a file, or remove "
            "AWS_COST_BUDGET_LIMIT, COSTS_KEY_BUDGETS and COSTS_CONTEXT_BUDGETS."
        )
    # The guard keeps its ledger, so that no other object has that id meanwhile.
    key = (id(ledger), repr(limits), settings.costs_alert_topic_arn, now)
    with _opening:
        guard = _guards.get(key)
        if guard is None:
            store = BudgetStore(settings.costs_ledger.get_secret_value())
            alerts = BudgetAlerts(limits, ledger, store, settings=settings, now=now)
            guard = _guards[key] = BudgetGuard(limits, ledger, store, alerts=alerts, now=now)
        return guard


_opening = Lock()
_guards: "weakref.WeakValueDictionary[tuple[object, ...], BudgetGuard]" = weakref.WeakValueDictionary()


def _keep_reservations(guard: "weakref.ref[BudgetGuard]", process: _Process) -> None:
    while not process.closed.wait(_FRESH_SECONDS):
        owner = guard()
        if owner is None:
            return
        owner._renew(process)  # noqa: SLF001 - part of the guard
        del owner


def _give_back(process: _Process, store: BudgetStore) -> None:
    if not process.origin.is_here:
        return  # the end of a fork, whose parent still uses them
    process.closed.set()
    with process.changed:
        reserved = [key for key, account in process.accounts.items() if account.is_reserved]
        if reserved:
            with suppress(EmbedStackError), store.exclusive() as transaction:
                for budget, month in reserved:
                    transaction.reserve(process.name, budget, month, 0, 0)
            store.close()


def _is_old(read_at: float) -> bool:
    return time.monotonic() - read_at >= _FRESH_SECONDS


def _wait(changed: threading.Condition, seconds: float) -> None:
    """Wait within the current call, at most so many seconds."""
    left = Call.current().remaining()
    changed.wait(seconds if left is None else min(seconds, left))
