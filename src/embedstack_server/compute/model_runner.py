"""Runs a model for concurrent callers: threads, batches, event loops, forks and the interpreter's exit."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from embedstack.calls.process_local import Origin
from embedstack.errors import PayloadTooLarge
from embedstack_server.compute.engine import Engine, Outputs
from embedstack_server.compute.exit_gate import ExitGate
from embedstack_server.compute.future_waiter import FutureWaiter
from embedstack_server.compute.scheduler import Scheduler, Workload

if TYPE_CHECKING:
    from embedstack_server.model.precision import Precision

__all__ = ["Deliver", "ModelRunner"]

T = TypeVar("T")
#: Receives a batch's outputs, a row's position in the batch and its index in the call.
Deliver = Callable[[Outputs, int, int], None]

# Up to this many characters, tokenizing takes less time than handing it to another thread.
_TOKENIZED_IN_LOOP = 2_000
# Calls with more characters are tokenized one at a time, which bounds the memory that tokenizing takes.
_TOKENIZED_ALONE = 100_000
_FORKED = (
    "The model was loaded before this process was forked, and its threads do not exist here. Load it in this process."
)


class ModelRunner:
    """Tokenizes and computes. Safe to call from several threads and tasks, whose rows share batches.

    Attributes:
        precision: Arithmetic that the model computes in.
    """

    def __init__(self, engine: Engine) -> None:
        """Start the worker threads."""
        self.precision: Precision = engine.precision
        self._engine = engine
        self._waiter: FutureWaiter | None = None
        self._origin = Origin()
        self._gate = ExitGate()
        self._large_texts = ThreadPoolExecutor(1, "tokenize-large-texts")
        self._scheduler = Scheduler(self._run, engine.workers, engine.tokens_per_batch)

    def tokenize(self, function: Callable[[], T]) -> T:
        """Call a function that tokenizes, in this thread."""
        self._origin.check(_FORKED)
        with self._gate:
            return function()

    async def in_background(self, function: Callable[[], T], characters: int) -> T:
        """Call a function that tokenizes, without blocking the event loop.

        Args:
            function: The function, which calls :meth:`tokenize`.
            characters: Number of characters or token ids that it tokenizes.
        """
        if characters <= _TOKENIZED_IN_LOOP:
            return function()
        executor = self._large_texts if characters > _TOKENIZED_ALONE else None
        return await asyncio.get_running_loop().run_in_executor(executor, function)

    def compute(self, rows: list[list[int]], deliver: Deliver) -> None:
        """Compute rows of token ids, and deliver each row's outputs.

        Args:
            rows: Token ids of each text, at least one per text.
            deliver: Called once for each row, in this thread or a worker.

        Raises:
            PayloadTooLarge: The attention of a text does not fit into memory.
        """
        self._check_lengths(rows)
        if len(rows) == 1 and self._scheduler.claim(len(rows[0])):
            # The processor is idle: computing in this thread saves waking a worker.
            try:
                with self._gate:
                    deliver(self._engine.run_alone(rows[0]), 0, 0)
            finally:
                self._scheduler.release()
        else:
            self._scheduler.submit(rows, deliver).result()

    async def acompute(self, rows: list[list[int]], deliver: Deliver) -> None:
        """:meth:`compute` without blocking the event loop; cancelling drops the rows that have not started."""
        self._check_lengths(rows)
        future = self._scheduler.submit(rows, deliver)
        await self._waiter_of(asyncio.get_running_loop()).wait(future)

    def workload(self) -> Workload:
        """What waits to be computed, and what was computed."""
        return self._scheduler.workload()

    @property
    def is_healthy(self) -> bool:
        """Whether rows can be computed: False after a worker thread failed, or after :meth:`close`."""
        return self._scheduler.is_healthy

    def close(self) -> None:
        """Stop the worker threads."""
        self._large_texts.shutdown(wait=False, cancel_futures=True)
        self._scheduler.close()

    def _check_lengths(self, rows: list[list[int]]) -> None:
        """Reject a text before memory is allocated that this machine does not have.

        Raises:
            PayloadTooLarge: A text is too long.
        """
        for index, row in enumerate(rows):
            if len(row) > self._engine.longest:
                raise PayloadTooLarge(
                    f"Text {index} has {len(row)} tokens; the memory of this server suffices for "
                    f"{self._engine.longest}. Split the text, or deploy the model with more memory.",
                    index=index,
                )

    def _waiter_of(self, loop: asyncio.AbstractEventLoop) -> FutureWaiter:
        waiter = self._waiter
        if waiter is None or waiter.loop is not loop:
            # A waiter of another loop stays alive while that loop's tasks wait on it.
            waiter = self._waiter = FutureWaiter(loop)
        return waiter

    def _run(self, rows: list[list[int]], alone: bool) -> Outputs:
        with self._gate:
            return self._engine.run_alone(rows[0]) if alone else self._engine.run(rows)
