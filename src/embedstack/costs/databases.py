"""Databases that processes share, as tables in a SQLite file or in a schema of Postgres, with one dialect for both.

Statements have ``?`` for their parameters, and types that both understand (SQLite by affinity).
"""

import contextlib
import functools
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Protocol

from embedstack.calls.process_local import Lock, PerProcess, disconnect, keep_forever, pause_for_fork
from embedstack.calls.sqlite_files import create_private_file, use_write_ahead_log
from embedstack.errors import ConfigurationError, StoreUnavailable

__all__ = ["Database", "Execute", "is_postgres", "open_database"]

# Seconds that a statement waits for the writes of another process.
_BUSY_SECONDS = 5.0
# "emb" in hexadecimal, to avoid the advisory locks of other programs in the same database.
_LOCK = 0x656D62


class Execute(Protocol):
    """Runs a statement."""

    def __call__(self, query: str, parameters: Sequence[Any] = (), *, many: bool = False) -> list[tuple[Any, ...]]:
        """Run a statement, or with ``many`` one for each of a list of parameters; returns its rows."""


class Database(Protocol):
    """A connection for each process. Safe for threads, which take turns."""

    def transaction(self, *, read_only: bool = False) -> AbstractContextManager[Execute]:
        """A transaction; unless it is read-only, no other thread or process has one at the same time.

        Raises:
            StoreUnavailable: The database cannot be read or written, or is locked for too long.
        """

    def close(self) -> None:
        """Close the connection of this process; a later transaction opens another one."""


def is_postgres(address: str) -> bool:
    """Whether an address is one of Postgres."""
    return address.startswith(("postgresql://", "postgres://"))


def open_database(address: str, name: str, tables: Sequence[str]) -> Database:
    """A database, which is created with its first transaction.

    Args:
        address: Path of the SQLite file, or ``postgresql://…``.
        name: What it holds, for messages and as a part of the schema's name in Postgres: ``ledger``.
        tables: ``CREATE TABLE IF NOT EXISTS`` statements.

    Raises:
        ConfigurationError: The packages for Postgres are missing.
    """
    return _Postgres(address, name, tables) if is_postgres(address) else _Sqlite(Path(address), name, tables)


class _Sqlite:
    """A file. Its connection is closed before a fork, for two reasons.

    SQLite's locks belong to a process, and the child would inherit a connection without them
    (https://sqlite.org/howtocorrupt.html, 2.6). A thread that is in SQLite holds a mutex that the child would wait for.
    """

    def __init__(self, path: Path, name: str, tables: Sequence[str]) -> None:
        self._path = path
        self._name = name
        self._lock = Lock()
        self._connection = PerProcess(functools.partial(_open_sqlite, path, tables))
        pause_for_fork(self)

    def before_fork(self) -> None:
        """Wait for the transaction in progress, and close the connection."""
        self._lock.acquire()
        self._close()

    def after_fork_in_parent(self) -> None:
        """Allow transactions again."""
        self._lock.release()

    @contextmanager
    def transaction(self, *, read_only: bool = False) -> Iterator[Execute]:
        with self._lock:
            try:
                connection = self._connection.get()
                connection.execute("BEGIN" if read_only else "BEGIN IMMEDIATE")
                try:
                    yield functools.partial(_execute_sqlite, connection)
                    connection.execute("COMMIT")
                except BaseException:
                    with contextlib.suppress(sqlite3.Error):
                        connection.execute("ROLLBACK")
                    raise
            except (sqlite3.Error, OSError) as error:
                self._close()
                raise StoreUnavailable(
                    f"The {self._name} in {self._path} cannot be read or written: {error}. Check the file, its folder "
                    "and the disk."
                ) from error

    def close(self) -> None:
        with self._lock:
            self._close()

    def _close(self) -> None:
        connection = self._connection.take()
        if connection is not None:
            connection.close()


def _open_sqlite(path: Path, tables: Sequence[str]) -> sqlite3.Connection:
    create_private_file(path)
    connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        # After a power failure the last transactions may be missing; the file stays consistent.
        use_write_ahead_log(connection, _BUSY_SECONDS)
        connection.execute("PRAGMA synchronous = NORMAL")
        existing = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if not existing:
            connection.execute("BEGIN IMMEDIATE")
            for table in tables:
                connection.execute(table)
            connection.execute("COMMIT")
    except BaseException:
        connection.close()
        raise
    return connection


def _execute_sqlite(
    connection: sqlite3.Connection, query: str, parameters: Sequence[Any] = (), *, many: bool = False
) -> list[tuple[Any, ...]]:
    cursor = connection.executemany(query, parameters) if many else connection.execute(query, parameters)
    return cursor.fetchall()


class _Postgres:
    def __init__(self, url: str, name: str, tables: Sequence[str]) -> None:
        try:
            import psycopg  # noqa: PLC0415 - an extra
        except ImportError:
            raise ConfigurationError(
                f"The {name} is in Postgres, which needs more packages: pip install 'embedstack[postgres]'"
            ) from None
        self._errors = (psycopg.Error, OSError)
        self._name = name
        self._schema = f"embedstack_{name}"
        self._lock = Lock()
        self._connection = PerProcess(functools.partial(_open_postgres, url, self._schema, tables), discard=_abandon)

    @contextmanager
    def transaction(self, *, read_only: bool = False) -> Iterator[Execute]:
        with self._lock:
            try:
                connection = self._connection.get()
                with connection.transaction():
                    _begin(connection, self._schema, exclusive=not read_only)
                    yield functools.partial(_execute_postgres, connection)
            except self._errors as error:
                self._close()
                raise StoreUnavailable(
                    f"The {self._name} in Postgres cannot be read or written ({type(error).__name__}). Check the "
                    "server, and that the role may create a schema in the database."
                ) from error

    def close(self) -> None:
        with self._lock:
            self._close()

    def _close(self) -> None:
        connection = self._connection.take()
        if connection is not None:
            connection.close()


def _open_postgres(url: str, schema: str, tables: Sequence[str]) -> Any:
    import psycopg  # noqa: PLC0415 - an extra

    # Statements are not prepared under a name, and locks are those of transactions: this works through PgBouncer.
    connection = psycopg.connect(
        url, autocommit=True, prepare_threshold=None, connect_timeout=int(_BUSY_SECONDS), tcp_user_timeout=10_000
    )
    try:
        with connection.transaction():
            _begin(connection, schema, exclusive=True)
            connection.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
            for table in tables:
                connection.execute(table)
    except BaseException:
        connection.close()
        raise
    return connection


def _begin(connection: Any, schema: str, *, exclusive: bool) -> None:
    # Both end with the transaction, as a pooler such as PgBouncer needs.
    connection.execute("SELECT set_config('search_path', %s, true)", (schema,))
    if exclusive:
        connection.execute("SELECT pg_advisory_xact_lock(%s::int, hashtext(%s))", (_LOCK, schema))


def _execute_postgres(
    connection: Any, query: str, parameters: Sequence[Any] = (), *, many: bool = False
) -> list[tuple[Any, ...]]:
    query = query.replace("?", "%s")
    if many:
        with connection.cursor() as cursor:
            cursor.executemany(query, parameters)
        return []
    cursor = connection.execute(query, parameters)
    return cursor.fetchall() if cursor.description else []


def _abandon(connection: Any) -> None:
    disconnect([connection.fileno()])
    keep_forever(connection)
