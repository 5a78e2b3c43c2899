"""Many batches at once, their results in order: by threads for sync and async callers alike.

boto3 blocks a thread per request whoever waits for it, so both twins run the same work in the same pool and differ
only in how they wait. Both read a source no further than keeps the pool busy, and send a batch that is not full only
when the source has paused and nothing is under way (as Nagle's algorithm does for TCP segments, RFC 896): a source that
gives one text now and then gets its vectors without delay, and one that gives many gets full batches.
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
    "This call was begun in the process that this one was forked from: embed the texts again in this process, or fork "
    "before the call."
)
_TIMED_OUT = "The call's deadline has passed while a request was under way: allow more seconds, or send fewer texts."


def run(
    items: Iterable[Any],
    batcher: "Batcher",
    work: "Callable[[Batch], _Result]",
    pool: Callable[[], Executor],
    call: "Call",
    look_ahead: int,
) -> "Generator[_Result | None]":
    """Do the work for each batch of a source.

    Args:
        items: Texts, and what :mod:`embedstack.embedders.source` names.
        batcher: Makes batches of the texts.
        work: Runs in the pool, several at once.
        pool: Called when there is more than one batch: a single one is done in this thread.
        call: The call that this is done for; cancelled when the iteration ends early.
        look_ahead: Batches under way or waiting at most.

    Yields:
        The results in their order, and None for a signal that brings none.

    Raises:
        DeadlineExceeded: The call's time is up; requests under way end unheard.
        ConfigurationError: The iteration goes on in a child of the process that began it.
        BaseException: What the source or the batcher raised, after the results of what came before.
    """
    requests = _Requests(_Job(batcher, work, pool, call, look_ahead))
    origin = Origin()
    is_complete = False
    try:
        for item in items:
            if isinstance(item, Signal):
                results = requests.heed(item)
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
        if origin.is_here:  # in a child, a thread that is not there may hold the locks of these
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
                # Lets the source be read on, since the reader of the results may not wait for anything itself.
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
    """What is done for every batch, and where; see :func:`run`."""

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
    """The batches of one :func:`run`: the first held back until it is known to be one of several."""

    def __init__(self, job: "_Job[_Result]") -> None:
        self.broken: BaseException | None = None
        self._job = job
        self._held: list[Batch] = []
        self._pending: deque[Future[_Result]] = deque()

    def add(self, item: Any) -> bool:
        """Take a text; whether a batch was sent."""
        batches, self.broken = _add(self._job.batcher, item)
        if not batches:
            return False
        if not self._held and not self._pending and len(batches) == 1:
            self._held.extend(batches)
            return False
        self._send(batches)
        return True

    def due(self) -> Iterator[_Result]:
        """The results to give before more is read: at most one for one batch, so that the pool is kept busy."""
        while len(self._pending) >= self._job.look_ahead:
            yield self._result()
        if self._pending[0].done():
            yield self._result()

    def heed(self, signal: Signal) -> Iterator[_Result | None]:
        """What a signal asks for."""
        self._send(() if self._held or not _is_idle(self._pending) else self._job.batcher.flush())
        if signal is Signal.READY or not self._pending:
            yield None
        elif signal is Signal.FULL:
            yield self._result()
        while signal is Signal.PAUSED and self._pending and self._pending[0].done():
            yield self._result()

    def rest(self) -> Iterator[_Result]:
        """The results that are left, and what the source raised."""
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
        """Send nothing more."""
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
            raise RuntimeError("The embedder was closed during a call.") from None


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
        """Whether the next result is to be given before more is read."""
        return bool(self._pending) and (self._pending[0].done() or len(self._pending) >= self._job.look_ahead)

    @property
    def is_complete(self) -> bool:
        """Whether every result has been given."""
        return self._is_read and not self._pending

    def read(self) -> bool:
        """Take what the source has given, and send what is to be sent; whether a signal asks for attention.

        What changes from here on ends :meth:`wait`.
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
        """Wait until the source or a request has something new."""
        seconds = self._job.call.remaining() if self._pending else None
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            raise DeadlineExceeded(_TIMED_OUT) from None

    async def stop(self, *, is_complete: bool) -> None:
        """Send nothing more, and stop reading."""
        if not is_complete:
            self._job.call.cancelled.set()
        for future in self._pending:
            # Asking for the error of one that has failed keeps asyncio from reporting it as never asked for.
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
    """The batches that are full by a text, and what ends the source."""
    if isinstance(item, Broken):
        return (), item.error
    try:
        return batcher.add(item), None
    except InputError as error:
        return (), error


def _is_idle(pending: "Iterable[Future[Any] | asyncio.Future[Any]]") -> bool:
    return all(future.done() for future in pending)
