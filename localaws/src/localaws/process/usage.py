"""How much of this machine a process uses, as /proc tells it."""

import os
import time
from pathlib import Path

__all__ = ["ProcessUsage"]


class ProcessUsage:
    """Processor and memory use of processes, between one look at each and the next."""

    def __init__(self) -> None:
        """Start without having looked at any."""
        self._seen: dict[int, tuple[float, float]] = {}
        self._clock_ticks = os.sysconf("SC_CLK_TCK")
        self._page_bytes = os.sysconf("SC_PAGE_SIZE")
        self._memory_bytes = self._page_bytes * os.sysconf("SC_PHYS_PAGES")

    def measure(self, pid: int) -> tuple[float, float] | None:
        """Percent of one core since the last look, or since the process started; percent of the machine's memory.

        None where there is no such process, or no /proc.
        """
        try:
            stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
            resident = int(Path(f"/proc/{pid}/statm").read_text(encoding="utf-8").split()[1]) * self._page_bytes
            uptime = float(Path("/proc/uptime").read_text(encoding="utf-8").split()[0])
        except (OSError, IndexError, ValueError):
            return None
        # The command's name, in parentheses, may hold spaces; fields are counted after it (proc(5): state is field 3,
        # utime and stime fields 14 and 15, starttime field 22).
        fields = stat.rpartition(")")[2].split()
        used = (int(fields[11]) + int(fields[12])) / self._clock_ticks
        now = time.monotonic()
        before, since = self._seen.get(pid, (0.0, now - (uptime - int(fields[19]) / self._clock_ticks)))
        self._seen[pid] = used, now
        return 100 * (used - before) / max(now - since, 1e-3), 100 * resident / self._memory_bytes

    def keep_only(self, pids: set[int]) -> None:
        """Forget processes that are gone."""
        self._seen = {pid: seen for pid, seen in self._seen.items() if pid in pids}
