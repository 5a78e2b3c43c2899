"""Micro-batching: waiting rows share batches, and a short call does not wait for all rows of a large one.

While the processor is idle, a row starts immediately in its own batch. While it is busy, rows are queued and form the
next batches. Batches grow with the load, without a timer.

Each batch has a leading call, which fills it with rows of similar length; other calls add rows if there is space. Calls
that have not led a batch yet lead every other batch. The other calls lead in turn, weighted by tokens (deficit round
robin: Shreedhar and Varghese, 1996, https://doi.org/10.1109/90.502236). So a short call waits for a few batches only,
and a call with many rows still progresses while many short calls arrive.
"""

import logging
import threading
import time
from bisect import bisect_right, insort
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain
from typing import Generic, TypeVar

from embedstack.errors import ModelFailed

__all__ = ["Scheduler", "Workload"]

TokenIds = list[int]
OutputT = TypeVar("OutputT")

_logger = logging.getLogger(__name__)

# Minimum length of a row relative to its batch's width. Shorter rows wait for rows of their own length.
_LEAST_FILL = 0.75
# After a small call arrived while a large one was running, the large one's batches are half as large for this long.
# This halves the wait of the next small call and costs the large call about 5 % of its throughput.
_SHARED_SECONDS = 1.0


@dataclass(slots=True, eq=False)
class _Job(Generic[OutputT]):
    """One call: done when its last row is done, failed with the first error of any row."""

    future: "Future[None]"
    deliver: Callable[[OutputT, int, int], None]
    unfinished: int
    waiting: "list[_Row[OutputT]]" = field(default_factory=list)  # by length
    waiting_tokens: int = 0
    credit: int = 0  # tokens that it may lead in its turn

    def take(self, place: int) -> "_Row[OutputT]":
        row = self.waiting.pop(place)
        self.waiting_tokens -= len(row.ids)
        return row

    def put_back(self, row: "_Row[OutputT]") -> None:
        insort(self.waiting, row, key=_length)
        self.waiting_tokens += len(row.ids)


@dataclass(slots=True, eq=False)
class _Row(Generic[OutputT]):
    """One text's token ids; ``index`` is its position in the caller's list."""

    ids: TokenIds
    index: int
    job: _Job[OutputT]


def _length(row: "_Row[OutputT]") -> int:
    return len(row.ids)


@dataclass(frozen=True, slots=True)
class Workload:
    """What a scheduler has to compute, and what it has computed since its start.

    Attributes:
        waiting_calls: Calls with texts that wait for a batch.
        waiting_texts: Texts that wait for a batch.
        waiting_tokens: Tokens of these texts.
        running_batches: Batches that are being computed.
        batches: Batches that were started.
        texts: Texts in these batches.
        tokens: Tokens in these batches, without padding.
        capacity_tokens: Tokens that fit into these batches.
    """

    waiting_calls: int
    waiting_texts: int
    waiting_tokens: int
    running_batches: int
    batches: int
    texts: int
    tokens: int
    capacity_tokens: int


class _Batch(Generic[OutputT]):
    """Rows of similar length, up to a maximum padded size."""

    def __init__(self, lead: _Row[OutputT], most_tokens: int) -> None:
        self.rows = [lead]
        self._most_tokens = most_tokens
        self._shortest = self._width = len(lead.ids)

    @property
    def is_full(self) -> bool:
        return (len(self.rows) + 1) * self._width > self._most_tokens

    def tokens_of(self, job: _Job[OutputT]) -> int:
        """The padded size of the job's rows."""
        return self._width * sum(row.job is job for row in self.rows)

    def add_rows_of(self, job: _Job[OutputT]) -> None:
        """Move the job's rows that fit into the batch, starting with those no longer than its width."""
        place = bisect_right(job.waiting, self._width, key=_length)
        while place > 0 and self._add(job, place - 1):
            place -= 1
        while place < len(job.waiting) and self._add(job, place):
            pass

    def _add(self, job: _Job[OutputT], place: int) -> bool:
        length = len(job.waiting[place].ids)
        shortest, width = min(self._shortest, length), max(self._width, length)
        if shortest < _LEAST_FILL * width or (len(self.rows) + 1) * width > self._most_tokens:
            return False
        self._shortest, self._width = shortest, width
        self.rows.append(job.take(place))
        return True

    def put_back_odd_rows(self) -> None:
        """Reduce the batch to a round number of rows; the others wait for the next batch.

        Engines compile kernels for every batch size, so there should be few different sizes.
        """
        count = _rounded_down(len(self.rows))
        for row in self.rows[count:]:
            row.job.put_back(row)
        del self.rows[count:]
        self._width = max(map(_length, self.rows))


