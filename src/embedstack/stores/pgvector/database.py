"""Connections to Postgres: pooled, in transactions that are run again when they fail for a reason that passes."""

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

# What passes: lost connections and restarts (class 08, 57P01 to 57P03), connections that idled for longer than the
# server lets them (57P05), and what Postgres asks to be tried again.
_PASSING = (
    pg.AdminShutdown, pg.CrashShutdown, pg.CannotConnectNow, pg.IdleSessionTimeout, pg.SerializationFailure,
    pg.DeadlockDetected, pg.TooManyConnections, psycopg_pool.PoolTimeout,
)  # fmt: skip
_POOL_SECONDS = 1.0
# What an address may say otherwise. A connection whose other end is gone without a word, as after a function was frozen
# for minutes, is given up after 10 seconds in which nothing was acknowledged, and not after the system's 15 minutes.
_DEFAULTS = {
    "connect_timeout": 5,
    "tcp_user_timeout": 10_000,
    "keepalives_idle": 30,
    "keepalives_interval": 5,
    "keepalives_count": 3,
}
# Why a server refuses a connection for good. libpq hands on no code here, only what the server says.
_REFUSED = re.compile(
    r"password authentication failed.*|no password supplied|(?:database|role) \"[^\"]*\" does not exist|"
    r"no pg_hba\.conf entry.*|role .* is not permitted to log in|permission denied for database.*"
)


class Database:
    """A pool of connections to one database, whose schema is up to date.

    A forked child and an unpickled copy have connections of their own.
    """

    def __init__(
        self, url: str, *, schema: str = "embedstack", max_connections: int = 8, patience: float = 30.0
    ) -> None:
        """Connect, and bring the schema up to date.

        Args:
            url: ``postgresql://…``.
            schema: Where the tables are.
            max_connections: Connections at most.
            patience: Seconds for which a call is tried again while the server is away; fewer where the current
                :class:`~embedstack.calls.call_context.Call` has fewer left.

        Raises:
            ConfigurationError: The address is none, the server refuses this user, or it has no pgvector.
            StoreUnavailable: The server does not answer.
        """
        self.schema = schema
        self._patience = patience
        address = _address(url)
        self._retried(lambda: self._migrate(address))
        self._address = address
        self._connections = PerProcess(partial(_Connections, address, max_connections), discard=_Connections.abandon)
        self._connections.get()

    def run(self, work: Callable[[Connection], _Result]) -> _Result:
        """Do something in one transaction; it is done again, whole, when it failed for a reason that passes.

        Since the connection can break after a commit and before its answer, the work must be such that doing it twice
        is doing it once.

        Raises:
            StoreUnavailable: It failed for as long as the patience lasts.
            CollectionReplaced: The collection's table is gone.
            StoreError: Postgres refused it.
        """

        def attempt() -> _Result:
            with self._connections.get().pool.connection() as connection, connection.transaction():
                return work(connection)

        return self._retried(attempt)

    def run_outside_transaction(self, work: Callable[[Connection], _Result]) -> _Result:
        """The same without a transaction, for what Postgres runs outside of one only."""

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
                "The address of the database holds a password, which cannot be pickled or copied: open the store where "
                "it is used, with load_store() or PgVectorStore(url)."
            )
        return self.__dict__.copy()

    def _migrate(self, address: str) -> None:
        # In what is left of the call's time: the pool connects beside it, and is asked for no longer than a second.
        allowed = int(str(psycopg.conninfo.conninfo_to_dict(address)["connect_timeout"]))
        limits = [seconds for seconds in (allowed, round(self._patience_now())) if seconds > 0]
        with psycopg.connect(address, autocommit=True, connect_timeout=min(limits, default=1)) as connection:
            migrate(connection, self.schema)

    def _retried(self, attempt: Callable[[], _Result]) -> _Result:
        patience = self._patience_now()
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception(_passes),
            wait=tenacity.wait_random_exponential(multiplier=0.05, max=2),
            stop=tenacity.stop_after_delay(patience),
            before_sleep=self._forget_broken_connections,
            reraise=True,
        )
        try:
            return retrying(attempt)
        except (psycopg.Error, psycopg_pool.PoolTimeout) as error:
            # Not chained where Postgres refused: its error may quote the row, which a traceback would print.
            raise _translated(error, patience) from (error if _passes(error) else None)

    def _patience_now(self) -> float:
        """Seconds for which to try again; none for what is still stored when the call's time is up."""
        try:
            left = Call.current().remaining()
        except DeadlineExceeded:
            return 0
        return self._patience if left is None else min(self._patience, left)

    def _forget_broken_connections(self, state: tenacity.RetryCallState) -> None:
        # When one connection broke, its neighbours most likely did: each would cost an attempt.
        error = state.outcome.exception() if state.outcome else None
        connections = getattr(self, "_connections", None)
        if connections is not None and not isinstance(error, (pg.SerializationFailure, pg.DeadlockDetected)):
            connections.get().pool.check()


class _Connections:
    """A pool, and the connections that it has opened."""

    def __init__(self, address: str, most: int) -> None:
        self._opened: weakref.WeakSet[Connection] = weakref.WeakSet()
        self.pool = psycopg_pool.ConnectionPool(
            address, open=True, min_size=1, max_size=most,
            kwargs={"autocommit": True},
            configure=self._configure,
            # Short, since who waits for a connection to a server that was away is not told when it is back; a call
            # asks again for as long as its patience lasts.
            timeout=_POOL_SECONDS,
            reconnect_timeout=_POOL_SECONDS,
        )  # fmt: skip
        atexit.register(_close_at_exit, weakref.ref(self), Origin())

    def abandon(self) -> None:
        """In the child of a fork: let go of the parent's connections without telling the server that they end.

        Finalizing the pool would wait for its threads, which do not exist here.
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
        given = psycopg.conninfo.conninfo_to_dict(url)
        return psycopg.conninfo.make_conninfo(url, **{name: _DEFAULTS[name] for name in _DEFAULTS.keys() - given})
    except psycopg.ProgrammingError:
        raise ConfigurationError(
            "DATABASE_URL is not an address of Postgres: postgresql://user:password@host:5432/database."
        ) from None


def _passes(error: BaseException) -> bool:
    if isinstance(error, _PASSING):
        return True
    if _REFUSED.search(str(error)):
        return False
    # A broken connection is an OperationalError without a code; one with a code came from a server that is there.
    return isinstance(error, psycopg.OperationalError) and (error.sqlstate is None or error.sqlstate.startswith("08"))


def _translated(error: "psycopg.Error | psycopg_pool.PoolTimeout", patience: float) -> StoreError | ConfigurationError:
    """The error in this package's tree. Postgres' own message may quote a row, its primary part names none."""
    if isinstance(error, psycopg.OperationalError) and (refused := _REFUSED.search(str(error))):
        return ConfigurationError(f"Postgres refuses the connection: {refused[0]}. See DATABASE_URL.")
    if _passes(error):
        return StoreUnavailable(
            f"Postgres did not do what it was asked within {patience:.3g} seconds ({type(error).__name__}): see that "
            "it runs and that DATABASE_URL names it, then try again."
        )
    if isinstance(error, pg.UndefinedTable):
        return CollectionReplaced("The collection was dropped or replaced since it was opened: open it again.")
    return StoreError(f"Postgres refused: {_primary(error)} ({getattr(error, 'sqlstate', None)}).")


def _primary(error: Exception) -> str:
    primary = error.diag.message_primary if isinstance(error, psycopg.Error) else None
    return primary or type(error).__name__
