"""How much of this machine's processor and memory a process uses."""

import time

import psutil

__all__ = ["ProcessUsage"]


class ProcessUsage:
    """Processor and memory use of processes, between one measurement of each and the next."""

    def __init__(self) -> None:
        """Start without any measurement."""
        self._processes: dict[int, psutil.Process] = {}

    def measure(self, pid: int) -> tuple[float, float] | None:
        """Measure a process.

        Returns:
            Percent of one core since the last measurement, or since the process started; percent of the machine's
            memory. None if the process does not exist.
        """
        try:
            process = self._processes.get(pid)
            if process is None:
                process = psutil.Process(pid)
                # The first call only remembers what the next one is compared with.
                process.cpu_percent()
                self._processes[pid] = process
                times = process.cpu_times()
                age = max(time.time() - process.create_time(), 1e-3)
                return 100 * (times.user + times.system) / age, process.memory_percent()
            return process.cpu_percent(), process.memory_percent()
        except psutil.NoSuchProcess:
            self._processes.pop(pid, None)
            return None

    def keep_only(self, pids: set[int]) -> None:
        """Drop the measurements of all other processes."""
        self._processes = {pid: process for pid, process in self._processes.items() if pid in pids}
