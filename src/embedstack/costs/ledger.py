"""The ledger: what calls cost, added up over quarters of an hour, exact across threads, processes and kills."""

import atexit
import logging
import sys
import threading
import time
import weakref
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from embedstack.calls.process_local import PerProcess
from embedstack.calls.rare_warnings import RareWarnings
from embedstack.costs.databases import is_postgres
from embedstack.costs.ledger_stores import DIMENSIONS, Batch, LedgerStore, Row
from embedstack.costs.records import GROUPS, PERIOD_SECONDS, CallRecord, Counts, Group, Total
from embedstack.costs.writer_files import WriterFile, end_dead_writers
from embedstack.errors import ConfigurationError, NotPicklable, StoreUnavailable

if TYPE_CHECKING:
    from embedstack.settings.settings import Settings

__all__ = ["Ledger", "flush_ledgers", "open_ledger"]

_logger = logging.getLogger(__name__)

#: Seconds after which calls are written. A killed process loses those of the last such time.
FLUSH_SECONDS = 1.0
# Pause after a failure to write.
_RETRY_SECONDS = 5.0
#: Groups of calls that are kept while the store cannot be written. More are counted as lost.
MAX_PENDING = 100_000
#: Latest ids of calls by which repeated records are recognized.
_IDS_KEPT = 65_536

# (period, values of DIMENSIONS)
_GroupKey = tuple[int, tuple[str, ...]]


class Ledger:
    """Adds up calls in memory, and writes the sums each second. Safe for threads and processes.

    Recording a call never fails and never waits for the store. While the store cannot be written, the sums stay in
    memory; if they become too many, further calls are counted as lost. A killed process loses the calls of its last
    second at most; the next process that opens the ledger on the same machine counts them as lost.
    """

    def __init__(self, address: str, *, now: Callable[[], float] = time.time, max_pending: int = MAX_PENDING) -> None:
        """Prepare; the store is opened with the first call.

        Args:
            address: Path of a SQLite file, or ``postgresql://…``.
            now: Seconds since the epoch.
            max_pending: Groups of calls that are kept while the store cannot be written.

        Raises:
            ConfigurationError: The packages for Postgres are missing.
        """
        self._address = address
        self._now = now
        self._max_pending = max_pending
        self._store = LedgerStore(address)
        self._process = PerProcess(self._start, discard=_Process.abandon)

    def __reduce__(self) -> "tuple[Callable[..., Ledger], tuple[Any, ...]]":
        if is_postgres(self._address) and urlsplit(self._address).password:
            raise NotPicklable(
                "The address of the ledger contains a password, which is not pickled. Build the embedder in the "
                "process that uses it, with load_embedder()."
            )
        return _reopened, (self._address, self._now, self._max_pending)

    def record(self, record: CallRecord) -> None:
        """Add a call. A record with the id of an earlier one is ignored."""
        self._process.get().record(record)

    def flush(self) -> None:
        """Write what is pending.

        Raises:
            StoreUnavailable: The store cannot be written; the calls stay pending.
        """
        self._process.get().flush()

    def close(self) -> None:
        """Write what is pending and end the thread; a later call starts another one."""
        process = self._process.take()
        if process is not None:
            process.end()
        self._store.close()

    def spend(self, start: float, end: float, *, key: str | None = None, context: str | None = None) -> int:
        """Cost of a range of time in picodollars: of all processes as far as written, and of this process.

        Args:
            start: Seconds since the epoch; rounded down to a quarter of an hour.
            end: Seconds since the epoch, exclusive; rounded up.
            key: Only calls that are charged to this key.
            context: Only calls that are charged to this context.

        Raises:
            StoreUnavailable: The store cannot be read.
        """
        values = {name: value for name, value in (("key", key), ("context", context)) if value is not None}
        start, end = _periods(start, end)
        positions = [(DIMENSIONS.index(name), value) for name, value in values.items()]
        with self._process.get().settled() as pending:
            stored = self._store.cost(start, end, values)
        return stored + sum(
            counts.cost
            for period, group, counts in pending
            if start <= period < end and all(group[position] == value for position, value in positions)
        )

    def totals(self, start: float, end: float, group_by: Sequence[Group] = ()) -> list[Total]:
        """The sums of a range of time, in the order of the groups.

        Args:
            start: Seconds since the epoch; rounded down to a quarter of an hour.
            end: Seconds since the epoch, exclusive; rounded up.
            group_by: Names of :data:`~embedstack.costs.records.GROUPS`. Days are those of UTC.

        Raises:
            ConfigurationError: A name is unknown.
            StoreUnavailable: The store cannot be read.
        """
        if unknown := [name for name in group_by if name not in GROUPS]:
            raise ConfigurationError(f"Calls cannot be grouped by {unknown[0]!r}. Use {', '.join(GROUPS)}.")
        start, end = _periods(start, end)
        with self._process.get().settled() as pending:
            rows = self._store.rows(start, end)
        groups: dict[tuple[str, ...], Total] = {}
        for period, values, counts in (*rows, *(row for row in pending if start <= row[0] < end)):
            names = tuple(_value(name, period, values) for name in group_by)
            if names not in groups:
                groups[names] = Total(group={name: value or None for name, value in zip(group_by, names, strict=True)})
            groups[names].add(counts)
        return [groups[names] for names in sorted(groups)]

    def lost(self) -> int:
        """Calls that were recorded and lost: by a killed process, or because the store could not be written for long.

        Raises:
            StoreUnavailable: The store cannot be read.
        """
        process = self._process.get()
        end_dead_writers(self._address, self._store)
        with process.settled():
            return self._store.lost() + process.unstored_losses

    @property
    def problem(self) -> str | None:
        """Why the store could not be written at the last attempt; None if it could."""
        return self._process.get().problem

    def _start(self) -> "_Process":
        return _Process(self._address, self._store, self._now, self._max_pending)


