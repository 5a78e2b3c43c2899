"""The ledger: sums, groups, repeated records, and a store that fails."""

import copy
import pickle
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from pydantic import SecretStr

from embedstack.costs.attribution import NOBODY, Attribution, attribute, current_attribution
from embedstack.costs.ledger import Ledger, open_ledger
from embedstack.costs.records import CallRecord
from embedstack.errors import ConfigurationError, NotPicklable, StoreUnavailable
from embedstack.settings.settings import Settings

# 2026-12-01 00:00 UTC
START = 1_796_083_200.0
DAY = 86_400


def call(at=START, **changes) -> CallRecord:
    values = {"backend": "bedrock", "endpoint": "", "model": "titan", "kind": "document", "cost": 20_000, **changes}
    return CallRecord(at=at, **values)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "folder" / "ledger.db"


@pytest.fixture
def ledger(path):
    with_close = Ledger(str(path))
    yield with_close
    with_close.close()


def total(ledger, start=START, end=START + DAY):
    (only,) = ledger.totals(start, end)
    return only


def test_record_adds_every_count(ledger):
    for _ in range(2):
        ledger.record(
            call(texts=2, tokens=10, output_tokens=3, milliseconds=1.5, request_bytes=40, response_bytes=3_000)
        )
    ledger.record(call(cost=None))
    ledger.record(call(cost=0, cache_hits=5, tokens_saved=50))
    ledger.record(call(cost=0, is_shared=True, is_error=True))
    for _ in range(2):
        sums = total(ledger)
        assert (sums.calls, sums.texts, sums.tokens, sums.output_tokens) == (5, 4, 20, 6)
        assert (sums.milliseconds, sums.request_bytes, sums.response_bytes, sums.cost) == (3, 80, 6_000, 40_000)
        assert (sums.unpriced_calls, sums.shared_calls, sums.errors) == (1, 1, 1)
        assert (sums.cache_hits, sums.tokens_saved) == (5, 50)
        ledger.flush()


def test_totals_are_grouped_by_names_and_time(ledger):
    ledger.record(call(attribution=Attribution("app", "k1", "code")))
    ledger.flush()
    ledger.record(call(at=START + 3_599, attribution=Attribution("app", "k1", "code")))
    ledger.record(call(at=START + 3_600, attribution=Attribution("app", "k2")))
    ledger.record(call(at=START + DAY, model="other"))
    groups = ledger.totals(START, START + 2 * DAY, ("hour", "key"))
    assert [(each.group, each.calls) for each in groups] == [
        ({"hour": "2026-12-01T00:00:00+00:00", "key": "k1"}, 2),
        ({"hour": "2026-12-01T01:00:00+00:00", "key": "k2"}, 1),
        ({"hour": "2026-12-02T00:00:00+00:00", "key": None}, 1),
    ]
    days = ledger.totals(START, START + 2 * DAY, ["day", "model"])
    assert [tuple(each.group.values()) for each in days] == [("2026-12-01", "titan"), ("2026-12-02", "other")]
    with pytest.raises(ConfigurationError, match=r"cannot be grouped by 'minute'\. Use day, hour"):
        ledger.totals(START, START + DAY, ["minute"])


def test_spend_is_that_of_a_range_a_key_and_a_context(ledger):
    ledger.record(call(cost=1, attribution=Attribution(key="k1", context="code")))
    ledger.record(call(cost=10, attribution=Attribution(key="k1")))
    ledger.flush()
    ledger.record(call(cost=100, attribution=Attribution(context="code")))
    ledger.record(call(cost=1_000, at=START - 1))
    ledger.record(call(cost=10_000, at=START + DAY))
    for _ in range(2):
        assert ledger.spend(START, START + DAY) == 111
        assert ledger.spend(START, START + DAY, key="k1") == 11
        assert ledger.spend(START, START + DAY, context="code") == 101
        assert ledger.spend(START, START + DAY, key="k1", context="code") == 1
        assert ledger.spend(START, START + DAY, key="unknown") == 0
        ledger.flush()


