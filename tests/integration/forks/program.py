"""The ways in which processes, threads and event loops use an object, for an interpreter of its own.

python -m tests.integration.forks.program          # uses the pickled object on its standard input
python -m tests.integration.forks.program NAME     # exits while this object is in use
"""

import asyncio
import copy
import pickle
import subprocess
import sys
import threading
from typing import Any

import numpy as np

from tests.integration.forks.objects import ASYNC_USES, OBJECTS
from tests.support.forked import start_child

CHILDREN = 2


class Program:
    """One object, and the ways in which processes come to use it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.object = OBJECTS[name]
        self.expected: dict[int, Any] = {}

    def use(self, target: Any, *numbers: int) -> str:
        """Use it; whether it did what a fresh object does."""
        for number in numbers:
            outcome = self.compare(number, self.object.use(target, number))
            if outcome != "same":
                return outcome
        return "same"

    def compare(self, number: int, result: Any) -> str:
        """Whether a result is that of a fresh object."""
        expected = self.expected[number]
        is_same = np.array_equal(result, expected) or _is_close(result, expected)
        return "same" if is_same else f"{number}: {result} instead of {expected}"

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

    def event_loops(self) -> str:
        """Two event loops one after the other, then two at the same time, with several tasks in each."""
        target = self.object.build()
        use = ASYNC_USES.get(self.object.use)
        if use is None:
            _close(target)
            return "same"

        async def tasks() -> str:
            numbers = (1, 2, 3)
            results = await asyncio.gather(*(use(target, number) for number in numbers))
            return _worst([self.compare(number, result) for number, result in zip(numbers, results, strict=True)])

        outcomes = [asyncio.run(tasks()), asyncio.run(tasks())]
        threads = [threading.Thread(target=lambda: outcomes.append(asyncio.run(tasks()))) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        _close(target)
        return _worst(outcomes) if len(outcomes) == 4 else "an event loop failed"

    def exits(self) -> str:
        """An interpreter that ends while threads and tasks use the object."""
        command = [sys.executable, "-m", "tests.integration.forks.program", self.name]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
        output = done.stdout + done.stderr
        return "same" if (done.returncode, output) == (0, "") else f"exit status {done.returncode}: {output}"

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
        ways = (self.never_used, self.used, self.busy, self.pickled, self.event_loops, self.exits)
        return {way.__name__: way() for way in ways}


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


def exit_in_use(name: str) -> None:
    """Exit while threads and tasks use an object."""
    used = threading.Semaphore(0)
    target = OBJECTS[name].build()
    use, ause = OBJECTS[name].use, ASYNC_USES.get(OBJECTS[name].use)

    def keep_using() -> None:
        while True:
            use(target, 1)
            used.release()

    for _ in range(2):
        threading.Thread(target=keep_using, daemon=True).start()

    async def cancel_in_use() -> None:
        if ause is not None:
            task = asyncio.create_task(ause(target, 2))
            await asyncio.sleep(0)
            task.cancel()

    for _ in range(3):
        used.acquire()
    asyncio.run(cancel_in_use())


if __name__ == "__main__":
    if len(sys.argv) > 1:
        exit_in_use(sys.argv[1])
    else:
        print(use_pickled())
