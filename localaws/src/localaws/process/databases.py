"""The Postgres servers of a local AWS on disk: stopped and removed, also after a crash."""

import contextlib
import shutil
from collections.abc import Collection
from pathlib import Path

from embedstack.errors import ConfigurationError
from embedstack.stores import embedded_postgres

__all__ = ["databases_folder", "remove_database", "remove_databases", "stop_database", "stop_databases"]

_STOP_SECONDS = 10.0


def databases_folder(state_dir: Path) -> Path:
    """The folder with the data directories of a local AWS's databases."""
    return (state_dir / "databases").absolute()


def stop_database(folder: Path) -> None:
    """Stop the server of a data directory. A server that does not stop is killed later, by its recorded pid."""
    with contextlib.suppress(ConfigurationError):
        embedded_postgres.stop(folder, timeout=_STOP_SECONDS)


def remove_database(folder: Path) -> None:
    """Remove a data directory whose server has stopped, and the folder of its socket."""
    for place in {folder, embedded_postgres.socket_folder(folder)}:
        shutil.rmtree(place, ignore_errors=True)
    folder.with_name(f"{folder.name}.lock").unlink(missing_ok=True)


def stop_databases(state_dir: Path) -> None:
    """Stop every database of a local AWS and keep its data.

    Args:
        state_dir: The local AWS's state directory.
    """
    for database in databases_folder(state_dir).glob("*/PG_VERSION"):
        stop_database(database.parent)


def remove_databases(state_dir: Path, *, kept: Collection[Path] = ()) -> None:
    """Stop every database of a local AWS and remove its files.

    Args:
        state_dir: The local AWS's state directory.
        kept: The data directories that stay.
    """
    stop_databases(state_dir)
    folder = databases_folder(state_dir)
    for database in folder.glob("*/PG_VERSION"):
        if database.parent not in kept:
            remove_database(database.parent)
    if not kept:
        shutil.rmtree(folder, ignore_errors=True)
