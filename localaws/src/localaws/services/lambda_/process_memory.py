"""The memory of a process and its descendants, to which Lambda's limit applies, from /proc."""

import contextlib
import threading
from pathlib import Path

__all__ = ["ProcessMemory", "descendants"]


class ProcessMemory:
    """The maximum memory of a process and its descendants, sampled.

    Shared pages count for each process, which adds some MB to what Lambda counts.
    """

    def __init__(self, pid: int) -> None:
        """Prepare without sampling.

        Args:
            pid: The process.
        """
        self._pid = pid
        self._lock = threading.Lock()
        self._peaks: dict[int, int] = {}
        self._maximum = 0

    def measure(self) -> int:
        """Sample, and return the maximum in MB; 0 if the system does not report it."""
        with self._lock:
            peaks, total = {}, 0
            for pid in (self._pid, *descendants(self._pid)):
                current, peak = _usage(pid)
                # A new peak since the last sample may have coincided with the usage of the others.
                total += peak if peak > self._peaks.get(pid, 0) else current
                peaks[pid] = peak
            self._peaks = peaks
            self._maximum = max(self._maximum, total)
            return -(-self._maximum // 1024)


def descendants(pid: int) -> list[int]:
    """The descendants of a process whose ancestors are alive."""
    pids: list[int] = []
    waiting = [pid]
    while waiting:
        for file in Path(f"/proc/{waiting.pop()}/task").glob("*/children"):
            # A thread or a process may end meanwhile.
            with contextlib.suppress(OSError):
                children = [int(child) for child in file.read_text(encoding="ascii").split()]
                pids += children
                waiting += children
    return pids


def _usage(pid: int) -> tuple[int, int]:
    """Current and maximum memory of a process in kB."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return 0, 0
    lines = dict(line.split(":", 1) for line in status.splitlines() if line.startswith(("VmHWM:", "VmRSS:")))
    current, peak = (int(lines.get(name, "0 kB").split()[0]) for name in ("VmRSS", "VmHWM"))
    return current, peak
