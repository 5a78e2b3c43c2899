"""What is around every request of a backend, whoever asks: checks, counts, limits, threads."""

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Generator, Iterable, Mapping, Sequence
from contextlib import aclosing, closing
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from embedstack.calls.call_context import Call
from embedstack.calls.process_local import PerProcess, keep_forever
from embedstack.embedders.adaptive_limits import AdaptiveConcurrency, BatchSizer
from embedstack.embedders.batching import Batch, Batcher, Limits, estimate_tokens
from embedstack.embedders.bisection import embed_isolated
from embedstack.embedders.executor import arun, run
from embedstack.embedders.identity import model_facts
from embedstack.embedders.integrity import check_vectors
from embedstack.embedders.results import BatchResult
from embedstack.embedders.source import paced
from embedstack.embedders.threads import DaemonThreadPool
from embedstack.embedders.usage import Meter, Price, Stats
from embedstack.errors import EmbedStackError, Throttled

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from embedstack.models.model_info import ModelIdentity, ModelInfo

    Vectors = NDArray[np.float32]

__all__ = ["BatchEmbedder", "Context", "Kind"]

Kind = Literal["query", "document"]
Context = Literal["code", "docs", "business"]

#: What a context puts before a text. The same context belongs to documents and to the queries that look for them.
CONTEXT_PROMPTS = {"code": "Code: ", "docs": "Documentation: ", "business": "Business Process: "}

# Threads beyond the requests in flight, which read answers and prepare the next requests.
_READERS = 2


