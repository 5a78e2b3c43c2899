"""Telling tasks of an event loop that other threads have finished their work, many at a time."""

import asyncio
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from concurrent.futures import Future

__all__ = ["FutureWaiter"]


class FutureWaiter:
    """Carries finished futures to one event loop.

    ``asyncio.wrap_future`` wakes the loop once for each future. The futures of a batch finish together, and waking the
    loop, a system call and a switch of threads, costs more than the rest of a short text's request.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Serve this loop."""
        self._loop = loop
        self._finished: deque[tuple[asyncio.Future[None], Future[None]]] = deque()
        self._woken = False

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop."""
        return self._loop

    async def wait(self, future: "Future[None]") -> None:
        """Wait in a task of the loop; a task that is cancelled cancels the future.

        Raises:
            Exception: What the future failed with.
        """
        waiter = self._loop.create_future()
        future.add_done_callback(lambda done: self._finish(waiter, done))
        try:
            await waiter
        except asyncio.CancelledError:
            future.cancel()
            raise

    def _finish(self, waiter: "asyncio.Future[None]", future: "Future[None]") -> None:
        """In whichever thread finished the future."""
        self._finished.append((waiter, future))
        # Set before the loop is woken and cleared before it takes the first, so that none is left behind.
        if not self._woken:
            self._woken = True
            with suppress(RuntimeError):  # the loop is closed: its tasks are gone
                self._loop.call_soon_threadsafe(self._resolve)

    def _resolve(self) -> None:
        self._woken = False
        while self._finished:
            waiter, future = self._finished.popleft()
            if waiter.done():
                continue
            if future.cancelled():
                waiter.cancel()
            elif error := future.exception():
                waiter.set_exception(error)
            else:
                waiter.set_result(None)
