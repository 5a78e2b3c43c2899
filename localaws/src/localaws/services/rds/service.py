"""The databases of a local AWS: one Postgres server per cluster, restarted when it dies."""

import contextlib
import logging
import shutil
import threading
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from embedstack.errors import ConfigurationError
from embedstack.stores import embedded_postgres
from localaws.core.threads import Ticker, at_the_same_time
from localaws.process.lifeline import Lifeline
from localaws.process.pidfiles import ProcessIdentity

if TYPE_CHECKING:
    from localaws.process.pidfiles import PidFiles

__all__ = ["Database", "DatabaseHost", "State", "remove_databases"]

#: RDS's statuses of an instance.
State = Literal["creating", "starting", "available", "stopped", "failed"]

_FOLDER = "databases"
_STOP_SECONDS = 10.0

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

    def close(self) -> None:
        """Stop every server and delete its data."""
        self._clock.close()
        with self._lock:
            running = list(self._running.values())
            self._running.clear()
            at_the_same_time([partial(self._stop_server, database) for database in running])
        remove_databases(self._state_dir)

    def new_database(self, name: str, database: str, user: str) -> Database:
        """Describe a database that is created on its first start, in a folder with this name."""
        return Database((self._state_dir / _FOLDER / name).absolute(), database, user)

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
        _remove(database.folder)

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
            _logger.error("database %s does not start: %s", database.folder.name, error)  # noqa: TRY400
            if database.state != "available":
                # A first start that fails, as without Postgres on this machine, is not retried.
                database.state = "failed"
            return
        self._pids.add(server.pid)
        self._lifelines[database.folder] = Lifeline(server.pid)
        database.process = ProcessIdentity.of(server.pid)
        database.state = "available"

    def _stop_server(self, database: Database) -> None:
        _stop(database.folder)
        if database.process is not None and not database.process.alive:
            self._release(database)

    def _release(self, database: Database) -> None:
        """Release the records of a server that has ended."""
        if database.process is not None:
            self._pids.remove(database.process.pid)
        if lifeline := self._lifelines.pop(database.folder, None):
            lifeline.release()


def remove_databases(state_dir: Path) -> None:
    """Stop every server of a local AWS and delete its data, also after a crash.

    Args:
        state_dir: The state folder of the local AWS.
    """
    folder = (state_dir / _FOLDER).absolute()
    for database in folder.glob("*/PG_VERSION"):
        _stop(database.parent)
        _remove(database.parent)
    shutil.rmtree(folder, ignore_errors=True)


def _stop(folder: Path) -> None:
    # A server that does not stop is killed by its recorded pid.
    with contextlib.suppress(ConfigurationError):
        embedded_postgres.stop(folder, timeout=_STOP_SECONDS)


def _remove(folder: Path) -> None:
    for directory in {folder, embedded_postgres.socket_folder(folder)}:
        shutil.rmtree(directory, ignore_errors=True)
    folder.with_name(f"{folder.name}.lock").unlink(missing_ok=True)
