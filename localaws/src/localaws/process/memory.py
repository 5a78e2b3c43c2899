"""The memory of a process and its descendants. Linux only: the peaks come from /proc."""

import contextlib
import threading
from pathlib import Path

__all__ = ["ProcessMemory", "descendants"]


class ProcessMemory:
    """The most memory that a process and its descendants have used together, measured from time to time.

    Pages that several processes share, such as a library's, count once for each of them.
    """

    def __init__(self, pid: int) -> None:
        """Prepare; nothing is measured yet.

        Args:
            pid: The process that started the others.
        """
        self._pid = pid
        self._lock = threading.Lock()
        self._peaks: dict[int, int] = {}
        self._most = 0

    def measure(self) -> int:
        """The most so far, in MB; 0 without /proc."""
        with self._lock:
            peaks, total = {}, 0
            for pid in (self._pid, *descendants(self._pid)):
                resident, peak = _resident_and_peak_kb(pid)
                # A peak that rose since the last measurement may have coincided with what the others hold.
                total += peak if peak > self._peaks.get(pid, 0) else resident
                peaks[pid] = peak
            self._peaks = peaks
            self._most = max(self._most, total)
            return -(-self._most // 1024)


def descendants(pid: int) -> list[int]:
    """Children of a process and their children, as long as each one's parent lives."""
    pids: list[int] = []
    pending = [pid]
    while pending:
        for file in Path(f"/proc/{pending.pop()}/task").glob("*/children"):
            # A thread or a process may end meanwhile.
            with contextlib.suppress(OSError):
                children = [int(child) for child in file.read_text(encoding="ascii").split()]
                pids += children
                pending += children
    return pids


def _resident_and_peak_kb(pid: int) -> tuple[int, int]:
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return 0, 0
    lines = dict(line.split(":", 1) for line in status.splitlines() if line.startswith(("VmHWM:", "VmRSS:")))
    resident, peak = (int(lines.get(name, "0 kB").split()[0]) for name in ("VmRSS", "VmHWM"))
    return resident, peak
