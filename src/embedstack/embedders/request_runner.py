"""Runs the requests of one backend: in a separate thread pool, within its concurrency, with counters."""

import threading
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from embedstack.calls.call_context import Call
from embedstack.calls.process_local import PerProcess, keep_forever
from embedstack.calls.threads import DaemonThreadPool
from embedstack.embedders.adaptive_limits import AdaptiveConcurrency, BatchSizer
from embedstack.embedders.batching import Limits, estimate_tokens, utf8_bytes
from embedstack.embedders.usage import Meter
from embedstack.errors import EmbedStackError, Throttled

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from embedstack.costs.accounting import Accountant
    from embedstack.costs.records import RecordKind
    from embedstack.models.model_info import ModelInfo

_Result = TypeVar("_Result")

__all__ = ["READER_THREADS", "RequestRunner", "close_threads", "thread_pool"]

#: Threads beyond the requests in flight, which read responses and prepare the next requests.
READER_THREADS = 2


def thread_pool(requests: int) -> "PerProcess[Executor]":
    """A thread pool for each process, large enough for a number of requests in flight."""
    # The parent's threads do not exist in a child, where closing the pool would wait for them.
    return PerProcess(partial(DaemonThreadPool, requests + READER_THREADS), discard=keep_forever)


class RequestRunner:
    """Runs requests and learns from them. A backend has one, which the middleware around it uses too.

    Attributes:
        accountant: Accounts for the requests.
        meter: Counts the requests.
        sizer: Texts per request, learned from the responses.
        threads: The thread pool of each process.
    """

    def __init__(self, info: "ModelInfo", limits: Limits, accountant: "Accountant") -> None:
        """Prepare; no thread is started yet.

        Args:
            info: The model that is called.
            limits: Limits of one request.
            accountant: Accounts for the requests.
        """
        self._info = info
        self.accountant = accountant
        self.meter = Meter()
        self.sizer = BatchSizer(limits.max_items)
        self.threads = thread_pool(limits.concurrency)
        self._concurrency = PerProcess(partial(AdaptiveConcurrency, limits.concurrency))
        self._request = PerProcess(threading.local)

    def run(self, texts: Sequence[str], kind: "RecordKind", send: Callable[[], _Result]) -> _Result:
        """Send one request.

        Args:
            texts: The inputs of the request as the model reads them, with their prompts.
            kind: What the model is called for.
            send: Sends it in this thread and checks the response; may call :meth:`count_tokens` and
                :meth:`release_slot`.

        Raises:
            EmbedStackError: The request failed, its response is not valid, or a budget is spent.
        """
        request = self._request.get()
        sizes = [utf8_bytes(text) for text in texts]
        with self._concurrency.get().slot() as request.slot:
            Call.current().check()
            request.tokens = None
            estimate = self.estimate_tokens(sizes) if self.accountant.needs_estimates else 0
            charge = self.accountant.begin(kind, len(texts), tokens=estimate, request_bytes=sum(sizes))
            try:
                result = send()
            except EmbedStackError as error:
                self.meter.count("failures")
                if isinstance(error, Throttled):
                    self.meter.count("throttles")
                charge.fail(error, self.estimate_tokens(sizes))
                raise
            except BaseException:
                charge.abandon()
                raise
            tokens = request.tokens
            if tokens is None:
                tokens = estimate or self.estimate_tokens(sizes)
            seconds, cost = charge.succeed(tokens)
        self.sizer.record_latency(seconds)
        self.meter.record_request(texts=len(texts), tokens=tokens, seconds=seconds, cost=cost)
        return result

    def estimate_tokens(self, sizes: Iterable[int]) -> int:
        """Tokens that the model reads of texts of these sizes in bytes, estimated."""
        most = self._info.max_tokens
        estimates = map(estimate_tokens, sizes)
        return sum(estimates) if most is None else sum(min(estimate, most) for estimate in estimates)

    def count_tokens(self, tokens: int) -> None:
        """Record the tokens that the service counted for the request of this thread."""
        self._request.get().tokens = tokens

    def release_slot(self) -> None:
        """Let the next request start while this thread still reads its response."""
        self._request.get().slot.free()

    def close(self) -> None:
        """End the threads after the requests in flight. Later requests start new ones."""
        close_threads(self.threads)


def close_threads(threads: "PerProcess[Executor]") -> None:
    """End the threads of this process, if it has any, after the tasks under way."""
    pool = threads.take()
    if pool is not None:
        pool.shutdown(cancel_futures=True)
