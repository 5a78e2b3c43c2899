"""The ledger across processes, kills and databases."""

import multiprocessing
import os
import resource
import signal
import struct
import subprocess
import sys
import textwrap
import time
from contextlib import contextmanager

import psycopg
import pytest

from embedstack.costs.ledger import Ledger
from embedstack.costs.records import CallRecord
from embedstack.errors import StoreUnavailable

START = 1_796_083_200.0
END = START + 86_400
CALLS = 5_000

# Records calls, and tells how many after each, in a way that survives a kill: the count is mapped into memory.
WRITER = """
import mmap, struct, sys
from embedstack.costs.ledger import Ledger
from embedstack.costs.records import CallRecord

address, counter, calls = sys.argv[1], sys.argv[2], int(sys.argv[3])
with open(counter, "r+b") as file:
    shown = mmap.mmap(file.fileno(), 8)
ledger = Ledger(address)
call = {"backend": "fake", "endpoint": "", "model": "m", "kind": "document"}
for number in range(1, calls + 1):
    ledger.record(CallRecord(at=1_796_083_200.0, **call, texts=1, cost=number % 7))
    struct.pack_into("<Q", shown, 0, number)
    if number == 1_000:
        print("writing", flush=True)
if calls > 1_000_000:
    raise SystemExit("it should have been killed")
"""


def start_writer(address, counter, calls):
    counter.write_bytes(bytes(8))
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(WRITER), address, str(counter), str(calls)], stdout=subprocess.PIPE
    )


def shown(counter):
    return struct.unpack("<Q", counter.read_bytes())[0]


@pytest.fixture(params=["sqlite", "postgres"])
def address(request, tmp_path):
    if request.param == "sqlite":
        return str(tmp_path / "ledger.db")
    return request.getfixturevalue("ledger_database")


def test_writers_that_are_killed_lose_what_is_counted_as_lost(address, tmp_path):
    finishing = [start_writer(address, tmp_path / f"finishing{number}", CALLS) for number in range(2)]
    killed = [start_writer(address, tmp_path / f"killed{number}", 10**9) for number in range(2)]
    for process in killed:
        process.stdout.readline()
    time.sleep(1.5)  # a flush
    for process in killed:
        process.send_signal(signal.SIGKILL)
    for process in (*finishing, *killed):
        process.wait()
        process.stdout.close()
    assert [process.returncode for process in finishing] == [0, 0]
    recorded = 2 * CALLS + sum(shown(tmp_path / f"killed{number}") for number in range(2))
    ledger = Ledger(address)
    lost = ledger.lost()
    (total,) = ledger.totals(START, END)
    # A process may be killed after it has recorded a call and before it has shown that.
    assert recorded <= total.calls + lost <= recorded + len(killed)
    assert total.texts == total.calls > 2 * CALLS
    assert lost > 0
    assert ledger.lost() == lost
    ledger.close()


def _record_in_child(ledger, calls):
    for _ in range(calls):
        ledger.record(CallRecord(at=START, backend="fake", endpoint="", model="m", kind="query", cost=1))


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_child_processes_write_their_calls_when_they_end(tmp_path, method):
    ledger = Ledger(str(tmp_path / "ledger.db"))
    _record_in_child(ledger, 3)
    context = multiprocessing.get_context(method)
    children = [context.Process(target=_record_in_child, args=(ledger, 5)) for _ in range(2)]
    for child in children:
        child.start()
    _record_in_child(ledger, 3)
    for child in children:
        child.join()
        assert child.exitcode == 0
    (total,) = ledger.totals(START, END)
    assert (total.calls, ledger.lost()) == (16, 0)
    ledger.close()


def test_child_of_a_busy_ledger_does_not_write_the_calls_of_its_parent(tmp_path):
    ledger = Ledger(str(tmp_path / "ledger.db"))
    _record_in_child(ledger, 4)
    pid = os.fork()
    if pid == 0:
        try:
            _record_in_child(ledger, 1)
            ledger.close()
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    assert ledger.totals(START, END)[0].calls == 5
    assert ledger.lost() == 0
    ledger.close()


@contextmanager
def largest_file(size):
    """Writes beyond a size fail, as on a full disk."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_full_disk_keeps_calls_until_there_is_space(tmp_path):
    ledger = Ledger(str(tmp_path / "ledger.db"))
    _record_in_child(ledger, 1)
    ledger.flush()
    with largest_file(100_000):
        for number in range(2_000):
            ledger.record(
                CallRecord(at=START, backend="fake", endpoint=f"endpoint-{number}", model="m", kind="query", cost=1)
            )
        with pytest.raises(StoreUnavailable, match="Check the file, its folder and the disk"):
            ledger.flush()
        assert ledger.problem is not None
    ledger.flush()
    assert ledger.totals(START, END)[0].calls == 2_001
    assert ledger.lost() == 0
    ledger.close()


def test_postgres_that_comes_back_gets_each_call_once(ledger_database):
    ledger = Ledger(ledger_database)
    _record_in_child(ledger, 2)
    ledger.flush()
    with psycopg.connect(ledger_database, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    _record_in_child(ledger, 2)
    with pytest.raises(StoreUnavailable, match="ledger in Postgres cannot be read or written"):
        ledger.flush()
    ledger.flush()
    assert ledger.totals(START, END)[0].calls == 4
    ledger.close()
