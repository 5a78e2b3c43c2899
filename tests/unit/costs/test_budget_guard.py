"""What the guard admits, with a ledger in a file."""

import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from embedstack.calls.call_context import Call
from embedstack.calls.clock import ManualClock
from embedstack.costs.attribution import NOBODY, Attribution
from embedstack.costs.budget import BudgetGuard, open_guard
from embedstack.costs.budget_limits import Budget, BudgetLimits
from embedstack.costs.budget_store import BudgetStore
from embedstack.costs.ledger import Ledger
from embedstack.costs.records import CallRecord
from embedstack.errors import BudgetExceeded, ConfigurationError, DeadlineExceeded, UnknownPrice
from embedstack.settings.settings import load_settings

DOLLAR = 10**12
CALL = 20_000_000  # a call of $0.00002
DECEMBER = datetime(2026, 12, 15, tzinfo=UTC).timestamp()


class Stack:
    """A guard, its ledger and its store, at a time that a test sets."""

    def __init__(self, path, limits, **options):
        self.time = DECEMBER
        self.clock = ManualClock()
        self.ledger = Ledger(str(path), now=self.now)
        self.store = BudgetStore(str(path))
        self.guard = BudgetGuard(
            BudgetLimits(limits, **options), self.ledger, self.store, now=self.now, clock=self.clock
        )

    def now(self):
        return self.time

    def call(self, cost=CALL, attribution=NOBODY, estimate=None, kind="document"):
        admission = self.guard.admit(cost if estimate is None else estimate, attribution)
        self.ledger.record(
            CallRecord(at=self.time, backend="fake", endpoint="", model="m", kind=kind, cost=cost,
                       attribution=attribution)
        )  # fmt: skip
        admission.settle(cost)

    def calls(self, number, **options):
        """The number of calls that were admitted."""
        admitted = 0
        for _ in range(number):
            try:
                self.call(**options)
            except BudgetExceeded:
                continue
            admitted += 1
        return admitted

    def close(self):
        self.guard.close()
        self.ledger.close()


@pytest.fixture
def stack(tmp_path):
    opened = []

    def make(limits, **options):
        opened.append(Stack(tmp_path / "ledger.db", limits, **options))
        return opened[-1]

    yield make
    for one in opened:
        one.close()


def month(limit: str) -> dict[Budget, Decimal]:
    return {Budget("month"): Decimal(limit)}


def test_guard_refuses_from_the_call_after_the_limit(stack):
    one = stack(month("0.10"))
    assert one.calls(5_010) == 5_000
    with pytest.raises(BudgetExceeded) as caught:
        one.call()
    error = caught.value
    assert (error.budget, error.retryable) == ("the monthly budget", False)
    assert error.limit == error.spend == Decimal("0.1")
    assert error.resets_at == datetime(2027, 1, 1, tzinfo=UTC)
    assert "The monthly budget of $0.10 is spent: $0.10 since 2026-12-01. It resets at 2027-01-01 00:00 UTC" in str(
        error
    )
    assert one.ledger.spend(DECEMBER, DECEMBER + 1) == DOLLAR // 10


