"""Pooled connections to Postgres, and transactions that are retried after transient errors."""

import atexit
import re
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
    CollectionNotFound,
    CollectionReplaced,
    ConfigurationError,
    DeadlineExceeded,
    NotPicklable,
    StoreError,
    StoreUnavailable,
)
from embedstack.stores.pgvector.migrate import SchemaState, migrate, schema_state

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
# Reasons for which a connection fails permanently: of the server or a pooler after the severity FATAL, or of libpq.
# libpq gives no error code here, only the message.
_REJECTED = re.compile(
    r"FATAL: +(?P<server>.*)|(?P<libpq>.*certificate.*|.*does not support SSL.*|.*no password supplied.*|"
    r"authentication method requirement.*|channel binding.*|invalid .*)"
)
# FATAL messages of Postgres, PgBouncer and RDS Proxy about conditions that pass.
_PASSING = re.compile(
    r"starting up|shutting down|recovery|too many|connection slots|terminating connection|accepting connections|"
    r"no more connections|time(?:out|d[ -]out)|server_login_retry|cannot connect|connect failed|crashed|paused|restart",
    re.IGNORECASE,
)


class Database:
    """A pool of connections to a database.

    A reader needs no permissions but to connect and to SELECT: the schema is only changed by :meth:`migrate`. Works
    through poolers that give each transaction another server connection, such as PgBouncer and RDS Proxy: statements
    are not prepared under a name, and nothing depends on the session.

    Forked children and unpickled copies open separate connections.
    """

    def __init__(
        self, url: str, *, schema: str = "embedstack", max_connections: int = 8, patience: float = 30.0
    ) -> None:
        """Connect and check the schema.

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
        self._address = address
        self._state: SchemaState = self._connected(schema_state)
        self._connections = PerProcess(partial(_Connections, address, max_connections), discard=_Connections.abandon)
        if self._state == "current":
            self._connections.get()

    def migrate(self) -> list[str]:
        """Create the schema, or apply outstanding migrations to it. Needs a role that may change it.

        Returns:
            The names of the applied migrations.

        Raises:
            ConfigurationError: The role may not, or pgvector is missing and cannot be created.
            StoreUnavailable: The server does not respond.
        """
        if self._state == "current":
            return []
        applied = self._connected(migrate)
        self._state = "current"
        return applied

    def run(self, work: Callable[[Connection], _Result]) -> _Result:
        """Run work in a transaction, and retry the whole transaction after transient errors.

        The work must be idempotent: the connection can break between a commit and its response.

        Raises:
            StoreUnavailable: The retries failed for ``patience`` seconds.
            CollectionNotFound: Nothing was stored in the database yet.
            ConfigurationError: The schema is outdated, or the role may not do the work.
            CollectionReplaced: The collection's table does not exist any more.
            StoreError: Postgres rejected the work.
        """
        self._require_current()

        def attempt() -> _Result:
            with self._connections.get().pool.connection() as connection, connection.transaction():
                return work(connection)

        return self._retried(attempt)

    def run_outside_transaction(self, work: Callable[[Connection], _Result]) -> _Result:
        """Like :meth:`run`, for statements that Postgres does not allow in a transaction."""
        self._require_current()

        def attempt() -> _Result:
            with self._connections.get().pool.connection() as connection:
                return work(connection)

        return self._retried(attempt)

    @contextmanager
    def separate_connection(self) -> Iterator[Connection]:
        """A connection outside the pool, for a lock that is held during other statements.

        Raises:
            StoreError, ConfigurationError: As :meth:`run`.
        """
        self._require_current()
        try:
            with self._retried(self._connect) as connection:
                yield connection
        except psycopg.Error as error:
            raise _translated(error, 0) from None

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

    def _require_current(self) -> None:
        if self._state != "current":
            # Another process may have migrated it meanwhile.
            self._state = self._connected(schema_state)
        if self._state == "absent":
            raise CollectionNotFound(
                f"The database has no schema {self.schema!r} with collections. Store something first, or run "
                "`embedstack database migrate`."
            )
        if self._state == "outdated":
            raise ConfigurationError(
                f"The schema {self.schema!r} was created by an older embedstack. Run `embedstack database migrate` "
                "with a role that may change it, or store something with such a role."
            )

    def _connect(self) -> Connection:
        """A connection outside the pool. The call's time limits it: libpq's own limits are longer."""
        timeout = int(str(psycopg.conninfo.conninfo_to_dict(self._address)["connect_timeout"]))
        limits = [seconds for seconds in (timeout, round(self._patience_now())) if seconds > 0]
        return psycopg.connect(
            self._address, autocommit=True, prepare_threshold=None, connect_timeout=min(limits, default=1)
        )

    def _connected(self, work: Callable[[Connection, str], _Result]) -> _Result:
        """Do work on the schema, on a connection outside the pool."""

        def attempt() -> _Result:
            with self._connect() as connection:
                return work(connection, self.schema)

        return self._retried(attempt)

    def _retried(self, attempt: Callable[[], _Result]) -> _Result:
        patience = self._patience_now()
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception(_is_transient),
            wait=tenacity.wait_random_exponential(multiplier=0.05, max=2),
            stop=tenacity.stop_after_delay(patience),
            before_sleep=self._before_retry,
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

    def _before_retry(self, state: tenacity.RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        connections = getattr(self, "_connections", None)
        if connections is None or isinstance(error, (pg.SerializationFailure, pg.DeadlockDetected)):
            return
        # If one connection is broken, the others probably are too. Each would cost a retry.
        connections.get().pool.check()
        if isinstance(error, psycopg_pool.PoolTimeout):
            # The pool does not tell why it cannot connect. A rejection ends the retries.
            with _ignored_if_transient():
                self._connect().close()


class _Connections:
    """A pool, and the connections that it opened."""

    def __init__(self, address: str, max_connections: int) -> None:
        self._opened: weakref.WeakSet[Connection] = weakref.WeakSet()
        self.pool = psycopg_pool.ConnectionPool(
            address, open=True, min_size=1, max_size=max_connections,
            # With a name, a statement would be prepared on one server connection and executed on another.
            kwargs={"autocommit": True, "prepare_threshold": None},
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
    if _rejection(error) is not None:
        return False
    # A broken connection raises an OperationalError without a code; an error with a code comes from the server.
    return isinstance(error, psycopg.OperationalError) and (error.sqlstate is None or error.sqlstate.startswith("08"))


def _rejection(error: BaseException) -> str | None:
    """The sentence with which the server, a pooler or libpq rejects a connection permanently; None for other errors."""
    if not isinstance(error, psycopg.OperationalError) or error.sqlstate is not None:
        return None
    reason = _REJECTED.search(str(error).rpartition(" failed: ")[2])
    if reason is None:
        return None
    sentence = (reason["server"] or reason["libpq"]).strip()
    # Without names, which may contain any word.
    return None if _PASSING.search(re.sub(r'"[^"]*"', "", sentence)) else sentence


@contextmanager
def _ignored_if_transient() -> Iterator[None]:
    try:
        yield
    except psycopg.Error as error:
        if not _is_transient(error):
            raise


def _translated(error: "psycopg.Error | psycopg_pool.PoolTimeout", patience: float) -> StoreError | ConfigurationError:
    """The StoreError for an error. Postgres' full message may quote a row; its primary part does not."""
    if (rejection := _rejection(error)) is not None:
        return ConfigurationError(f"Postgres rejects the connection: {rejection.rstrip('.')}. Check DATABASE_URL.")
    if _is_transient(error):
        return StoreUnavailable(
            f"Postgres was unavailable for {patience:.3g} seconds ({type(error).__name__}). Check that it is running "
            "and that DATABASE_URL is its address, then try again."
        )
    if isinstance(error, pg.UndefinedTable):
        return CollectionReplaced("The collection was dropped or replaced since it was opened. Open it again.")
    if isinstance(error, (pg.InsufficientPrivilege, pg.ReadOnlySqlTransaction)):
        return ConfigurationError(
            f"The database role may not do this: {_primary(error)}. Use a role that may write, or grant a reader its "
            "permissions with `embedstack database grant-reader`."
        )
    return StoreError(f"Postgres rejected the request: {_primary(error)} ({getattr(error, 'sqlstate', None)}).")


def _primary(error: Exception) -> str:
    primary = error.diag.message_primary if isinstance(error, psycopg.Error) else None
    return primary or type(error).__name__
