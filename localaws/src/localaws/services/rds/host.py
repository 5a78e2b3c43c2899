"""All databases of a local AWS: a Postgres each, started again when it dies, and gone with the local AWS."""

import logging
import threading
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from embedstack.errors import ConfigurationError
from embedstack.stores import embedded_postgres
from localaws.core.threads import Ticker, at_the_same_time
from localaws.process.databases import databases_folder, remove_database, remove_databases, stop_database
from localaws.process.identity import ProcessIdentity
from localaws.process.lifeline import Lifeline

if TYPE_CHECKING:
    from localaws.process.pid_files import PidFiles

__all__ = ["Database", "DatabaseHost", "State"]

#: As the status of an instance, in RDS's words.
State = Literal["creating", "starting", "available", "stopped", "failed"]

_logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Database:
    """The Postgres of one cluster. It holds values alone, since moto copies the clusters that it answers with.

    Attributes:
        folder: Its data directory.
        name: The database that is made in it.
        user: Its superuser.
        state: What becomes of its server.
        process: The server, once there was one.
    """

    folder: Path
    name: str
    user: str
    state: State = "creating"
    process: ProcessIdentity | None = None

    @property
    def address(self) -> str:
        """What PGHOST has to be: the folder of its socket."""
        return str(embedded_postgres.socket_folder(self.folder))


class DatabaseHost:
    """Runs the servers that shall run, and looks after them."""

    _TICK_SECONDS = 0.5

    def __init__(self, state_dir: Path, pids: "PidFiles") -> None:
        """Prepare a host without databases.

        Args:
            state_dir: Where their folders go.
            pids: Where processes are recorded.
        """
        self._state_dir = state_dir
        self._pids = pids
        self._wanted: dict[Path, Database] = {}
        self._lifelines: dict[Path, Lifeline] = {}
        # Held while a server is started or stopped, which takes a second or two.
        self._lock = threading.Lock()
        self._clock = Ticker("database-clock", self._TICK_SECONDS, self._look)

    def start(self) -> None:
        """Look after the databases from now on."""
        self._clock.start()

    def close(self) -> None:
        """Stop every database, and remove what they hold."""
        self._clock.close()
        with self._lock:
            running = list(self._wanted.values())
            self._wanted.clear()
            at_the_same_time([partial(self._end, database) for database in running])
        remove_databases(self._state_dir)

    def place(self, name: str, database: str, user: str) -> Database:
        """A database that is not there yet, in a folder of that name."""
        return Database(databases_folder(self._state_dir) / name, database, user)

    def run(self, database: Database) -> None:
        """Have its server run; :attr:`Database.state` tells when it does."""
        if database.folder not in self._wanted:
            database.state = "starting" if database.process else "creating"
            self._wanted[database.folder] = database

    def stop(self, database: Database) -> None:
        """Have its server not run, and keep what it holds."""
        with self._lock:
            self._wanted.pop(database.folder, None)
            self._end(database)
            database.state = "stopped"

    def remove(self, database: Database) -> None:
        """Stop its server and remove what it holds."""
        self.stop(database)
        remove_database(database.folder)

    def _look(self) -> None:
        for database in list(self._wanted.values()):
            if database.state == "failed" or (database.process and database.process.alive):
                continue
            with self._lock:
                # It may have been stopped meanwhile.
                if database.folder in self._wanted:
                    self._bring_up(database)

    def _bring_up(self, database: Database) -> None:
        self._forget(database)
        try:
            server = embedded_postgres.start(database.folder, user=database.user, database=database.name)
        except ConfigurationError as error:
            _logger.error("database %s does not start: %s", database.folder.name, error)  # noqa: TRY400
            if database.state != "available":
                # Without a Postgres on this machine, there is nothing to try again.
                database.state = "failed"
            return
        self._pids.add(server.pid)
        self._lifelines[database.folder] = Lifeline(server.pid)
        database.process = ProcessIdentity.of(server.pid)
        database.state = "available"

    def _end(self, database: Database) -> None:
        stop_database(database.folder)
        if database.process is not None and not database.process.alive:
            self._forget(database)

    def _forget(self, database: Database) -> None:
        """Let go of a server that is gone."""
        if database.process is not None:
            self._pids.remove(database.process.pid)
        if lifeline := self._lifelines.pop(database.folder, None):
            lifeline.release()
