"""SQLite files that processes share."""

import sqlite3
import time
from pathlib import Path

__all__ = ["create_private_file", "use_write_ahead_log"]

_PAUSE_SECONDS = 0.02


def create_private_file(path: Path) -> None:
    """Create a file and its folder if they are missing, readable to the owner only."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        path.touch(mode=0o600)


def use_write_ahead_log(connection: sqlite3.Connection, seconds: float) -> None:
    """Switch a file to WAL, in which processes read while another one writes.

    SQLite's timeout does not apply: the switch of a new file fails at once while another process does the same, or
    closes the file.

    Args:
        connection: A connection outside of a transaction.
        seconds: Longest wait in seconds.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            is_busy = getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY
            if not is_busy or time.monotonic() >= deadline:
                raise
            time.sleep(_PAUSE_SECONDS)
        else:
            return
