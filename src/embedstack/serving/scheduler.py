"""Micro-batching: rows of all callers that wait at the same time share batches, and nobody waits for a batch to fill.

While the processor is idle a row starts at once, alone. While it is busy rows gather, and whatever gathered becomes the
next batches: the busier the server, the fuller its batches, with no timer in between.
"""

import itertools
import threading
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Generic, TypeVar

__all__ = ["Scheduler"]

TokenIds = list[int]
OutputT = TypeVar("OutputT")

# A row this much shorter than its batch is wide would be mostly padding; it waits for company of its own length.
_LEAST_FILL = 0.75


@dataclass(slots=True, eq=False)
class _Job(Generic[OutputT]):
    """One call: done when the last of its rows is, failed with the first error of any."""

    future: "Future[None]"
    deliver: Callable[[OutputT, int, int], None]
    unfinished: int


@dataclass(slots=True, eq=False)
class _Row(Generic[OutputT]):
    """One text's tokens; ``index`` is its place in its caller's list, ``age`` its place among all rows ever."""

    ids: TokenIds
    index: int
    age: int
    job: _Job[OutputT]
    taken: bool = False


def _order(row: "_Row[OutputT]") -> tuple[int, int]:
    return len(row.ids), -row.age


class Scheduler(Generic[OutputT]):
    """Runs rows in batches on a fixed number of worker threads. Safe to call from several threads."""

    def __init__(self, run: Callable[[list[TokenIds], bool], OutputT], workers: int, tokens_per_batch: int) -> None:
        """Start the workers.

        Args:
            run: Runs one batch; told whether it is alone, with nothing else running or waiting. Called in a worker;
                what it returns need only hold until its next call there.
            workers: Batches at once.
            tokens_per_batch: Largest padded size of a batch: its rows times its longest row.
        """
        self._run = run
        self._tokens_per_batch = tokens_per_batch
        self._ages = itertools.count()
        self._work = threading.Condition()
        self._by_length: list[_Row[OutputT]] = []  # sorted by _order
        self._by_age: deque[_Row[OutputT]] = deque()  # rows that were taken out of turn are still in it
        self._running = 0  # batches
        self._quiet = True  # whether the newest rows found the processor idle
        self._closed = False
        self._threads = [
            threading.Thread(target=self._worker, name=f"encoder-{number}", daemon=True) for number in range(workers)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, ids: Sequence[TokenIds], deliver: Callable[[OutputT, int, int], None]) -> "Future[None]":
        """Queue the rows of one call.

        Args:
            ids: Tokens of each text, none of them empty.
            deliver: Called in a worker, once for each row, with its batch's output, its place in that batch and its
                place in ``ids``.

        Returns:
            Done when every row is delivered; cancelling it drops the rows that have not started.
        """
        future: Future[None] = Future()
        job = _Job(future, deliver, len(ids))
        rows = [_Row(tokens, index, next(self._ages), job) for index, tokens in enumerate(ids)]
        if not rows:
            future.set_result(None)
            return future
        rows.sort(key=_order, reverse=True)
        with self._work:
            self._quiet = self._is_idle()
            self._by_age.extend(rows)
            self._by_length.extend(rows)
            self._by_length.sort(key=_order)
            self._work.notify(min(len(rows), len(self._threads)))
        return future

    def claim(self) -> bool:
        """Take the idle processor for work that a caller does in its own thread.

        Returns:
            Whether it was idle; if so, :meth:`release` must follow.
        """
        with self._work:
            if not self._is_idle():
                return False
            self._running = 1
            return True

    def release(self) -> None:
        """End what :meth:`claim` began."""
        with self._work:
            self._running -= 1

    def _is_idle(self) -> bool:
        return not self._running and not self._by_age

    def close(self) -> None:
        """End the workers after the batches that they are at."""
        with self._work:
            self._closed = True
            self._work.notify_all()
        for thread in self._threads:
            thread.join()

    def _worker(self) -> None:
        while taken := self._next_batch():
            batch, alone = taken
            try:
                output = self._run([row.ids for row in batch], alone)
                for position, row in enumerate(batch):
                    row.job.deliver(output, position, row.index)
            except BaseException as error:  # noqa: BLE001 - whatever it is, its callers must learn of it
                self.release()
                for row in batch:
                    _fail(row.job, error)
            else:
                self._finish(batch)

    def _next_batch(self) -> "tuple[list[_Row[OutputT]], bool] | None":
        """Wait for rows, and say whether they are alone; None when the scheduler is closed."""
        with self._work:
            while not self._closed:
                if batch := self._take():
                    self._running += 1
                    return batch, self._quiet and self._running == 1 and not self._by_length
                self._work.wait()
            return None

    def _take(self) -> "list[_Row[OutputT]]":
        """The oldest row and the rows next to it in length, within the padded size."""
        while self._by_age and (self._by_age[0].taken or self._by_age[0].job.future.cancelled()):
            row = self._by_age.popleft()
            if not row.taken:
                del self._by_length[bisect_left(self._by_length, _order(row), key=_order)]
        if not self._by_age:
            return []
        oldest = self._by_age.popleft()
        first = bisect_left(self._by_length, _order(oldest), key=_order)
        last = self._extend_to_longer(first)
        place = first
        first = self._extend_to_shorter(first, last)
        rows = _rounded_down(last + 1 - first)
        first = max(first, place + 1 - rows)
        last = first + rows - 1
        batch = self._by_length[first : last + 1]
        del self._by_length[first : last + 1]
        for row in batch:
            row.taken = True
        return batch

    def _extend_to_longer(self, first: int) -> int:
        least = len(self._by_length[first].ids)
        last = first
        while last + 1 < len(self._by_length):
            width = len(self._by_length[last + 1].ids)
            if least < _LEAST_FILL * width or width * (last + 2 - first) > self._tokens_per_batch:
                break
            last += 1
        return last

    def _extend_to_shorter(self, first: int, last: int) -> int:
        width = len(self._by_length[last].ids)
        room = max(self._tokens_per_batch // width, last + 1 - first)
        while first > 0 and last + 1 - first < room and len(self._by_length[first - 1].ids) >= _LEAST_FILL * width:
            first -= 1
        return first

    def _finish(self, batch: "list[_Row[OutputT]]") -> None:
        done = []
        with self._work:
            self._running -= 1
            for row in batch:
                row.job.unfinished -= 1
                if row.job.unfinished == 0:
                    done.append(row.job.future)
        for future in done:
            if not future.cancelled():
                future.set_result(None)


def _rounded_down(rows: int) -> int:
    """The largest number up to this with three leading bits and zeros behind: 8, 10, 12, 14, 16, 20, 24, 28, 32, 40.

    An engine compiles itself for every size of a batch, so it should meet few of them; the rest wait for the next.
    """
    unit = 1 << max(rows.bit_length() - 3, 0)
    return rows // unit * unit


def _fail(job: "_Job[OutputT]", error: BaseException) -> None:
    if not job.future.done():
        job.future.set_exception(error)
