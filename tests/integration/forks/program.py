"""The ways in which processes come to use an object, for an interpreter of its own.

python -m tests.integration.forks.program    # uses the pickled object on its standard input
"""

import copy
import pickle
import subprocess
import sys
import threading
from typing import Any

import numpy as np

from tests.integration.forks.objects import OBJECTS
from tests.support.forked import start_child

CHILDREN = 2


class Program:
    """One object, and the ways in which processes come to use it."""

    def __init__(self, name: str) -> None:
        self.object = OBJECTS[name]
        self.expected: dict[int, Any] = {}

    def use(self, target: Any, *numbers: int) -> str:
        """Use it; whether it did what a fresh object does."""
        for number in numbers:
            result = self.object.use(target, number)
            if not np.array_equal(result, self.expected[number]) and not _is_close(result, self.expected[number]):
                return f"{number}: {result} instead of {self.expected[number]}"
        return "same"

    def never_used(self) -> str:
        """Built before the fork, and first used in children."""
        target = self.object.build()
        waits = [start_child(lambda: self.use(target, 1, 2)) for _ in range(2)]
        outcomes = [wait() for wait in waits] + [self.use(target, 1)]
        _close(target)
        return _worst(outcomes)

    def used(self) -> str:
        """Used, then by children and the parent at the same time, and by children of a child."""
        target = self.object.build()
        outcomes = [self.use(target, 1, 2)]

        def child(number: int) -> str:
            inner = [self.use(target, number, number + 1)]
            grandchild = start_child(lambda: self.use(target, number + 1, number))
            inner += [self.use(target, number), grandchild()]
            return _worst(inner)

        waits = [start_child(lambda number=number: child(number)) for number in range(CHILDREN)]  # type: ignore[misc]
        outcomes.append(self.use(target, 3, 4, 5))
        outcomes += [wait() for wait in waits]
        outcomes.append(self.use(target, 1, 2))
        _close(target)
        return _worst(outcomes)

    def busy(self) -> str:
        """Children are forked, by a thread too, while other threads use it."""
        target = self.object.build()
        stopped = threading.Event()
        outcomes: list[str] = []

        def keep_using() -> None:
            while not stopped.is_set():
                outcomes.append(self.use(target, 1, 2, 3))

        threads = [threading.Thread(target=keep_using) for _ in range(3)]
        for thread in threads:
            thread.start()

        def fork() -> None:
            outcomes.extend(start_child(lambda: self.use(target, 2))() for _ in range(CHILDREN))

        forking = threading.Thread(target=fork)
        forking.start()
        fork()
        forking.join()
        stopped.set()
        for thread in threads:
            thread.join()
        _close(target)
        return _worst(outcomes)

    def pickled(self) -> str:
        """A pickle, in this process and in a fresh interpreter, and copies."""
        target = self.object.build()
        before = self.use(target, 1)
        if self.object.refuses is not None:
            for refused in (pickle.dumps, copy.deepcopy):
                try:
                    refused(target)
                except TypeError as error:
                    if self.object.refuses not in str(error):
                        return f"refused with {error}"
                else:
                    return f"not refused by {refused.__name__}"
            return before
        pickled = pickle.dumps(target)
        copies = [pickle.loads(pickled), copy.copy(target), copy.deepcopy(target)]  # noqa: S301
        outcomes = [before, *(self.use(again, 1, 2) for again in copies), self.in_fresh_interpreter(pickled)]
        for each in (*copies, target):
            _close(each)
        return _worst(outcomes)

    def in_fresh_interpreter(self, pickled: bytes) -> str:
        """As multiprocessing's spawn hands an object on."""
        command = [sys.executable, "-m", "tests.integration.forks.program"]
        content = pickle.dumps((self.object.use, self.expected, pickled))
        done = subprocess.run(command, input=content, capture_output=True, check=False)
        return done.stdout.decode().strip() or done.stderr.decode()

    def run(self) -> dict[str, str]:
        """Every way."""
        fresh = self.object.build()
        self.expected = {number: self.object.use(fresh, number) for number in range(6)}
        _close(fresh)
        return {way.__name__: way() for way in (self.never_used, self.used, self.busy, self.pickled)}


def _is_close(result: Any, expected: Any) -> bool:
    # The rounding of a model in this process depends on what else is in the batch.
    return isinstance(expected, np.ndarray) and np.allclose(result, expected, atol=1e-2)


def _worst(outcomes: list[str]) -> str:
    return next((outcome for outcome in outcomes if outcome != "same"), "same")


def _close(target: Any) -> None:
    if hasattr(target, "close"):
        target.close()


def use_pickled() -> str:
    """Use an object that another interpreter has pickled."""
    use, expected, pickled = pickle.load(sys.stdin.buffer)  # noqa: S301
    target = pickle.loads(pickled)  # noqa: S301
    result = use(target, 1)
    _close(target)
    return "same" if np.array_equal(result, expected[1]) or _is_close(result, expected[1]) else f"other: {result}"


if __name__ == "__main__":
    print(use_pickled())
