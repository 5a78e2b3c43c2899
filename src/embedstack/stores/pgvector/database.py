"""Pooled connections to Postgres, and transactions that are retried after transient errors."""

import atexit
import re
import weakref
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import psycopg
import psycopg_pool
import tenacity
from pgvector.psycopg import register_vector
from psycopg import errors as pg

from embedstack.calls.call_context import Call
from embedstack.calls.process_local import Origin, PerProcess, disconnect, keep_forever
from embedstack.errors import (
    CollectionReplaced,
    ConfigurationError,
    DeadlineExceeded,
    NotPicklable,
    StoreError,
    StoreUnavailable,
)
from embedstack.stores.pgvector.migrate import migrate

__all__ = ["Connection", "Database"]

Connection = psycopg.Connection[Any]
_Result = TypeVar("_Result")

# Transient errors: lost connections and restarts (class 08, 57P01 to 57P03), idle session timeouts (57P05), and errors
# that the Postgres documentation says to retry.
_TRANSIENT = (
    pg.AdminShutdown, pg.CrashShutdown, pg.CannotConnectNow, pg.IdleSessionTimeout, pg.SerializationFailure,
    pg.DeadlockDetected, pg.TooManyConnections, psycopg_pool.PoolTimeout,
)  # fmt: skip
_POOL_SECONDS = 1.0
# Connection parameters that an address can override. A dead connection, as after a function was frozen for minutes, is
# detected after 10 seconds without an acknowledgement instead of the system's 15 minutes.
_DEFAULTS = {
    "connect_timeout": 5,
    "tcp_user_timeout": 10_000,
    "keepalives_idle": 30,
    "keepalives_interval": 5,
    "keepalives_count": 3,
}
# Messages of connections that are rejected permanently. libpq gives no error code here, only the server's message.
_REJECTED = re.compile(
    r"password authentication failed.*|no password supplied|(?:database|role) \"[^\"]*\" does not exist|"
    r"no pg_hba\.conf entry.*|role .* is not permitted to log in|permission denied for database.*"
)


class Database:
    """A pool of connections to a database whose schema is up to date.

    Forked children and unpickled copies open separate connections.
    """

    def __init__(
        self, url: str, *, schema: str = "embedstack", max_connections: int = 8, patience: float = 30.0
    ) -> None:
        """Connect and migrate the schema.

        Args:
            url: ``postgresql://…``.
            schema: The schema of the tables.
            max_connections: Maximum number of connections.
            patience: Seconds for which a call is retried while the server is unavailable, limited by the time left of
                the current :class:`~embedstack.calls.call_context.Call`.

        Raises:
            ConfigurationError: The address is invalid, the server rejects the user, or pgvector is missing.
            StoreUnavailable: The server does not respond.
        """
        self.schema = schema
        self._patience = patience
        address = _address(url)
        self._retried(lambda: self._migrate(address))
        self._address = address
        self._connections = PerProcess(partial(_Connections, address, max_connections), discard=_Connections.abandon)
        self._connections.get()

    def run(self, work: Callable[[Connection], _Result]) -> _Result:
        """Run work in a transaction, and retry the whole transaction after transient errors.

        The work must be idempotent: the connection can break between a commit and its response.

        Raises:
            StoreUnavailable: The retries failed for ``patience`` seconds.
            CollectionReplaced: The collection's table does not exist any more.
            StoreError: Postgres rejected the work.
        """

        def attempt() -> _Result:
            with self._connections.get().pool.connection() as connection, connection.transaction():
                return work(connection)

        return self._retried(attempt)

    def run_outside_transaction(self, work: Callable[[Connection], _Result]) -> _Result:
        """Like :meth:`run`, for statements that Postgres does not allow in a transaction."""

        def attempt() -> _Result:
            with self._connections.get().pool.connection() as connection:
                return work(connection)

        return self._retried(attempt)

    def close(self) -> None:
        """Close the connections."""
        connections = self._connections.take()
        if connections is not None:
            connections.pool.close()

    def __getstate__(self) -> dict[str, Any]:
        if "password" in psycopg.conninfo.conninfo_to_dict(self._address):
            raise NotPicklable(
                "The database address contains a password, which is not pickled. Open the store in the process that "
                "uses it, with load_store() or PgVectorStore(url)."
            )
        return self.__dict__.copy()

    def _migrate(self, address: str) -> None:
        # Limited by the call's time. The pool needs no such limit: it waits for a connection for a second at most.
        timeout = int(str(psycopg.conninfo.conninfo_to_dict(address)["connect_timeout"]))
        limits = [seconds for seconds in (timeout, round(self._patience_now())) if seconds > 0]
        with psycopg.connect(address, autocommit=True, connect_timeout=min(limits, default=1)) as connection:
            migrate(connection, self.schema)

    def _retried(self, attempt: Callable[[], _Result]) -> _Result:
        patience = self._patience_now()
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception(_is_transient),
            wait=tenacity.wait_random_exponential(multiplier=0.05, max=2),
            stop=tenacity.stop_after_delay(patience),
            before_sleep=self._forget_broken_connections,
            reraise=True,
        )
        try:
            return retrying(attempt)
        except (psycopg.Error, psycopg_pool.PoolTimeout) as error:
            # Not chained if Postgres rejected the work: its message may quote a row, which a traceback would print.
            raise _translated(error, patience) from (error if _is_transient(error) else None)

    def _patience_now(self) -> float:
        """Seconds for which to retry; 0 after the call's deadline, when embedded chunks are still stored."""
        try:
            remaining = Call.current().remaining()
        except DeadlineExceeded:
            return 0
        return self._patience if remaining is None else min(self._patience, remaining)

    def _forget_broken_connections(self, state: tenacity.RetryCallState) -> None:
        # If one connection is broken, the others probably are too. Each would cost a retry.
        error = state.outcome.exception() if state.outcome else None
        connections = getattr(self, "_connections", None)
        if connections is not None and not isinstance(error, (pg.SerializationFailure, pg.DeadlockDetected)):
            connections.get().pool.check()


