"""The memory of a process and of all that it started, which Lambda's limit is about, as /proc tells it."""

import contextlib
import threading
from pathlib import Path

__all__ = ["ProcessMemory", "descendants"]


class ProcessMemory:
    """The most memory that processes have used together, by a look at them now and then.

    Pages that several of them share, such as a library's, count for each of them: some MB more than Lambda counts.
    """

    def __init__(self, pid: int) -> None:
        """Look at nothing yet.

        Args:
            pid: The process that has started the others.
        """
        self._pid = pid
        self._lock = threading.Lock()
        self._peaks: dict[int, int] = {}
        self._most = 0

    def measure(self) -> int:
        """The most so far, in MB; 0 where the system does not tell."""
        with self._lock:
            peaks, total = {}, 0
            for pid in (self._pid, *descendants(self._pid)):
                held, peak = _held(pid)
                # What has a new peak since the last look may have had it beside what the others hold.
                total += peak if peak > self._peaks.get(pid, 0) else held
                peaks[pid] = peak
            self._peaks = peaks
            self._most = max(self._most, total)
            return -(-self._most // 1024)


def descendants(pid: int) -> list[int]:
    """Processes that a process has started, and those that they have, as long as each one's parent lives."""
    found: list[int] = []
    waiting = [pid]
    while waiting:
        for file in Path(f"/proc/{waiting.pop()}/task").glob("*/children"):
            # A thread or a process may end in the middle of this.
            with contextlib.suppress(OSError):
                children = [int(child) for child in file.read_text(encoding="ascii").split()]
                found += children
                waiting += children
    return found


def _held(pid: int) -> tuple[int, int]:
    """Kilobytes that a process holds now, and the most that it ever did."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return 0, 0
    lines = dict(line.split(":", 1) for line in status.splitlines() if line.startswith(("VmHWM:", "VmRSS:")))
    held, peak = (int(lines.get(name, "0 kB").split()[0]) for name in ("VmRSS", "VmHWM"))
    return held, peak
