"""Which process a pid means, also after the pid was given to another process."""

import contextlib
import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Self

__all__ = ["ProcessIdentity"]

_POLL_SECONDS = 0.02
_KILL_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """One process for as long as it lives: its pid and when it started.

    The pid alone is not enough: after a reboot or a wrap-around it may belong to another process.

    Attributes:
        pid: The process id.
        started: Start time of the process, in clock ticks since the machine's start or as ``ps`` prints it.
    """

    pid: int
    started: str

    @classmethod
    def of(cls, pid: int) -> Self | None:
        """The identity of the running process with this pid; None without one. A zombie does not run."""
        started = _start_time(pid)
        return cls(pid, started) if started else None

    @property
    def alive(self) -> bool:
        """Whether this very process still runs."""
        return _start_time(self.pid) == self.started

    def terminate(self, grace: float, first: signal.Signals = signal.SIGTERM) -> None:
        """Send a signal, then SIGKILL after ``grace`` seconds; returns once the process is gone."""
        for number, seconds in ((first, grace), (signal.SIGKILL, _KILL_SECONDS)):
            if not self.alive:
                return
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)
            deadline = time.monotonic() + seconds
            while self.alive and time.monotonic() < deadline:
                time.sleep(_POLL_SECONDS)


def _start_time(pid: int) -> str | None:
    """The start time as scripts/stop_local.sh determines it, too: neither changes when the clock is set."""
    if Path("/proc/self/stat").exists():
        try:
            # The command's name, in parentheses, may contain spaces. Fields are counted after it (proc(5): state is
            # field 3, starttime field 22).
            stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return None
        fields = stat.rpartition(")")[2].split()
        return None if fields[0] in "ZX" else fields[19]
    command = ["ps", "-o", "stat=,lstart=", "-p", str(pid)]
    listing = subprocess.run(command, capture_output=True, text=True, check=False).stdout.split()
    return " ".join(listing[1:]) if listing and not listing[0].startswith("Z") else None
