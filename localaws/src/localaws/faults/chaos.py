"""Processes of a local AWS that die at random, as machines do: functions, model servers and databases, at work."""

import contextlib
import json
import os
import random
import signal
import subprocess
import threading
from collections import Counter
from collections.abc import Collection
from pathlib import Path
from typing import Literal, Self

from localaws.process.pid_files import ProcessIdentity

__all__ = ["RandomKills", "Victim", "processes"]

Victim = Literal["database", "function", "model"]

#: Modules by which processes tell what they are.
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
            state_dir: The local AWS's.
            seed: Of the choice among processes and the waits between; what runs at a moment is not in its hand. Kinds
                are killed equally often, as far as they run.
            interval: Seconds between two kills on average, drawn between half and one and a half of it.
            most: Kills of each kind at most; None for no end.
            kinds: What to kill; of a database its postmaster, which takes every connection with it.
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
        """Kill no more."""
        self._stopped.set()

    @property
    def is_done(self) -> bool:
        """Whether there were as many of each kind as there may be."""
        return self._most is not None and all(self.kills[kind] >= self._most for kind in self._kinds)

    def _run(self) -> None:
        while not self.is_done and not self._stopped.wait(self._interval * self._random.uniform(0.5, 1.5)):
            # The kind that was spared most, or another where it has no process, as an endpoint that nobody asks.
            for kind in sorted(self._random.sample(self._kinds, len(self._kinds)), key=lambda kind: self.kills[kind]):
                if self._most is not None and self.kills[kind] >= self._most:
                    continue
                if running := [one for one, its in processes(self._state_dir).items() if its == kind]:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(self._random.choice(running).pid, signal.SIGKILL)
                        self.kills[kind] += 1
                    break


def processes(state_dir: Path) -> dict[ProcessIdentity, Victim]:
    """The processes of functions, model servers and databases that run now, and what each is.

    Args:
        state_dir: The local AWS's.
    """
    found = {}
    for file in sorted((state_dir / "containers").glob("*.json")):
        # A file may go, or be in the middle of being written.
        with contextlib.suppress(OSError, ValueError, TypeError):
            identity = ProcessIdentity(**json.loads(file.read_text(encoding="utf-8")))
            if identity.alive and (kind := _kind(identity.pid)):
                found[identity] = kind
    return found


def _kind(pid: int) -> Victim | None:
    command = subprocess.run(
        ["ps", "-ww", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False
    ).stdout.split()
    if any(word.endswith(_DATABASE_PROGRAM) for word in command):
        return "database"
    return next((_MODULES[word] for word in command if word in _MODULES), None)