def open_ledger(settings: "Settings", *, now: Callable[[], float] = time.time) -> Ledger | None:
    """The ledger that COSTS_LEDGER names; None if it is not set. Each call returns the same one.

    Raises:
        ConfigurationError: It is in Postgres, whose packages are missing.
    """
    address = settings.costs_ledger
    if address is None:
        return None
    text = address.get_secret_value()
    with _opening:
        ledger = _ledgers.get((text, now))
        if ledger is None:
            ledger = _ledgers[text, now] = Ledger(text, now=now)
        return ledger


def flush_ledgers() -> None:
    """Write what is pending in all ledgers of this process; a failure is logged, and tried again by a later flush."""
    for process in list(_running):
        try:
            process.flush()
        except StoreUnavailable as error:
            process.warn(error)


_opening = threading.Lock()
# Embedders, rerankers and generators of a process share one thread and one connection.
_ledgers: "weakref.WeakValueDictionary[tuple[str, Callable[[], float]], Ledger]" = weakref.WeakValueDictionary()


class _Process:
    """The calls of one process: pending sums, and the thread that writes them."""

    def __init__(self, address: str, store: LedgerStore, now: Callable[[], float], max_pending: int) -> None:
        self._store = store
        self._now = now
        self._max_pending = max_pending
        self._lock = threading.Lock()  # of the members
        self._writing = threading.Lock()  # of the store's order of batches
        self._pending: dict[_GroupKey, Counts] = {}
        self._unconfirmed: Batch | None = None
        self._ids: OrderedDict[str, None] = OrderedDict()
        self._file = WriterFile(address)
        self._sequence = 0
        self._batched = 0
        self._losses = 0
        self._stored_losses = 0
        self._warnings = RareWarnings(_logger)
        self.problem: str | None = None
        self._wake = threading.Event()
        self._ended = False
        self._thread: threading.Thread | None = None
        _running.add(self)
        _flush_when_a_worker_ends()

    def record(self, record: CallRecord) -> None:
        attribution = record.attribution
        period = int(record.at // PERIOD_SECONDS) * PERIOD_SECONDS
        values = (
            record.backend, record.endpoint, record.model, record.kind,
            attribution.caller or "", attribution.key or "", attribution.context or "",
        )  # fmt: skip
        counts = record.counts()
        with self._lock:
            if record.id in self._ids:
                return
            self._ids[record.id] = None
            if len(self._ids) > _IDS_KEPT:
                self._ids.popitem(last=False)
            # Before the sums: a call that is counted here and nowhere else is lost.
            self._file.count()
            sums = self._pending.get((period, values))
            if sums is not None:
                sums.add(counts)
            elif len(self._pending) < self._max_pending:
                self._pending[period, values] = counts
            else:
                self._losses += 1
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="cost-ledger", daemon=True)
                # The interpreter starts no thread while it exits; _end_all writes the rest.
                with suppress(RuntimeError):
                    self._thread.start()
        if not self._wake.is_set():
            self._wake.set()

    def flush(self) -> None:
        with self._writing:
            try:
                while batch := self._next_batch():
                    self._store.add(batch)
                    with self._lock:
                        self._unconfirmed = None
                        self._stored_losses = batch.lost
                self.problem = None
            except StoreUnavailable as error:
                self.problem = str(error)
                raise

    def settled(self) -> "_Settled":
        """No batch is written meanwhile, so that a sum is in the store or pending, and not in both."""
        return _Settled(self._writing, self._unwritten)

    @property
    def unstored_losses(self) -> int:
        return self._losses - self._stored_losses

    def end(self) -> None:
        """Write what is pending, at the end of the process or of the ledger's use."""
        self._ended = True
        self._wake.set()
        _running.discard(self)
        try:
            self.flush()
            if self._losses == self._stored_losses:
                self._store.end_writer(self._file.writer, self._batched + self._losses)
                self._file.remove()
        except StoreUnavailable as error:
            # The file stays, so that the calls are counted as lost.
            _logger.warning("Calls of this process are missing in the cost ledger: %s", error)
        with self._lock:
            self._file.close()

    def abandon(self) -> None:
        """Leave all to the parent, in the child of a fork."""
        _running.discard(self)
        self._file.close()  # the parent's lock stays

    def _run(self) -> None:
        while not self._ended:
            self._wake.wait()
            self._wake.clear()
            time.sleep(FLUSH_SECONDS)
            try:
                self.flush()
            except StoreUnavailable as error:
                self.warn(error)
                time.sleep(_RETRY_SECONDS)
                self._wake.set()

    def warn(self, error: StoreUnavailable) -> None:
        self._warnings.log("store", "Calls are kept in memory until the cost ledger can be written: %s", error)

    def _next_batch(self) -> Batch | None:
        with self._lock:
            if self._unconfirmed is None and (self._pending or self._losses != self._stored_losses):
                rows = [(period, values, counts) for (period, values), counts in self._pending.items()]
                self._pending = {}
                self._sequence += 1
                self._batched += sum(counts.calls for _, _, counts in rows)
                # It may have been stored although an attempt failed, so that it is sent again unchanged.
                self._unconfirmed = Batch(self._file.writer, self._sequence, rows, self._batched, self._losses)
            return self._unconfirmed

    def _unwritten(self) -> list[Row]:
        with self._lock:
            pending = [(period, values, counts) for (period, values), counts in self._pending.items()]
            return [*(self._unconfirmed.rows if self._unconfirmed else ()), *pending]


