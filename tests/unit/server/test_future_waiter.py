"""Futures of other threads reach the tasks that wait for them."""

import asyncio
import threading
from concurrent.futures import Future

import pytest

from embedstack_server.compute.future_waiter import FutureWaiter


def test_every_waiter_gets_its_own_outcome():
    async def scenario():
        wakeups = FutureWaiter(asyncio.get_running_loop())
        futures: list[Future[None]] = [Future() for _ in range(300)]
        waiting = [asyncio.ensure_future(wakeups.wait(future)) for future in futures]
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


def test_a_future_that_is_done_already_is_not_waited_for():
    async def scenario():
        future: Future[None] = Future()
        future.set_result(None)
        await asyncio.wait_for(FutureWaiter(asyncio.get_running_loop()).wait(future), 30)

    asyncio.run(scenario())


def test_a_cancelled_task_cancels_the_work():
    async def scenario():
        future: Future[None] = Future()
        waiting = asyncio.ensure_future(FutureWaiter(asyncio.get_running_loop()).wait(future))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        return future.cancelled()

    assert asyncio.run(scenario())


def test_work_that_ends_after_its_loop_is_not_an_error():
    future: Future[None] = Future()

    async def scenario():
        task = asyncio.ensure_future(FutureWaiter(asyncio.get_running_loop()).wait(future))
        await asyncio.sleep(0)
        future.set_running_or_notify_cancel()
        return task

    task = asyncio.run(scenario())
    assert task.cancelled()
    future.set_result(None)
