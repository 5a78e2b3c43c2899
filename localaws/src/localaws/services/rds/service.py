"""The databases of a local AWS: one Postgres server per cluster, restarted when it dies."""

import logging
import threading
from collections.abc import Collection
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from embedstack.errors import ConfigurationError
from embedstack.stores import embedded_postgres
from localaws.core.threads import Ticker, at_the_same_time
from localaws.process.databases import databases_folder, remove_database, stop_database
from localaws.process.identity import ProcessIdentity
from localaws.process.lifeline import Lifeline

if TYPE_CHECKING:
    from localaws.process.pid_files import PidFiles

__all__ = ["Database", "DatabaseHost", "State"]

#: RDS's statuses of an instance.
State = Literal["creating", "starting", "available", "stopped", "failed"]

_logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Database:
    """The Postgres server of one cluster. It holds only plain values, since moto copies clusters for responses.

    Attributes:
        folder: Its data directory.
        name: The database that is created.
        user: The superuser.
        state: The state of the server.
        process: The server's process; None before the first start.
    """

    folder: Path
    name: str
    user: str
    state: State = "creating"
    process: ProcessIdentity | None = None

    @property
    def address(self) -> str:
        """The value for PGHOST: the folder of the socket."""
        return str(embedded_postgres.socket_folder(self.folder))


class DatabaseHost:
    """Starts and stops the servers, and restarts those that die."""

    _TICK_SECONDS = 0.5

    def __init__(self, state_dir: Path, pids: "PidFiles") -> None:
        """Prepare a host without databases.

        Args:
            state_dir: Parent of the data directories.
            pids: Records the processes.
        """
        self._state_dir = state_dir
        self._pids = pids
        self._running: dict[Path, Database] = {}
        self._lifelines: dict[Path, Lifeline] = {}
        # Held while a server is started or stopped, which takes a second or two.
        self._lock = threading.Lock()
        self._clock = Ticker("database-clock", self._TICK_SECONDS, self._restart_dead)

    def start(self) -> None:
        """Start supervising the servers."""
        self._clock.start()

    def resume(self, databases: Collection[Database]) -> None:
        """Start the servers of another local AWS's databases. Blocks until they have started or failed."""
        for database in databases:
            database.process = None
            database.state = "starting"
            self._running[database.folder] = database
            with self._lock:
                self._start_server(database)

    def close(self) -> None:
        """Stop every server; the data stays."""
        self._clock.close()
        with self._lock:
            running = list(self._running.values())
            self._running.clear()
            at_the_same_time([partial(self._stop_server, database) for database in running])

    def new_database(self, name: str, database: str, user: str) -> Database:
        """Describe a database that is created on its first start, in a folder with this name."""
        return Database(databases_folder(self._state_dir) / name, database, user)

    def run(self, database: Database) -> None:
        """Start the server in the background; see :attr:`Database.state`."""
        if database.folder not in self._running:
            database.state = "starting" if database.process else "creating"
            self._running[database.folder] = database

    def stop(self, database: Database) -> None:
        """Stop the server and keep its data."""
        with self._lock:
            self._running.pop(database.folder, None)
            self._stop_server(database)
            database.state = "stopped"

    def remove(self, database: Database) -> None:
        """Stop the server and delete its data."""
        self.stop(database)
        remove_database(database.folder)

    def _restart_dead(self) -> None:
        for database in list(self._running.values()):
            if database.state == "failed" or (database.process and database.process.alive):
                continue
            with self._lock:
                # It may have been stopped in the meantime.
                if database.folder in self._running:
                    self._start_server(database)

    def _start_server(self, database: Database) -> None:
        self._release(database)
        try:
            server = embedded_postgres.start(database.folder, user=database.user, database=database.name)
        except ConfigurationError as error:
            _logger.error("database %s did not start: %s", database.folder.name, error)  # noqa: TRY400
            if database.state != "available":
                # A first start that fails, as without Postgres on this machine, is not retried.
                database.state = "failed"
            return
        self._pids.add(server.pid)
        self._lifelines[database.folder] = Lifeline(server.pid)
        database.process = ProcessIdentity.of(server.pid)
        database.state = "available"

    def _stop_server(self, database: Database) -> None:
        stop_database(database.folder)
        if database.process is not None and not database.process.alive:
            self._release(database)

    def _release(self, database: Database) -> None:
        """Release the records of a server that has ended."""
        if database.process is not None:
            self._pids.remove(database.process.pid)
        if lifeline := self._lifelines.pop(database.folder, None):
            lifeline.release()
