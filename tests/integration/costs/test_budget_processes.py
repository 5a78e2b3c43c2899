"""Budgets across processes, and a process that is killed."""

import logging
import subprocess
import sys
import textwrap
import time
from decimal import Decimal

import pytest

from embedstack.costs.attribution import NOBODY
from embedstack.costs.budget import RESERVATION_SECONDS, BudgetGuard
from embedstack.costs.budget_limits import Budget, BudgetLimits
from embedstack.costs.budget_status import read_budgets
from embedstack.costs.budget_store import BudgetStore
from embedstack.costs.ledger import Ledger
from embedstack.errors import BudgetExceeded

LIMITS = {Budget("month"): Decimal("0.02")}
CALL = 20_000_000  # 1,000 calls are $0.02

WORKER = """
import sys, time
from decimal import Decimal
from embedstack.costs.attribution import NOBODY
from embedstack.costs.budget import BudgetGuard
from embedstack.costs.budget_limits import Budget, BudgetLimits
from embedstack.costs.budget_store import BudgetStore
from embedstack.costs.ledger import Ledger
from embedstack.costs.records import CallRecord
from embedstack.errors import BudgetExceeded

address, estimate, calls = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
ledger = Ledger(address)
guard = BudgetGuard(BudgetLimits({Budget("month"): Decimal("0.02")}), ledger, BudgetStore(address))
admitted = 0
for number in range(calls):
    try:
        admission = guard.admit(estimate, NOBODY)
    except BudgetExceeded:
        continue
    if sys.argv[4:] == ["stop"]:
        print("in flight", flush=True)
        time.sleep(600)
    ledger.record(CallRecord(at=time.time(), backend="fake", endpoint="", model="m", kind="query", cost=20_000_000))
    admission.settle(20_000_000)
    admitted += 1
guard.close()
ledger.close()
print(admitted)
"""


def start(*arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", textwrap.dedent(WORKER), *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


@pytest.fixture(params=["sqlite", "postgres"])
def address(request, tmp_path):
    if request.param == "sqlite":
        return str(tmp_path / "ledger.db")
    return request.getfixturevalue("ledger_database")


def test_processes_share_a_budget_to_the_call(address):
    workers = [start(address, CALL // 20, 400) for _ in range(3)]
    admitted = [int(worker.communicate(timeout=120)[0]) for worker in workers]
    assert 1_000 <= sum(admitted) <= 1_000 + len(workers)


def test_reservation_of_a_killed_process_expires_and_is_reported(address, caplog):
    # Before the first cost is known, four times the estimate is reserved.
    worker = start(address, 500 * CALL, 1, "stop")
    assert worker.stdout is not None
    assert worker.stdout.readline() == "in flight\n"
    worker.kill()
    worker.communicate()
    store = BudgetStore(address)
    shift = 0.0

    def now() -> float:
        return time.time() + shift

    ledger = Ledger(address)
    guard = BudgetGuard(BudgetLimits(LIMITS), ledger, store, now=now)
    try:
        with pytest.raises(BudgetExceeded, match="other processes reserve"):
            guard.admit(CALL, NOBODY)
        shift = RESERVATION_SECONDS + 1
        with caplog.at_level(logging.WARNING):
            guard.admit(CALL, NOBODY).release()
        assert "ended without giving back $0.04 of the monthly budget" in caplog.text
        report = read_budgets(BudgetLimits(LIMITS), ledger, store, now())
        assert [reservation.amount for reservation in report.reservations if reservation.is_expired] == [2_000 * CALL]
    finally:
        guard.close()
        ledger.close()
