"""FutureWaiter resolves futures of other threads in the tasks that await them."""

import asyncio
import threading
from concurrent.futures import Future

import pytest

from embedstack_server.compute.future_waiter import FutureWaiter


def test_future_waiter_returns_each_task_its_own_outcome():
    async def scenario():
        waiter = FutureWaiter(asyncio.get_running_loop())
        futures: list[Future[None]] = [Future() for _ in range(300)]
        waiting = [asyncio.ensure_future(waiter.wait(future)) for future in futures]
        await asyncio.sleep(0)

        def finish(part):
            for number in part:
                if number % 3:
                    futures[number].set_result(None)
                else:
                    futures[number].set_exception(ValueError(number))

        threads = [threading.Thread(target=finish, args=(range(first, 300, 4),)) for first in range(4)]
        for thread in threads:
            thread.start()
        outcomes = await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), 30)
        for thread in threads:
            thread.join()
        return outcomes

    for number, outcome in enumerate(asyncio.run(scenario())):
        assert outcome is None if number % 3 else outcome.args == (number,)


def test_future_waiter_returns_at_once_for_a_done_future():
    async def scenario():
        future: Future[None] = Future()
        future.set_result(None)
        await asyncio.wait_for(FutureWaiter(asyncio.get_running_loop()).wait(future), 30)

    asyncio.run(scenario())


def test_future_waiter_cancels_the_future_of_a_cancelled_task():
    async def scenario():
        future: Future[None] = Future()
        waiting = asyncio.ensure_future(FutureWaiter(asyncio.get_running_loop()).wait(future))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        return future.cancelled()

    assert asyncio.run(scenario())


def test_future_waiter_ignores_results_after_its_loop_closed():
    future: Future[None] = Future()

    async def scenario():
        task = asyncio.ensure_future(FutureWaiter(asyncio.get_running_loop()).wait(future))
        await asyncio.sleep(0)
        future.set_running_or_notify_cancel()
        return task

    task = asyncio.run(scenario())
    assert task.cancelled()
    future.set_result(None)