class _Settled:
    """Holds a lock, and returns the rows that are not in the store."""

    def __init__(self, writing: threading.Lock, unwritten: Callable[[], list[Row]]) -> None:
        self._writing = writing
        self._unwritten = unwritten

    def __enter__(self) -> list[Row]:
        self._writing.acquire()
        return self._unwritten()

    def __exit__(self, *_: object) -> None:
        self._writing.release()


# Ended at the exit of the interpreter, since daemon threads are not.
_running: "weakref.WeakSet[_Process]" = weakref.WeakSet()


def _end_all() -> None:
    for process in list(_running):
        process.end()


def _flush_when_a_worker_ends() -> None:
    # A process of multiprocessing ends without atexit's functions.
    util = sys.modules.get("multiprocessing.util")
    if util is not None:
        util.Finalize(None, _end_all, exitpriority=100)


atexit.register(_end_all)


def _reopened(address: str, now: Callable[[], float], max_pending: int) -> Ledger:
    return Ledger(address, now=now, max_pending=max_pending)


def _periods(start: float, end: float) -> tuple[int, int]:
    return int(start // PERIOD_SECONDS) * PERIOD_SECONDS, -int(-end // PERIOD_SECONDS) * PERIOD_SECONDS


def _value(name: Group, period: int, values: tuple[str, ...]) -> str:
    if name == "day":
        return datetime.fromtimestamp(period, UTC).date().isoformat()
    if name == "hour":
        return datetime.fromtimestamp(period // 3600 * 3600, UTC).isoformat()
    return values[DIMENSIONS.index(name)]
