"""Threads for concurrent requests that do not keep a program from exiting."""

import asyncio
import contextvars
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from functools import partial
from typing import Any, ParamSpec, TypeVar

from embedstack.calls.process_local import PerProcess, keep_forever

__all__ = ["DaemonThreadPool", "run_in_thread"]

# Threads for async calls of stores and generators, as many as asyncio has at most.
_ASYNC_THREADS = 32

_Result = TypeVar("_Result")
_Arguments = ParamSpec("_Arguments")

_Task = tuple["Future[Any]", Callable[[], Any]]


class DaemonThreadPool(Executor):
    """Runs tasks in daemon threads.

    ``ThreadPoolExecutor`` accepts no task once the main thread has ended, although the application's other threads
    still run. The interpreter also waits for its threads before it exits, which takes minutes if one of them waits for
    an endpoint to wake up.
    """

    def __init__(self, max_workers: int) -> None:
        """Prepare; threads start when they are needed.

        Args:
            max_workers: Threads, at most.
        """
        self._max_workers = max_workers
        self._tasks: queue.SimpleQueue[_Task | None] = queue.SimpleQueue()
        self._idle = threading.Semaphore(0)
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._closed = False

    def submit(
        self, fn: "Callable[_Arguments, _Result]", /, *args: "_Arguments.args", **kwargs: "_Arguments.kwargs"
    ) -> "Future[_Result]":
        """Queue a call; see :meth:`concurrent.futures.Executor.submit`.

        Raises:
            RuntimeError: The pool is shut down.
        """
        future: Future[_Result] = Future()
        with self._lock:
            if self._closed:
                raise RuntimeError("The thread pool is shut down.")
            self._tasks.put((future, partial(fn, *args, **kwargs)))
            if not self._idle.acquire(blocking=False) and len(self._threads) < self._max_workers:
                # The thread knows the queue and not the pool, which ends its threads when it is dropped.
                name = f"embed-{len(self._threads)}"
                thread = threading.Thread(target=_work, args=(self._tasks, self._idle), name=name, daemon=True)
                thread.start()
                self._threads.append(thread)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the threads; see :meth:`concurrent.futures.Executor.shutdown`."""
        with self._lock:
            self._closed = True
            while cancel_futures:
                try:
                    task = self._tasks.get_nowait()
                except queue.Empty:
                    break
                if task is not None:
                    task[0].cancel()
            self._end_threads()
        if wait:
            for thread in self._threads:
                thread.join()

    def __del__(self) -> None:
        self._end_threads()

    def _end_threads(self) -> None:
        for _ in self._threads:
            self._tasks.put(None)


def _work(tasks: "queue.SimpleQueue[_Task | None]", idle: threading.Semaphore) -> None:
    while True:
        try:
            task = tasks.get_nowait()
        except queue.Empty:
            idle.release()
            task = tasks.get()
        if task is None:
            return
        _run(*task)
        del task


def _run(future: "Future[Any]", call: Callable[[], Any]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = call()
    except BaseException as error:  # noqa: BLE001 - the caller of the future receives it
        future.set_exception(error)
    else:
        future.set_result(result)


_pool: PerProcess[DaemonThreadPool] = PerProcess(partial(DaemonThreadPool, _ASYNC_THREADS), discard=keep_forever)


async def run_in_thread(
    call: "Callable[_Arguments, _Result]", /, *args: "_Arguments.args", **kwargs: "_Arguments.kwargs"
) -> "_Result":
    """Run a blocking call without blocking the event loop, in the context of the current task.

    Unlike with ``asyncio.to_thread``, neither a cancelled call nor one of an ended event loop delays the program's
    exit. A cancelled call that has begun runs to its end.
    """
    context = contextvars.copy_context()
    work = partial(context.run, call, *args, **kwargs)
    return await asyncio.get_running_loop().run_in_executor(_pool.get(), work)
