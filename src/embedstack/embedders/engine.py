"""Many batches at once, their results in order: by threads for sync and async callers alike.

boto3 blocks a thread per request whoever waits for it, so both twins run the same work in the same pool and differ
only in how they wait.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from concurrent.futures import CancelledError, Executor, Future
from itertools import chain
from typing import TYPE_CHECKING, TypeVar

from embedstack.errors import DeadlineExceeded
from embedstack.forks import Origin

if TYPE_CHECKING:
    from embedstack.embedders.call import Call

_Batch = TypeVar("_Batch")
_Part = TypeVar("_Part")

__all__ = ["arun", "run"]

_FORKED = (
    "This call was begun in the process that this one was forked from: embed the texts again in this process, or fork "
    "before the call."
)
_TIMED_OUT = "The call's deadline has passed while a request was under way: allow more seconds, or send fewer texts."


def run(
    batches: Iterator[_Batch],
    work: Callable[[_Batch], _Part],
    pool: Callable[[], Executor],
    call: "Call",
    look_ahead: int,
) -> Iterator[_Part]:
    """Do the work for each batch.

    Args:
        batches: Read no further ahead than ``look_ahead``, so that a stream takes constant memory.
        work: Runs in the pool, several at once.
        pool: Called when there is more than one batch: a single one is done in this thread.
        call: The call that this is done for; cancelled when the iteration ends early.
        look_ahead: Batches under way or waiting at most.

    Raises:
        DeadlineExceeded: The call's time is up; requests under way end unheard.
        ConfigurationError: The iteration goes on in a child of the process that began it.
    """
    context = call.context()
    origin = Origin()
    first, second = next(batches, None), next(batches, None)
    if first is None:
        return
    if second is None and call.deadline is None:
        yield context.run(work, first)
        return
    pending: deque[Future[_Part]] = deque()
    ahead = [first] if second is None else [first, second]
    finished = False
    try:
        for batch in chain(ahead, batches):
            pending.append(pool().submit(context.copy().run, work, batch))
            if len(pending) >= look_ahead:
                yield _result(pending.popleft(), call)
                origin.check(_FORKED)
        while pending:
            yield _result(pending.popleft(), call)
            origin.check(_FORKED)
        finished = True
    finally:
        if origin.is_here:  # in a child, a thread that is not there may hold the locks of these
            if not finished:
                call.cancelled.set()
            for future in pending:
                future.cancel()


async def arun(
    batches: AsyncIterator[_Batch],
    work: Callable[[_Batch], _Part],
    pool: Callable[[], Executor],
    call: "Call",
    look_ahead: int,
) -> "AsyncGenerator[_Part]":
    """As :func:`run`, without blocking the event loop."""
    context = call.context()
    loop = asyncio.get_running_loop()
    pending: deque[asyncio.Future[_Part]] = deque()
    finished = False
    try:
        async for batch in batches:
            pending.append(loop.run_in_executor(pool(), context.copy().run, work, batch))
            if len(pending) >= look_ahead:
                yield await _aresult(pending.popleft(), call)
        while pending:
            yield await _aresult(pending.popleft(), call)
        finished = True
    finally:
        if not finished:
            call.cancelled.set()
        for future in pending:
            # Asking for the error of one that has failed keeps asyncio from reporting it as never asked for.
            if not future.cancel() and not future.cancelled():
                future.exception()


def _result(future: "Future[_Part]", call: "Call") -> _Part:
    try:
        return future.result(call.remaining())
    except TimeoutError:
        raise DeadlineExceeded(_TIMED_OUT) from None
    except CancelledError:
        raise RuntimeError("The embedder was closed during a call.") from None


async def _aresult(future: "asyncio.Future[_Part]", call: "Call") -> _Part:
    try:
        return await asyncio.wait_for(future, call.remaining())
    except TimeoutError:
        raise DeadlineExceeded(_TIMED_OUT) from None