class _Connections:
    """A pool, and the connections that it opened."""

    def __init__(self, address: str, max_connections: int) -> None:
        self._opened: weakref.WeakSet[Connection] = weakref.WeakSet()
        self.pool = psycopg_pool.ConnectionPool(
            address, open=True, min_size=1, max_size=max_connections,
            kwargs={"autocommit": True},
            configure=self._configure,
            # Short, because the pool does not wake its waiters when the server is available again. Calls retry until
            # their patience ends.
            timeout=_POOL_SECONDS,
            reconnect_timeout=_POOL_SECONDS,
        )  # fmt: skip
        atexit.register(_close_at_exit, weakref.ref(self), Origin())

    def abandon(self) -> None:
        """In a forked child: release the parent's connections without closing them on the server.

        Finalizing the pool would wait for its threads, which do not exist in the child.
        """
        disconnect(connection.fileno() for connection in self._opened if not connection.closed)
        keep_forever(self)

    def _configure(self, connection: Connection) -> None:
        self._opened.add(connection)
        register_vector(connection)


def _close_at_exit(reference: "weakref.ref[_Connections]", origin: Origin) -> None:
    """Close a pool that is still open: since Python 3.14, its finalizer cannot join its threads during shutdown."""
    connections = reference()
    if connections is not None and origin.is_here:
        connections.pool.close(timeout=1)


def _address(url: str) -> str:
    try:
        parameters = psycopg.conninfo.conninfo_to_dict(url)
        return psycopg.conninfo.make_conninfo(url, **{name: _DEFAULTS[name] for name in _DEFAULTS.keys() - parameters})
    except psycopg.ProgrammingError:
        raise ConfigurationError(
            "DATABASE_URL is not a Postgres address. Use postgresql://user:password@host:5432/database."
        ) from None


def _is_transient(error: BaseException) -> bool:
    if isinstance(error, _TRANSIENT):
        return True
    if _REJECTED.search(str(error)):
        return False
    # A broken connection raises an OperationalError without a code; an error with a code comes from the server.
    return isinstance(error, psycopg.OperationalError) and (error.sqlstate is None or error.sqlstate.startswith("08"))


def _translated(error: "psycopg.Error | psycopg_pool.PoolTimeout", patience: float) -> StoreError | ConfigurationError:
    """The StoreError for an error. Postgres' full message may quote a row; its primary part does not."""
    if isinstance(error, psycopg.OperationalError) and (rejected := _REJECTED.search(str(error))):
        return ConfigurationError(f"Postgres rejects the connection: {rejected[0]}. Check DATABASE_URL.")
    if _is_transient(error):
        return StoreUnavailable(
            f"Postgres was unavailable for {patience:.3g} seconds ({type(error).__name__}). Check that it is running "
            "and that DATABASE_URL is its address, then try again."
        )
    if isinstance(error, pg.UndefinedTable):
        return CollectionReplaced("The collection was dropped or replaced since it was opened. Open it again.")
    return StoreError(f"Postgres rejected the request: {_primary(error)} ({getattr(error, 'sqlstate', None)}).")


def _primary(error: Exception) -> str:
    primary = error.diag.message_primary if isinstance(error, psycopg.Error) else None
    return primary or type(error).__name__
