"""Processor time of the processes of a local AWS."""

import threading
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import psutil

from localaws.faults.chaos import processes

__all__ = ["ProcessorTime"]


@dataclass(slots=True)
class ProcessorTime:
    """Seconds of processor time by kind of process, sampled every second during the context."""

    state: Path
    local_aws: int
    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    _last: dict[int, float] = field(default_factory=dict)
    _stopped: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._sample(count=False)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        if self._thread is not None:
            self._thread.join()
        self._sample()

    def _run(self) -> None:
        while not self._stopped.wait(1):
            self._sample()

    def _sample(self, *, count: bool = True) -> None:
        kinds = {identity.pid: str(kind) for identity, kind in processes(self.state).items()}
        for pid, kind in {**kinds, self.local_aws: "local AWS"}.items():
            used = processor_seconds(pid)
            # A new process has used all of its time since the last sample.
            self.seconds[kind] += max(0.0, used - self._last.get(pid, 0.0)) if count else 0
            self._last[pid] = used


def processor_seconds(pid: int) -> float:
    """Processor time of a process and its terminated children, in seconds."""
    try:
        times = psutil.Process(pid).cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system + times.children_user + times.children_system)
