"""Waiting in an event loop for futures of other threads, with one wake-up for many futures."""

import asyncio
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from concurrent.futures import Future

__all__ = ["FutureWaiter"]


class FutureWaiter:
    """Resolves futures of other threads in one event loop.

    ``asyncio.wrap_future`` wakes the loop once for each future. A batch's futures finish together, and a wake-up (a
    system call and a thread switch) costs more than the rest of a request with a short text.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Create a waiter for the tasks of a loop."""
        self._loop = loop
        self._finished: deque[tuple[asyncio.Future[None], Future[None]]] = deque()
        self._woken = False

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop."""
        return self._loop

    async def wait(self, future: "Future[None]") -> None:
        """Wait in a task of the loop; cancelling the task cancels the future.

        Raises:
            Exception: The future's exception.
        """
        waiter = self._loop.create_future()
        future.add_done_callback(lambda done: self._finish(waiter, done))
        try:
            await waiter
        except asyncio.CancelledError:
            future.cancel()
            raise

    def _finish(self, waiter: "asyncio.Future[None]", future: "Future[None]") -> None:
        """Queue a finished future; called in the thread that finished it."""
        self._finished.append((waiter, future))
        # Set before the wake-up and cleared before the queue is read, so that no future is missed.
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
