"""Which processes belong to a local AWS, in a form that survives its crash.

A pid alone is not enough: after a reboot or a wrap-around it may be someone else's. The start time recorded beside it
makes it unique.
"""

import contextlib
import json
import os
import signal
import subprocess
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol, Self

from localaws.process.state_file import write_whole

_POLL = 0.02


class StartedProcess(Protocol):
    """A process that was started: a :class:`subprocess.Popen`, or what tells as much of another."""

    pid: int

    def poll(self) -> int | None:
        """The exit status, negative for a signal; None while it runs."""

    def wait(self, timeout: float | None = None) -> int:
        """The exit status, once there is one.

        Raises:
            subprocess.TimeoutExpired: It still runs.
        """


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """One process for as long as it lives: its pid and the moment it started."""

    pid: int
    started: str

    @classmethod
    def of(cls, pid: int) -> Self | None:
        """The identity of the process that has this pid now, or None when none has it (or it is a zombie)."""
        started = _start_time(pid)
        return cls(pid, started) if started else None

    @property
    def alive(self) -> bool:
        """Whether this very process still runs."""
        return _start_time(self.pid) == self.started

    def terminate(self, grace: float) -> None:
        """SIGTERM, then SIGKILL after ``grace`` seconds; returns once the process is gone."""
        for number, patience in ((signal.SIGTERM, grace), (signal.SIGKILL, 10.0)):
            if not self.alive:
                return
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)
            deadline = time.monotonic() + patience
            while self.alive and time.monotonic() < deadline:
                time.sleep(_POLL)


class PidFiles:
    """A folder with one file per running container."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def add(self, pid: int) -> None:
        """Record a process that was just started."""
        identity = ProcessIdentity.of(pid)
        if identity is not None:
            self._folder.mkdir(parents=True, exist_ok=True)
            write_whole(self._path(pid), asdict(identity))

    def remove(self, pid: int) -> None:
        """Forget a process that is gone."""
        self._path(pid).unlink(missing_ok=True)

    def reap(self, grace: float) -> list[int]:
        """End every recorded process that is still the one recorded, and forget all; returns the pids ended."""
        ended = []
        for path in sorted(self._folder.glob("*.json")):
            with contextlib.suppress(ValueError, TypeError, OSError):
                identity = ProcessIdentity(**json.loads(path.read_text(encoding="utf-8")))
                if identity.alive:
                    identity.terminate(grace)
                    ended.append(identity.pid)
            path.unlink(missing_ok=True)
        return ended

    def _path(self, pid: int) -> Path:
        return self._folder / f"{pid}.json"


def _start_time(pid: int) -> str | None:
    stat = Path(f"/proc/{pid}/stat")
    if Path("/proc/self/stat").exists():
        try:
            # The command's name, in parentheses, may hold spaces; fields are counted after it (proc(5): state is
            # field 3, starttime field 22).
            fields = stat.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        except OSError:
            return None
        return None if fields[0] in "ZX" else fields[19]
    listing = subprocess.run(
        ["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
    ).stdout.split()
    return " ".join(listing[1:]) if listing and not listing[0].startswith("Z") else None
