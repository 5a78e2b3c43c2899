"""Kills processes of a local AWS at random, as machines fail: functions, model servers and databases."""

import contextlib
import os
import random
import signal
import threading
from collections import Counter
from collections.abc import Collection
from pathlib import Path
from typing import Literal, Self

import psutil

from localaws.process.identity import ProcessIdentity
from localaws.process.pid_files import PidFiles

__all__ = ["RandomKills", "Victim", "processes"]

Victim = Literal["database", "function", "model"]

#: Kinds of process, by the module that they run.
_MODULES: dict[str, Victim] = {
    "awslambdaric": "function",
    "localaws.services.sagemaker.containers.main": "model",
}
_DATABASE_PROGRAM = "/bin/postgres"


class RandomKills:
    """Kills processes of one local AWS with SIGKILL, from entering the context until leaving it.

    Attributes:
        kills: How many of each kind were killed so far.
    """

    def __init__(
        self,
        state_dir: Path,
        *,
        seed: int,
        interval: float,
        most: int | None = None,
        kinds: Collection[Victim] = ("function", "model"),
    ) -> None:
        """Prepare.

        Args:
            state_dir: The local AWS's state directory.
            seed: Seed of the random choices among the running processes and of the intervals. Each kind is killed
                equally often while it runs.
            interval: Average seconds between two kills; each interval is between half and one and a half of it.
            most: Maximum number of kills per kind; None for no limit.
            kinds: What to kill. Of a database, the postmaster is killed, which closes every connection.
        """
        self.kills: Counter[Victim] = Counter()
        self._state_dir = state_dir
        self._random = random.Random(seed)  # noqa: S311 - the same choices in every run
        self._interval = interval
        self._most = most
        self._kinds = sorted(set(kinds))
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="random-kills", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._thread.join()

    def stop(self) -> None:
        """Stop killing."""
        self._stopped.set()

    @property
    def is_done(self) -> bool:
        """Whether the maximum was reached for every kind."""
        return self._most is not None and all(self.kills[kind] >= self._most for kind in self._kinds)

    def _run(self) -> None:
        while not self.is_done and not self._stopped.wait(self._interval * self._random.uniform(0.5, 1.5)):
            # The kind with the fewest kills that has a running process.
            for kind in sorted(self._random.sample(self._kinds, len(self._kinds)), key=lambda kind: self.kills[kind]):
                if self._most is not None and self.kills[kind] >= self._most:
                    continue
                if running := [identity for identity, other in processes(self._state_dir).items() if other == kind]:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(self._random.choice(running).pid, signal.SIGKILL)
                        self.kills[kind] += 1
                    break


def processes(state_dir: Path) -> dict[ProcessIdentity, Victim]:
    """The running processes of functions, model servers and databases, with their kinds.

    Args:
        state_dir: The local AWS's state directory.
    """
    kinds = {identity: _kind(identity.pid) for identity in PidFiles(state_dir / "containers").running()}
    return {identity: kind for identity, kind in kinds.items() if kind is not None}


def _kind(pid: int) -> Victim | None:
    try:
        command = psutil.Process(pid).cmdline()
    except psutil.Error:
        return None
    # A server may have rewritten its command line into one text.
    words = " ".join(command).split()
    if any(word.endswith(_DATABASE_PROGRAM) for word in words):
        return "database"
    return next((_MODULES[word] for word in words if word in _MODULES), None)
