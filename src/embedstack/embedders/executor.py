"""Runs batches concurrently in threads and returns their results in order, for sync and async callers.

boto3 blocks a thread per request, so :func:`run` and :func:`arun` run the same work in the same pool and differ only in
how they wait. Both read a source only as far ahead as keeps the pool busy. They send a batch that is not full only when
the source has paused and no request is in flight (as Nagle's algorithm does for TCP segments, RFC 896): a slow source
gets its vectors without delay, a fast one gets full batches.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError, Executor, Future
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from embedstack.calls.process_local import Origin
from embedstack.embedders.source import AsyncSource, Broken, Signal
from embedstack.errors import DeadlineExceeded, InputError

if TYPE_CHECKING:
    from embedstack.calls.call_context import Call
    from embedstack.embedders.batching import Batch, Batcher

_Result = TypeVar("_Result")

__all__ = ["arun", "run"]

_FORKED = (
    "This call was started in the parent process, before the fork. Embed the texts again in this process, or fork "
    "before the call."
)
_TIMED_OUT = "The call's deadline has passed while a request was in flight. Allow more seconds, or send fewer texts."


def run(
    items: Iterable[Any],
    batcher: "Batcher",
    work: "Callable[[Batch], _Result]",
    pool: Callable[[], Executor],
    call: "Call",
    look_ahead: int,
) -> "Generator[_Result | None]":
    """Run the work for each batch of a source.

    Args:
        items: Texts, and the signals of :mod:`embedstack.embedders.source`.
        batcher: Groups the texts into batches.
        work: Runs in the pool, several times concurrently.
        pool: Called if there is more than one batch; the work for a single batch runs in this thread.
        call: The call that the work belongs to; cancelled when the iteration ends early.
        look_ahead: Batches in flight or waiting, at most.

    Yields:
        The results in order, and None for a signal without a result.

    Raises:
        DeadlineExceeded: The call's deadline has passed; the responses of requests in flight are dropped.
        ConfigurationError: The iteration continues in a child of the process that started it.
        BaseException: An exception of the source or the batcher, after the results of the texts before it.
    """
    requests = _Requests(_Job(batcher, work, pool, call, look_ahead))
    origin = Origin()
    is_complete = False
    try:
        for item in items:
            if isinstance(item, Signal):
                results = requests.handle(item)
            elif requests.add(item):
                results = requests.due()
            else:
                results = iter(())
            for result in results:
                yield result
                origin.check(_FORKED)
            if requests.broken is not None:
                break
        for result in requests.rest():
            yield result
            origin.check(_FORKED)
        is_complete = True
    finally:
        if origin.is_here:  # in a child, a thread that does not exist there may hold their locks
            requests.stop(is_complete=is_complete)


async def arun(
    items: AsyncIterable[Any],
    batcher: "Batcher",
    work: "Callable[[Batch], _Result]",
    pool: Callable[[], Executor],
    call: "Call",
    look_ahead: int,
) -> "AsyncGenerator[_Result | None]":
    """As :func:`run`, without blocking the event loop; pauses of the source need no :class:`Signal`."""
    requests = _AsyncRequests(items, _Job(batcher, work, pool, call, look_ahead))
    is_complete = False
    try:
        while not requests.is_complete:
            if requests.read():
                yield None
            if requests.is_due:
                # Lets the source be read further, since the consumer of the results may never wait.
                await asyncio.sleep(0)
                yield await requests.next_result()
            elif not requests.is_complete:
                await requests.wait()
        if requests.broken is not None:
            raise requests.broken
        is_complete = True
    finally:
        await requests.stop(is_complete=is_complete)


class _Job(Generic[_Result]):
    """The work for every batch, and where it runs; see :func:`run`."""

    def __init__(
        self,
        batcher: "Batcher",
        work: "Callable[[Batch], _Result]",
        pool: Callable[[], Executor],
        call: "Call",
        look_ahead: int,
    ) -> None:
        self.batcher = batcher
        self.work = work
        self.pool = pool
        self.call = call
        self.look_ahead = look_ahead
        self.context = call.context()


class _Requests(Generic[_Result]):
    """The batches of one :func:`run`. The first is held back until a second one follows."""

    def __init__(self, job: "_Job[_Result]") -> None:
        self.broken: BaseException | None = None
        self._job = job
        self._held: list[Batch] = []
        self._pending: deque[Future[_Result]] = deque()

    def add(self, item: Any) -> bool:
        """Add a text; returns whether a batch was sent."""
        batches, self.broken = _add(self._job.batcher, item)
        if not batches:
            return False
        if not self._held and not self._pending and len(batches) == 1:
            self._held.extend(batches)
            return False
        self._send(batches)
        return True

    def due(self) -> Iterator[_Result]:
        """The results to yield before more is read: at most one per batch, so that the pool stays busy."""
        while len(self._pending) >= self._job.look_ahead:
            yield self._result()
        if self._pending[0].done():
            yield self._result()

    def handle(self, signal: Signal) -> Iterator[_Result | None]:
        """The results to yield for a signal."""
        self._send(() if self._held or not _is_idle(self._pending) else self._job.batcher.flush())
        if signal is Signal.READY or not self._pending:
            yield None
        elif signal is Signal.FULL:
            yield self._result()
        while signal is Signal.PAUSED and self._pending and self._pending[0].done():
            yield self._result()

    def rest(self) -> Iterator[_Result]:
        """The remaining results, and then the exception of the source, if any."""
        last = [*self._held, *self._job.batcher.flush()]
        self._held.clear()
        if len(last) == 1 and not self._pending and self._job.call.deadline is None:
            yield self._job.context.run(self._job.work, last[0])
        else:
            self._send(last)
        while self._pending:
            yield self._result()
        if self.broken is not None:
            raise self.broken

    def stop(self, *, is_complete: bool) -> None:
        """Send no further batch."""
        if not is_complete:
            self._job.call.cancelled.set()
        for future in self._pending:
            future.cancel()

    def _send(self, batches: "Sequence[Batch]") -> None:
        for batch in (*self._held, *batches):
            self._pending.append(self._job.pool().submit(self._job.context.copy().run, self._job.work, batch))
        self._held.clear()

    def _result(self) -> _Result:
        try:
            return self._pending.popleft().result(self._job.call.remaining())
        except TimeoutError:
            raise DeadlineExceeded(_TIMED_OUT) from None
        except CancelledError:
            raise RuntimeError("The client was closed during a call.") from None


class _AsyncRequests(Generic[_Result]):
    """The batches of one :func:`arun`."""

    def __init__(self, items: AsyncIterable[Any], job: "_Job[_Result]") -> None:
        self.broken: BaseException | None = None
        self._job = job
        self._pending: deque[asyncio.Future[_Result]] = deque()
        self._changed = asyncio.Event()
        self._is_read = False
        self._source = AsyncSource(items, job.batcher.max_items, self._changed.set)

    @property
    def is_due(self) -> bool:
        """Whether the next result is due before more is read."""
        return bool(self._pending) and (self._pending[0].done() or len(self._pending) >= self._job.look_ahead)

    @property
    def is_complete(self) -> bool:
        """Whether every result has been yielded."""
        return self._is_read and not self._pending

    def read(self) -> bool:
        """Take the texts that have arrived and send complete batches; returns whether a signal arrived.

        Later changes end :meth:`wait`.
        """
        self._changed.clear()
        if self._is_read or len(self._pending) >= self._job.look_ahead:
            return False
        is_ready = False
        for item in self._source.take():
            if isinstance(item, Signal):
                is_ready = True
            elif self.broken is None:
                batches, self.broken = _add(self._job.batcher, item)
                self._send(batches)
        self._is_read = self.broken is not None or self._source.is_over
        if self._is_read or (self._source.is_paused and _is_idle(self._pending)):
            self._send(self._job.batcher.flush())
        return is_ready

    async def next_result(self) -> _Result:
        """The next result."""
        try:
            return await asyncio.wait_for(self._pending.popleft(), self._job.call.remaining())
        except TimeoutError:
            raise DeadlineExceeded(_TIMED_OUT) from None

    async def wait(self) -> None:
        """Wait until a text has arrived or a request has finished."""
        seconds = self._job.call.remaining() if self._pending else None
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            raise DeadlineExceeded(_TIMED_OUT) from None

    async def stop(self, *, is_complete: bool) -> None:
        """Send no further batch, and stop reading."""
        if not is_complete:
            self._job.call.cancelled.set()
        for future in self._pending:
            # Retrieving the exception of a failed future keeps asyncio from logging it as never retrieved.
            if not future.cancel() and not future.cancelled():
                future.exception()
        await self._source.close()

    def _send(self, batches: "Sequence[Batch]") -> None:
        for batch in batches:
            loop = asyncio.get_running_loop()
            future = loop.run_in_executor(self._job.pool(), self._job.context.copy().run, self._job.work, batch)
            future.add_done_callback(lambda _: self._changed.set())
            self._pending.append(future)


def _add(batcher: "Batcher", item: Any) -> "tuple[Sequence[Batch], BaseException | None]":
    """The batches that a text completes, and the exception that ends the source."""
    if isinstance(item, Broken):
        return (), item.error
    try:
        return batcher.add(item), None
    except InputError as error:
        return (), error


def _is_idle(pending: "Iterable[Future[Any] | asyncio.Future[Any]]") -> bool:
    return all(future.done() for future in pending)