@pytest.mark.parametrize("kind", ["query", "rerank", "generate"])
def test_guard_counts_every_kind_of_call(stack, kind):
    assert stack(month("1")).calls(1_010, cost=DOLLAR // 1000, kind=kind) == 1_000


@pytest.mark.parametrize("estimate", [1, CALL // 10, CALL * 10])
def test_wrong_estimates_cost_at_most_one_call_more(stack, estimate):
    one = stack(month("0.01"))
    admitted = one.calls(600, estimate=estimate)
    assert 500 <= admitted <= 501


def test_concurrent_first_calls_of_a_tiny_budget_pass_once(stack):
    one = stack({Budget("key", "new"): Decimal("0.000000001")})
    begin, end = threading.Barrier(8), threading.Event()
    admissions = []

    def call():
        begin.wait()
        try:
            admission = one.guard.admit(CALL, Attribution(key="new"))
        except BudgetExceeded:
            return 0
        admissions.append(admission)
        end.wait()
        one.ledger.record(
            CallRecord(at=DECEMBER, backend="fake", endpoint="", model="m", kind="query", cost=CALL,
                       attribution=Attribution(key="new"))
        )  # fmt: skip
        admission.settle(CALL)
        return 1

    with ThreadPoolExecutor(8) as pool:
        results = [pool.submit(call) for _ in range(8)]
        while not admissions:
            pass
        end.set()
        assert sum(result.result() for result in results) == 1


def test_threads_together_stay_within_the_limit(stack):
    one = stack(month("0.02"))
    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(one.calls, [200] * 8)) == 1_000


def test_no_budget_never_refuses(stack):
    one = stack({Budget("key", "other"): Decimal(0)})
    one.call(cost=1_000 * DOLLAR)
    one.call(cost=1_000 * DOLLAR, attribution=Attribution(key="alice"))


def test_limit_of_zero_refuses_what_has_a_price(stack):
    one = stack(month("0"))
    assert one.calls(1, cost=1) == 0
    one.guard.admit(0, NOBODY).settle(0)


def test_error_names_the_budget_that_is_spent(stack):
    one = stack({**month("10"), Budget("key", "*"): Decimal(1), Budget("context", "code"): Decimal(5)})
    one.call(cost=DOLLAR, attribution=Attribution(key="alice", context="code"))
    with pytest.raises(BudgetExceeded, match=r"The budget of key 'alice' of \$1.00 is spent.*COSTS_KEY_BUDGETS"):
        one.call(cost=DOLLAR, attribution=Attribution(key="alice"))
    one.call(cost=DOLLAR, attribution=Attribution(key="bob", context="docs"))
    one.call(cost=4 * DOLLAR, attribution=Attribution(context="code"))
    with pytest.raises(BudgetExceeded, match="The budget of context 'code'"):
        one.call(attribution=Attribution(context="code"))


def test_raised_limit_and_new_month_admit_again(stack):
    one = stack(month("0.01"))
    assert one.calls(501) == 500
    with one.store.exclusive() as transaction:
        transaction.set_limit(Budget("month"), Decimal("0.02"))
    admitted_again = threading.Event()

    def retry():
        while not admitted_again.is_set():
            if one.calls(1):
                admitted_again.set()

    thread = threading.Thread(target=retry)
    thread.start()
    try:
        assert admitted_again.wait(5)
    finally:
        admitted_again.set()
        thread.join()
    one.time = datetime(2027, 1, 1, tzinfo=UTC).timestamp()
    assert one.calls(1_001) == 1_000


def test_released_call_costs_nothing(stack):
    one = stack(month("0.00002"))
    for _ in range(3):
        one.guard.admit(CALL, NOBODY).release()
    assert one.calls(2) == 1


def test_call_of_unknown_price_is_neither_free_nor_silent(stack, caplog):
    one = stack(month("1"))
    with pytest.raises(UnknownPrice, match=r"price of Bedrock model x in eu-west-1 is unknown.*COSTS_PRICES_FILE"):
        one.guard.admit(None, NOBODY, product="Bedrock model x in eu-west-1")
    warned = stack(month("1"), policy="warn")
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            warned.guard.admit(None, NOBODY, product="Bedrock model x").settle(None)
    assert caplog.text.count("The price of Bedrock model x is unknown") == 1
    stack({}).guard.admit(None, NOBODY, product="no budget applies")


def test_policy_warn_logs_once_and_sends(stack, caplog):
    one = stack(month("0.00002"), policy="warn")
    with caplog.at_level(logging.WARNING):
        assert one.calls(10) == 10
    assert caplog.text.count("COSTS_BUDGET_POLICY is warn, so requests continue") == 1


def test_policy_limit_slows_down_a_spent_budget(stack):
    one = stack(month("0.00002"), policy="limit", requests_per_minute=30)
    assert one.calls(4) == 4
    assert sum(one.clock.slept) >= 2 + 4 - 0.01, "the second call is free to go, the others wait 2 s and 4 s"
    call = Call(one.clock, one.clock.now() + 1)
    with pytest.raises(DeadlineExceeded):
        call.context().run(one.call)


def test_failing_store_does_not_stop_calls(stack, tmp_path, caplog):
    (tmp_path / "ledger.budgets.db").write_bytes(b"this is not a database" * 100)
    one = stack(month("0.01"))
    with caplog.at_level(logging.WARNING):
        assert one.calls(505) == 500, "this process still counts what it spends itself"
    assert caplog.text.count("Budgets are checked by this process's own spend only") == 1


def test_budget_needs_a_ledger():
    with pytest.raises(ConfigurationError, match="Set COSTS_LEDGER"):
        open_guard(load_settings(aws_cost_budget_limit="5"), None)
    assert open_guard(load_settings(), None) is None
