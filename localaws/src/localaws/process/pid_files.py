"""The processes of a local AWS, recorded so that the record survives its crash."""

import contextlib
import json
from dataclasses import asdict
from pathlib import Path

from localaws.process.identity import ProcessIdentity
from localaws.process.state_file import write_json

__all__ = ["PidFiles"]


class PidFiles:
    """A folder with one file per running process."""

    def __init__(self, folder: Path) -> None:
        """Record in this folder, which is created with the first process."""
        self._folder = folder

    def add(self, pid: int) -> None:
        """Record a process that was just started."""
        identity = ProcessIdentity.of(pid)
        if identity is not None:
            self._folder.mkdir(parents=True, exist_ok=True)
            write_json(self._path(pid), asdict(identity))

    def remove(self, pid: int) -> None:
        """Remove the record of a process that has ended."""
        self._path(pid).unlink(missing_ok=True)

    def running(self) -> list[ProcessIdentity]:
        """The recorded processes that still run."""
        identities = [self._read(path) for path in self._paths()]
        return [identity for identity in identities if identity is not None and identity.alive]

    def reap(self, grace: float) -> list[int]:
        """End every recorded process that still runs and remove all records.

        Args:
            grace: Seconds from SIGTERM to SIGKILL.

        Returns:
            The pids of the processes that were ended.
        """
        ended = []
        for path in self._paths():
            identity = self._read(path)
            if identity is not None and identity.alive:
                identity.terminate(grace)
                ended.append(identity.pid)
            path.unlink(missing_ok=True)
        return ended

    def _paths(self) -> list[Path]:
        return sorted(self._folder.glob("*.json"))

    def _path(self, pid: int) -> Path:
        return self._folder / f"{pid}.json"

    def _read(self, path: Path) -> ProcessIdentity | None:
        # The file may have been removed meanwhile, or be damaged.
        with contextlib.suppress(ValueError, TypeError, OSError):
            return ProcessIdentity(**json.loads(path.read_text(encoding="utf-8")))
        return None
