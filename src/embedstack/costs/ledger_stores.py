"""Where a ledger keeps its sums: a SQLite file, or a Postgres database. Both are shared by processes."""

from collections.abc import Sequence
from dataclasses import dataclass

from embedstack.costs.databases import Database, Execute, open_database
from embedstack.costs.records import COUNT_NAMES, Counts

__all__ = ["DIMENSIONS", "Batch", "LedgerStore", "Row"]

#: What calls are added up by within a period. A missing value is an empty string in the store.
DIMENSIONS = ("backend", "endpoint", "model", "kind", "caller", "key", "context")

_KEY = ", ".join(("period", *DIMENSIONS))
_SUMS = ", ".join(COUNT_NAMES)
_COLUMNS = [
    "period BIGINT NOT NULL",
    *(f"{name} TEXT NOT NULL" for name in DIMENSIONS),
    *(f"{name} BIGINT NOT NULL" for name in COUNT_NAMES),
]
_TABLES = (
    f"CREATE TABLE IF NOT EXISTS totals ({', '.join(_COLUMNS)}, PRIMARY KEY ({_KEY}))",
    "CREATE TABLE IF NOT EXISTS writers (writer TEXT PRIMARY KEY, sequence BIGINT NOT NULL, calls BIGINT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS losses (writer TEXT PRIMARY KEY, calls BIGINT NOT NULL)",
)
_MARKS = ", ".join("?" * len(_COLUMNS))
_SET = ", ".join(f"{name} = totals.{name} + excluded.{name}" for name in COUNT_NAMES)
_ADD = f"INSERT INTO totals ({_KEY}, {_SUMS}) VALUES ({_MARKS}) ON CONFLICT ({_KEY}) DO UPDATE SET {_SET}"  # noqa: S608 - constants

#: Start of a period in seconds since the epoch, the values of DIMENSIONS, and the sums.
Row = tuple[int, tuple[str, ...], Counts]


@dataclass(frozen=True, slots=True)
class Batch:
    """What a process adds in one transaction.

    Attributes:
        writer: The process.
        sequence: Number of the batch: one that was stored before is ignored, so that it can be sent again.
        rows: The sums to add.
        calls: Calls of the process that are in its batches so far.
        lost: Calls of the process that could not be kept so far.
    """

    writer: str
    sequence: int
    rows: Sequence[Row]
    calls: int
    lost: int


class LedgerStore:
    """The tables of a ledger, opened with the first use."""

    def __init__(self, address: str) -> None:
        """Prepare.

        Args:
            address: Path of the SQLite file, or ``postgresql://…``.

        Raises:
            ConfigurationError: The packages for Postgres are missing.
        """
        self._database: Database = open_database(address, "ledger", _TABLES)

    def add(self, batch: Batch) -> None:
        """Add a batch, completely or not at all.

        Raises:
            StoreUnavailable: The store cannot be written.
        """
        with self._database.transaction() as execute:
            stored = execute("SELECT sequence FROM writers WHERE writer = ?", (batch.writer,))
            if stored and stored[0][0] >= batch.sequence:
                return
            # Sorted, so that two transactions lock rows in the same order.
            rows = sorted((period, *values, *counts.values()) for period, values, counts in batch.rows)
            if rows:
                execute(_ADD, rows, many=True)
            execute(
                "INSERT INTO writers (writer, sequence, calls) VALUES (?, ?, ?) "
                "ON CONFLICT (writer) DO UPDATE SET sequence = excluded.sequence, calls = excluded.calls",
                (batch.writer, batch.sequence, batch.calls),
            )
            if batch.lost:
                self._set_lost(execute, batch.writer, batch.lost)

    def rows(self, start: float, end: float) -> list[Row]:
        """The sums of the periods that begin in a range of seconds since the epoch.

        Raises:
            StoreUnavailable: The store cannot be read.
        """
        with self._database.transaction(read_only=True) as execute:
            found = execute(f"SELECT {_KEY}, {_SUMS} FROM totals WHERE period >= ? AND period < ?", (start, end))  # noqa: S608 - constants
        size = 1 + len(DIMENSIONS)
        return [(int(row[0]), tuple(row[1:size]), Counts(*map(int, row[size:]))) for row in found]

    def cost(self, start: float, end: float, values: dict[str, str]) -> int:
        """Cost in picodollars of the periods that begin in a range, of the calls with these values of dimensions.

        Raises:
            StoreUnavailable: The store cannot be read.
        """
        conditions = "".join(f" AND {name} = ?" for name in values)
        with self._database.transaction(read_only=True) as execute:
            # A group by period keeps each sum of SQLite within 64 bits.
            found = execute(
                f"SELECT SUM(cost) FROM totals WHERE period >= ? AND period < ?{conditions} GROUP BY period",  # noqa: S608 - names of dimensions
                (start, end, *values.values()),
            )
        return sum(int(row[0]) for row in found)

    def lost(self) -> int:
        """Calls that were lost.

        Raises:
            StoreUnavailable: The store cannot be read.
        """
        with self._database.transaction(read_only=True) as execute:
            return int(execute("SELECT COALESCE(SUM(calls), 0) FROM losses")[0][0])

    def end_writer(self, writer: str, calls: int) -> None:
        """Note that a process has ended after a number of calls: those in none of its batches are lost.

        Raises:
            StoreUnavailable: The store cannot be written.
        """
        with self._database.transaction() as execute:
            stored = execute("SELECT calls FROM writers WHERE writer = ?", (writer,))
            kept = stored[0][0] if stored else 0
            known = execute("SELECT calls FROM losses WHERE writer = ?", (writer,))
            lost = max(calls - kept, known[0][0] if known else 0)
            if lost > 0:
                self._set_lost(execute, writer, lost)
            execute("DELETE FROM writers WHERE writer = ?", (writer,))

    def close(self) -> None:
        """Close the connection of this process; a later call opens another one."""
        self._database.close()

    @staticmethod
    def _set_lost(execute: Execute, writer: str, calls: int) -> None:
        execute(
            "INSERT INTO losses (writer, calls) VALUES (?, ?) "
            "ON CONFLICT (writer) DO UPDATE SET calls = excluded.calls",
            (writer, calls),
        )
