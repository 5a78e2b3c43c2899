"""Which process a pid means, also after the pid was given to another process."""

import contextlib
import os
import signal
import time
from dataclasses import dataclass
from typing import Self

import psutil

__all__ = ["ProcessIdentity"]

_POLL_SECONDS = 0.02
_KILL_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """One process for as long as it lives: its pid and when it started.

    The pid alone is not enough: after a reboot or a wrap-around it may belong to another process.

    Attributes:
        pid: The process id.
        started: Seconds from the machine's start to the process's.
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

    def terminate(self, grace: float) -> None:
        """Send SIGTERM, then SIGKILL after ``grace`` seconds; returns once the process is gone."""
        for number, seconds in ((signal.SIGTERM, grace), (signal.SIGKILL, _KILL_SECONDS)):
            if not self.alive:
                return
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)
            deadline = time.monotonic() + seconds
            while self.alive and time.monotonic() < deadline:
                time.sleep(_POLL_SECONDS)


def _start_time(pid: int) -> str | None:
    try:
        process = psutil.Process(pid)
        if process.status() in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD):
            return None
        # Relative to the machine's start, so that setting the clock changes nothing.
        return f"{process.create_time() - psutil.boot_time():.2f}"
    except psutil.NoSuchProcess:
        return None