class Scheduler(Generic[OutputT]):
    """Runs rows in batches on a fixed number of worker threads. Safe to call from several threads."""

    def __init__(self, run: Callable[[list[TokenIds], bool], OutputT], workers: int, tokens_per_batch: int) -> None:
        """Start the workers.

        Args:
            run: Computes one batch; the second argument tells whether nothing else is running or waiting. Called in a
                worker; its result must stay valid until the next call in the same worker.
            workers: Number of concurrent batches.
            tokens_per_batch: Maximum padded size of a batch: number of rows times length of the longest row.
        """
        self._run = run
        self._tokens_per_batch = tokens_per_batch
        self._changed = threading.Condition()
        # Calls with waiting rows: those that have not led a batch yet, and the others in the order of their turns.
        self._new: OrderedDict[_Job[OutputT], None] = OrderedDict()
        self._served: OrderedDict[_Job[OutputT], None] = OrderedDict()
        self._shared_until = float("-inf")  # on the monotonic clock
        self._was_new = False  # whether a new call led the last batch
        self._running = 0  # number of running batches
        self._quiet = True  # whether the processor was idle when the newest rows arrived
        self._batches = self._texts = self._tokens = self._capacity_tokens = 0  # totals; see Workload
        self._stopped: str | None = None  # the reason why no more rows are accepted
        self._threads = [
            threading.Thread(target=self._work, name=f"encoder-{number}", daemon=True) for number in range(workers)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def is_healthy(self) -> bool:
        """Whether submitted rows will be computed."""
        return self._stopped is None

    def submit(self, ids: Sequence[TokenIds], deliver: Callable[[OutputT, int, int], None]) -> "Future[None]":
        """Queue the rows of one call.

        Args:
            ids: Token ids of each text, at least one per text.
            deliver: Called in a worker, once for each row, with the batch's output, the row's position in the batch
                and its index in ``ids``. An exception fails this call only.

        Returns:
            A future that is done when every row is delivered; cancelling it drops the rows that have not started.
        """
        future: Future[None] = Future()
        future.add_done_callback(_notify_waiters)
        job = _Job(future, deliver, len(ids))
        job.waiting = sorted((_Row(tokens, index, job) for index, tokens in enumerate(ids)), key=_length)
        job.waiting_tokens = sum(map(len, ids))
        if not job.waiting:
            future.set_result(None)
            return future
        with self._changed:
            if self._stopped is not None:
                future.set_exception(ModelFailed(self._stopped))
                return future
            self._quiet = self._is_idle()
            self._new[job] = None
            self._changed.notify(min(len(ids), len(self._threads)))
        return future

    def claim(self) -> bool:
        """Reserve the idle processor for work in the caller's own thread.

        Returns:
            Whether the processor was idle; if so, :meth:`release` must follow.
        """
        with self._changed:
            if not self._is_idle() or self._stopped is not None:
                return False
            self._running = 1
            return True

    def release(self) -> None:
        """Release the processor after :meth:`claim`."""
        with self._changed:
            self._running -= 1

    def workload(self) -> Workload:
        """What waits and what was computed, without the calls of :meth:`claim`."""
        with self._changed:
            waiting = [job for job in chain(self._new, self._served) if not job.future.done()]
            return Workload(
                waiting_calls=len(waiting),
                waiting_texts=sum(len(job.waiting) for job in waiting),
                waiting_tokens=sum(job.waiting_tokens for job in waiting),
                running_batches=self._running,
                batches=self._batches,
                texts=self._texts,
                tokens=self._tokens,
                capacity_tokens=self._capacity_tokens,
            )

    def _is_idle(self) -> bool:
        return not (self._running or self._new or self._served)

    def close(self) -> None:
        """Stop the workers after their current batches; waiting calls fail."""
        self._stop("The encoder is closed. Load the model again.")
        for thread in self._threads:
            thread.join()

    def _stop(self, reason: str) -> None:
        with self._changed:
            self._stopped = self._stopped or reason
            waiting = [*self._new, *self._served]
            self._new.clear()
            self._served.clear()
            self._changed.notify_all()
        for job in waiting:
            _settle(job.future, ModelFailed(reason))

    def _work(self) -> None:
        batch: list[_Row[OutputT]] = []
        try:
            while taken := self._next_batch():
                batch, alone = taken
                self._compute(batch, alone)
        except BaseException as error:
            # Stop completely: with a worker missing, the scheduler would be slower and still report itself healthy.
            _logger.exception("an encoder worker failed")
            self._stop(f"An encoder worker failed ({type(error).__name__}). Restart the server.")
            for row in batch:
                _settle(row.job.future, error)

    def _compute(self, batch: "list[_Row[OutputT]]", alone: bool) -> None:
        try:
            output = self._run([row.ids for row in batch], alone)
        except BaseException as error:  # noqa: BLE001 - every error is reported to the callers
            self.release()
            for row in batch:
                _settle(row.job.future, error)
            return
        failures: list[tuple[_Job[OutputT], BaseException]] = []
        for position, row in enumerate(batch):
            try:
                row.job.deliver(output, position, row.index)
            except BaseException as error:  # noqa: BLE001 - fails one caller only
                failures.append((row.job, error))
        done = self._finish(batch)
        for job, failure in failures:
            _settle(job.future, failure)
        for job in done:
            _settle(job.future)

    def _finish(self, batch: "list[_Row[OutputT]]") -> "list[_Job[OutputT]]":
        """Count the batch's rows as finished; the jobs that are complete now."""
        done = []
        with self._changed:
            self._running -= 1
            for row in batch:
                row.job.unfinished -= 1
                if row.job.unfinished == 0:
                    done.append(row.job)
        return done

    def _next_batch(self) -> "tuple[list[_Row[OutputT]], bool] | None":
        """Wait for a batch, and whether it runs alone; None when the scheduler has stopped."""
        with self._changed:
            while self._stopped is None:
                if batch := self._take():
                    self._running += 1
                    return batch, self._quiet and self._running == 1 and not (self._new or self._served)
                self._changed.wait()
            return None

    def _take(self) -> "list[_Row[OutputT]]":
        """The next batch; empty if no rows wait."""
        for jobs in (self._new, self._served):
            for job in [job for job in jobs if job.future.done()]:  # cancelled or failed
                del jobs[job]
        if not (self._new or self._served):
            return []
        lead = self._next_lead()
        is_large = lead.waiting_tokens > self._tokens_per_batch
        now = time.monotonic()
        if not is_large and len(self._served) > 1:
            self._shared_until = now + _SHARED_SECONDS
        is_shared = is_large and now < self._shared_until
        batch = _Batch(lead.take(-1), self._tokens_per_batch // 2 if is_shared else self._tokens_per_batch)
        batch.add_rows_of(lead)
        for job in chain(self._new, self._served):
            if batch.is_full:
                break
            # A small call's batch takes no rows of a large call, which fills its own batches anyway.
            if is_large or job.waiting_tokens <= self._tokens_per_batch:
                batch.add_rows_of(job)
        batch.put_back_odd_rows()
        lead.credit -= batch.tokens_of(lead)
        for row in batch.rows:
            if not row.job.waiting:
                self._new.pop(row.job, None)
                self._served.pop(row.job, None)
        self._count(batch.rows)
        return batch.rows

    def _count(self, rows: "list[_Row[OutputT]]") -> None:
        """Add a batch to the totals."""
        lengths = list(map(_length, rows))
        self._batches += 1
        self._texts += len(rows)
        self._tokens += sum(lengths)
        self._capacity_tokens += max(self._tokens_per_batch, *lengths)

    def _next_lead(self) -> "_Job[OutputT]":
        """Choose the call that leads the next batch, and mark it as served."""
        self._was_new = bool(self._new) and not (self._was_new and self._served)
        if self._was_new:
            job, _ = self._new.popitem(last=False)
            self._served[job] = None
            return job
        job = next(iter(self._served))
        if len(self._served) == 1:
            job.credit = 0  # no other call waited meanwhile
        while job.credit <= 0 and len(self._served) > 1:
            job.credit += self._tokens_per_batch
            self._served.move_to_end(job)
            job = next(iter(self._served))
        return job


def _rounded_down(rows: int) -> int:
    """The number rounded down to three significant bits: 8, 10, 12, 14, 16, 20, 24, 28, 32, 40."""
    unit = 1 << max(rows.bit_length() - 3, 0)
    return rows // unit * unit


def _notify_waiters(future: "Future[None]") -> None:
    """Mark a cancelled call as done for ``concurrent.futures.wait``; no worker may do so later."""
    if future.cancelled():
        future.set_running_or_notify_cancel()


def _settle(future: "Future[None]", error: BaseException | None = None) -> None:
    """Finish a future, unless it was cancelled concurrently or has already failed."""
    if error is not None and (not isinstance(error, Exception) or isinstance(error, StopIteration | CancelledError)):
        # In the caller's thread or event loop, these exceptions have another meaning than a failed computation.
        error = ModelFailed(f"The computation failed with {type(error).__name__}.")
    with suppress(InvalidStateError):
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(error)