class BatchEmbedder(ABC):
    """Embeds batches; the base of :class:`~embedstack.embedders.Embedder`, which is what users see.

    A backend implements :meth:`embed_batch` and, where its requests have an envelope, :meth:`request_bytes`.

    Attributes:
        info: The model whose vectors these are.
        limits: What one request may carry.
        prompts: Text put before an input, by kind or context.
        sizer: How many texts go into a request.
        meters: Where requests are counted.
    """

    # Bytes of a request that are not its texts.
    envelope_bytes: ClassVar[int] = 0
    # The model that the backend's responses name; None where they name none.
    served_model: "ModelIdentity | None" = None

    def __init__(
        self,
        info: "ModelInfo",
        limits: Limits,
        *,
        prompts: Mapping[str, str] | None = None,
        price: Price | None = None,
    ) -> None:
        """Prepare; nothing is called yet.

        Args:
            info: The model whose vectors these are.
            limits: What one request may carry.
            prompts: Text put before an input, by kind or context, beside the model's own.
            price: What the backend charges.
        """
        self.info = info
        self.limits = limits
        self.prompts: dict[str, str] = {**CONTEXT_PROMPTS, **info.prompts, **(prompts or {})}
        self.sizer = BatchSizer(limits.max_items)
        self.meters: tuple[Meter, ...] = (Meter(price),)
        self._concurrency = PerProcess(partial(AdaptiveConcurrency, limits.concurrency))
        self._counted = PerProcess(threading.local)
        # The parent's threads do not exist in a child, where closing the pool would wait for them.
        self._pool = PerProcess(partial(DaemonThreadPool, limits.concurrency + _READERS), discard=keep_forever)

    @abstractmethod
    def embed_batch(self, texts: Sequence[str], kind: Kind) -> "Vectors":
        """One request: vectors (texts, dimensions) in the order of the texts, as the backend gave them."""

    def request_bytes(self, text: str) -> int:
        """Bytes that the text takes in a request."""
        return len(text.encode("utf-8"))

    def vector_identity(self) -> Mapping[str, Any]:
        """Everything that changes the vector of a text: names and JSON values. Cache keys depend on it.

        A backend adds what its vectors depend on beside the model: where it is served, whether texts are cut.
        """
        return {
            "backend": f"{type(self).__module__}.{type(self).__qualname__}",
            # For the others, the model's own default prompt applies.
            "prompted_kinds": sorted({"document", "query"} & self.prompts.keys()),
            **model_facts(self.info),
        }

    def disable_retries(self) -> None:  # noqa: B027 - a backend without retries of its own has none to hand over
        """Send every request once from now on: a wrapper retries. Retries have exactly one owner."""

    def count_tokens(self, tokens: int) -> None:
        """For a backend to call in :meth:`embed_batch` with the tokens that the service counted."""
        self._counted.get().tokens = tokens

    def release_slot(self) -> None:
        """For a backend to call in :meth:`embed_batch` with the answer in hand: the next request may go out meanwhile.

        Reading 32 vectors of JSON takes milliseconds, for which the service would have nothing to do.
        """
        self._counted.get().slot.free()

    def request(self, texts: Sequence[str], kind: Kind) -> "Vectors":
        """One request, its vectors checked, counted and within the concurrency that the backend bears.

        Raises:
            EmbedStackError: As ``embed``; an index is a position in these texts.
        """
        return self._measured(texts, lambda: self.embed_batch(texts, kind), len(texts))

    def _measured(self, texts: Sequence[str], ask: "Callable[[], Vectors]", count: int) -> "Vectors":
        """One request for so many vectors."""
        meter = self.meters[0]
        counted = self._counted.get()
        with self._concurrency.get().slot() as counted.slot:
            Call.current().check()
            counted.tokens = None
            started = time.perf_counter()
            try:
                vectors = ask()
                check_vectors(vectors, self.info, count)
            except EmbedStackError as error:
                meter.count("failures")
                if isinstance(error, Throttled):
                    meter.count("throttles")
                raise
            seconds = time.perf_counter() - started
        tokens = counted.tokens
        if tokens is None:
            tokens = sum(min(estimate_tokens(len(text.encode())), self.info.max_tokens) for text in texts)
        self.sizer.record_latency(seconds)
        meter.record_request(texts=len(texts), tokens=tokens, seconds=seconds)
        return vectors

    def embed_prompted_texts(self, batch: Batch, kind: Kind, *, collect: bool) -> BatchResult:
        """As many requests as a batch takes; see :func:`embed_isolated`."""
        return embed_isolated(
            batch,
            self.info.dimensions,
            lambda texts: self.request(texts, kind),
            collect=collect,
            on_too_large=self.sizer.too_large,
        )

    def stats(self) -> Stats:
        """What this process has done with this embedder; a forked child and a copy start at zero."""
        return Meter.summarize(self.meters)

    def close(self) -> None:
        """Let go of threads; a request under way is waited for. Calls after this start new ones."""
        pool = self._pool.take()
        if pool is not None:
            pool.shutdown(cancel_futures=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _new_call(self) -> Call:
        return Call.current()

    def run_stream(
        self, texts: Iterable[Any], kind: Kind, context: Context | None, *, collect: bool, call: Call
    ) -> Generator[BatchResult]:
        """Embed any number of texts, reading no further ahead than :attr:`look_ahead` batches.

        Yields:
            What came of each batch, in the order of the texts.
        """
        batcher = self._batcher(kind, context, collect=collect)
        parts = run(
            paced(texts), batcher, lambda batch: self.embed_prompted_texts(batch, kind, collect=collect),
            self._pool.get, call, self.look_ahead,
        )  # fmt: skip
        with closing(parts):
            yield from (part for part in parts if part is not None)

    async def arun_stream(
        self, texts: AsyncIterable[Any], kind: Kind, context: Context | None, *, collect: bool, call: Call
    ) -> AsyncGenerator[BatchResult]:
        """As :meth:`run_stream`, without blocking the event loop."""
        batcher = self._batcher(kind, context, collect=collect)
        parts = arun(
            texts, batcher, lambda batch: self.embed_prompted_texts(batch, kind, collect=collect),
            self._pool.get, call, self.look_ahead,
        )  # fmt: skip
        async with aclosing(parts):
            async for part in parts:
                if part is not None:
                    yield part

    @property
    def look_ahead(self) -> int:
        """Batches of a stream that are read before the first of them is answered, at most."""
        # Twice what is in flight, so that a slow first batch does not idle the others' threads.
        return 2 * (self.limits.concurrency + _READERS)

    def _batcher(self, kind: Kind, context: Context | None, *, collect: bool) -> Batcher:
        return Batcher(
            self.limits, self.sizer, self.request_bytes,
            envelope_bytes=self.envelope_bytes, prompt=self._prompt(kind, context), collect=collect,
        )  # fmt: skip

    def _prompt(self, kind: Kind, context: Context | None) -> str:
        return self.prompts.get(kind, "") + (self.prompts[context] if context else "")
