"""Micro-batching: waiting rows share batches, and a short call does not wait for all rows of a large one.

While the processor is idle, a row starts immediately, on all cores. No other batch disturbs it, unless it is long: its
cores would wait for the slowest of them. If several rows wait when it ends, each core computes a batch. While all cores
are busy, rows are queued and form the next batches. Batches grow with the load, without a timer.

Each batch has a leading call, which fills it with rows of similar length; other calls add rows if there is space. Calls
that have not led a batch yet lead every other batch. The other calls lead in turn, weighted by tokens (deficit round
robin: Shreedhar and Varghese, 1996, https://doi.org/10.1109/90.502236). So a short call waits for a few batches only,
and a call with many rows still progresses while many short calls arrive.
"""

import logging
import threading
import time
from bisect import bisect_right, insort
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain, product
from typing import Generic, TypeVar

from embedstack.errors import ModelFailed

__all__ = ["Scheduler", "Workload"]

TokenIds = list[int]
OutputT = TypeVar("OutputT")

_logger = logging.getLogger(__name__)

# Minimum length of a row relative to its batch's width. Shorter rows wait for rows of their own length. Rows of nearly
# the same length are added first: with 64 clients of one short text, a batch then has 5 % padding instead of 12 %.
_LEAST_FILLS = (0.9, 0.75)
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
    """Rows of similar length, up to a maximum padded size and number."""

    def __init__(self, lead: _Row[OutputT], most_tokens: int, most_rows: int | None) -> None:
        self.rows = [lead]
        self._most_tokens = most_tokens
        self._most_rows = most_rows or most_tokens
        self._shortest = self._width = len(lead.ids)

    @property
    def is_full(self) -> bool:
        return self._is_over(self._width)

    def _is_over(self, width: int) -> bool:
        """Whether another row is too many, at this width."""
        count = len(self.rows) + 1
        return count > self._most_rows or count * width > self._most_tokens

    def tokens_of(self, job: _Job[OutputT]) -> int:
        """The padded size of the job's rows."""
        return self._width * sum(row.job is job for row in self.rows)

    def add_rows_of(self, job: _Job[OutputT], least_fill: float) -> None:
        """Move the job's rows that fit into the batch, starting with those no longer than its width."""
        rows = job.waiting
        if not rows or len(rows[-1].ids) < least_fill * self._width or len(rows[0].ids) * least_fill > self._shortest:
            return  # most calls, of which there may be hundreds
        place = bisect_right(rows, self._width, key=_length)
        while place > 0 and self._add(job, place - 1, least_fill):
            place -= 1
        while place < len(rows) and self._add(job, place, least_fill):
            pass

    def _add(self, job: _Job[OutputT], place: int, least_fill: float) -> bool:
        length = len(job.waiting[place].ids)
        shortest, width = min(self._shortest, length), max(self._width, length)
        if shortest < least_fill * width or self._is_over(width):
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
            run: Computes one batch; the second argument tells whether it is one row that may use all cores. Called in
                a worker; its result must stay valid until the next call in the same worker.
            workers: Number of concurrent batches.
            tokens_per_batch: Maximum padded size of a batch: number of rows times length of the longest row.
        """
        self._run = run
        self._tokens_per_batch = tokens_per_batch
        self._changed = threading.Condition()
        # Calls with waiting rows: those that have not led a batch yet, and the others in the order of their turns.
        self._new: OrderedDict[_Job[OutputT], None] = OrderedDict()
        self._served: OrderedDict[_Job[OutputT], None] = OrderedDict()
        self._failed: deque[_Job[OutputT]] = deque()  # failed or cancelled calls to remove from the others
        self._shared_until = float("-inf")  # on the monotonic clock
        self._was_new = False  # whether a new call led the last batch
        self._running = 0  # number of running batches
        self._most_alone = max(1, workers // 2)  # waiting rows up to which each runs on all cores
        self._exclusive = False  # whether the running batch uses all cores, so that others wait for it
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
        job = _Job(future, deliver, len(ids))
        future.add_done_callback(lambda _: self._remove_failed(job))
        job.waiting = sorted((_Row(tokens, index, job) for index, tokens in enumerate(ids)), key=_length)
        job.waiting_tokens = sum(map(len, ids))
        if not job.waiting:
            future.set_result(None)
            return future
        with self._changed:
            if self._stopped is not None:
                future.set_exception(ModelFailed(self._stopped))
                return future
            self._new[job] = None
            if not self._exclusive:  # else its worker takes the next batch
                self._changed.notify(min(len(ids), len(self._threads)))
        return future

    def claim(self, tokens: int) -> bool:
        """Reserve the idle processor for one row in the caller's own thread.

        Args:
            tokens: Number of the row's tokens.

        Returns:
            Whether the processor was idle; if so, :meth:`release` must follow.
        """
        with self._changed:
            if not self._is_idle() or self._stopped is not None:
                return False
            self._running = 1
            self._exclusive = tokens <= self._tokens_per_batch
            return True

    def release(self) -> None:
        """Release the processor after :meth:`claim`."""
        with self._changed:
            self._end_batch()
            self._changed.notify()

    def _end_batch(self) -> None:
        self._running -= 1
        self._exclusive = False

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
            self._end_batch()
            for row in batch:
                row.job.unfinished -= 1
                if row.job.unfinished == 0:
                    done.append(row.job)
        return done

    def _next_batch(self) -> "tuple[list[_Row[OutputT]], bool] | None":
        """Wait for a batch, and whether it runs alone; None when the scheduler has stopped."""
        with self._changed:
            while self._stopped is None:
                if not self._exclusive and (taken := self._take()):
                    self._running += 1
                    batch, alone = taken
                    # A second batch would take a core from this one, whose other cores would wait for that core.
                    self._exclusive = alone and len(batch[0].ids) <= self._tokens_per_batch
                    if not self._exclusive and (self._new or self._served):
                        self._changed.notify()
                    return taken
                self._changed.wait()
            return None

    def _take(self) -> "tuple[list[_Row[OutputT]], bool] | None":
        """The next batch, and whether it runs alone; None if no rows wait."""
        while self._failed:
            job = self._failed.popleft()
            self._new.pop(job, None)
            self._served.pop(job, None)
        if not (self._new or self._served):
            return None
        free = len(self._threads) - self._running
        # Counting takes time, and is not needed when this worker's core is the only free one.
        is_light = free > 1 or not self._running
        rows = sum(len(job.waiting) for job in chain(self._new, self._served)) if is_light else 0
        alone = not self._running and rows <= self._most_alone
        lead = self._next_lead()
        is_large = lead.waiting_tokens > self._tokens_per_batch
        now = time.monotonic()
        if not is_large and len(self._served) > 1:
            self._shared_until = now + _SHARED_SECONDS
        is_shared = is_large and now < self._shared_until
        batch = _Batch(
            lead.take(-1),
            self._tokens_per_batch // 2 if is_shared else self._tokens_per_batch,
            1 if alone else -(-rows // free) or None,
        )
        batch.add_rows_of(lead, _LEAST_FILLS[-1])
        for least_fill, job in product(_LEAST_FILLS, chain(self._new, self._served)):
            if batch.is_full:
                break
            # A small call's batch takes no rows of a large call, which fills its own batches anyway.
            if is_large or job.waiting_tokens <= self._tokens_per_batch:
                batch.add_rows_of(job, least_fill)
        batch.put_back_odd_rows()
        lead.credit -= batch.tokens_of(lead)
        for row in batch.rows:
            if not row.job.waiting:
                self._new.pop(row.job, None)
                self._served.pop(row.job, None)
        self._count(batch.rows)
        return batch.rows, alone

    def _remove_failed(self, job: _Job[OutputT]) -> None:
        """Drop the waiting rows of a finished call that was cancelled or failed; called in any thread."""
        if job.future.cancelled():
            job.future.set_running_or_notify_cancel()  # no worker may do so later
        elif job.future.exception() is None:
            return
        self._failed.append(job)

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