def test_fresh_ledger_has_spent_nothing(ledger):
    assert ledger.spend(0, START) == 0
    assert ledger.totals(0, START) == []
    assert ledger.lost() == 0
    assert ledger.problem is None


def test_record_of_the_same_call_is_counted_once(ledger):
    once = call()
    for _ in range(3):
        ledger.record(once)
        ledger.flush()
    assert total(ledger).calls == 1


def test_two_ledgers_share_a_file(path, ledger):
    other = Ledger(str(path))
    for each in (ledger, other):
        each.record(call(texts=1))
    other.close()
    assert total(ledger).texts == 2
    assert ledger.lost() == 0


def test_threads_lose_nothing(path):
    ledger = Ledger(str(path))
    start = threading.Barrier(8)

    def work(number):
        start.wait()
        for turn in range(500):
            ledger.record(call(cost=1, texts=1, attribution=Attribution(key=f"k{number}")))
            if turn % 100 == 0:
                ledger.flush()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert total(ledger).texts == ledger.spend(START, START + DAY) == 4_000
    assert [each.calls for each in ledger.totals(START, START + DAY, ["key"])] == [500] * 8
    ledger.close()
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT sum(calls) FROM totals").fetchone() == (4_000,)
    connection.close()
    assert list(path.with_name("ledger.db.writers").iterdir()) == []


def test_clock_that_goes_back_moves_calls_and_loses_none(ledger):
    for at in (START + 900, START, START - 900):
        ledger.record(call(at=at))
    assert total(ledger, START - DAY).calls == 3


def test_store_that_cannot_be_written_keeps_calls(path):
    path.parent.mkdir()
    path.mkdir()
    ledger = Ledger(str(path))
    ledger.record(call())
    with pytest.raises(StoreUnavailable, match=r"ledger in .* cannot be read or written: .*Check the file"):
        ledger.flush()
    assert "cannot be read or written" in (ledger.problem or "")
    ledger.record(call())
    path.rmdir()
    ledger.flush()
    assert total(ledger).calls == 2
    assert ledger.problem is None
    ledger.close()


def test_calls_beyond_the_memory_limit_are_counted_as_lost(path):
    path.parent.mkdir()
    path.mkdir()
    ledger = Ledger(str(path), max_pending=2)
    for number in range(4):
        ledger.record(call(model=f"m{number}"))
        ledger.record(call(model=f"m{number}"))
    path.rmdir()
    assert ledger.lost() == 4
    ledger.flush()
    assert total(ledger).calls == 4
    assert ledger.lost() == 4
    ledger.close()
    assert Ledger(str(path)).lost() == 4


def test_damaged_file_is_an_error_that_names_it(path):
    path.parent.mkdir()
    path.write_bytes(b"no database" * 100)
    ledger = Ledger(str(path))
    with pytest.raises(StoreUnavailable, match=r"ledger\.db cannot be read or written: file is not a database"):
        ledger.spend(0, START)
    ledger.close()


def test_copies_write_to_the_same_store(path, ledger):
    ledger.record(call())
    for twin in (pickle.loads(pickle.dumps(ledger)), copy.deepcopy(ledger)):  # noqa: S301 - our own
        twin.record(call())
        twin.close()
    assert total(ledger).calls == 3


def test_open_ledger_returns_one_object_for_each_address(path):
    assert open_ledger(Settings(costs_ledger=None)) is None
    settings = Settings(costs_ledger=SecretStr(str(path)))
    assert open_ledger(settings) is open_ledger(settings)


def test_attribution_is_inherited_by_inner_blocks():
    assert current_attribution() is NOBODY
    with attribute(caller="app", key="k1"):
        with attribute(context="code", key="k2"):
            assert current_attribution() == Attribution("app", "k2", "code")
        assert current_attribution() == Attribution("app", "k1")
    assert current_attribution() is NOBODY


def test_password_of_the_ledger_is_not_pickled():
    pytest.importorskip("psycopg")
    ledger = Ledger("postgresql://user:secret@127.0.0.1:1/costs")
    with pytest.raises(NotPicklable, match="contains a password"):
        pickle.dumps(ledger)
