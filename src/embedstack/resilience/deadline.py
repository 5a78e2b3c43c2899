"""A deadline for every call."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from embedstack.calls.call_context import Call
from embedstack.calls.clock import Clock, SystemClock
from embedstack.embedders.middleware import EmbedderMiddleware

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterable, Generator, Iterable

    from embedstack.embedders.base import Embedder
    from embedstack.embedders.batching import Batch
    from embedstack.embedders.prompts import Context, Kind
    from embedstack.embedders.results import BatchResult

__all__ = ["DeadlineEmbedder"]

_Response = TypeVar("_Response")


class DeadlineEmbedder(EmbedderMiddleware):
    """Limits the time of every call, including its waits and retries.

    Waits that would pass the deadline are not started. The response of a request that is in flight at the deadline is
    dropped.
    """

    def __init__(self, inner: "Embedder", seconds: float, *, clock: Clock | None = None) -> None:
        super().__init__(inner)
        self._seconds = seconds
        self._clock = clock or SystemClock()

    def dispatch(self, texts: Sequence[str], call_next: "Callable[[Embedder], _Response]") -> _Response:
        """Send one request within the deadline."""
        return self.start_call().context().run(super().dispatch, texts, call_next)

    def embed_prompted_texts(self, batch: "Batch", kind: "Kind", *, collect: bool) -> "BatchResult":
        """As the wrapped embedder; the call has its deadline already."""
        return self.inner.embed_prompted_texts(batch, kind, collect=collect)

    def stream_batches(
        self, texts: "Iterable[Any]", kind: "Kind", context: "Context | None", *, collect: bool, call: Call
    ) -> "Generator[BatchResult]":
        """As the wrapped embedder, within the deadline."""
        return self.inner.stream_batches(texts, kind, context, collect=collect, call=call)

    def astream_batches(
        self, texts: "AsyncIterable[Any]", kind: "Kind", context: "Context | None", *, collect: bool, call: Call
    ) -> "AsyncGenerator[BatchResult]":
        """As :meth:`stream_batches`."""
        return self.inner.astream_batches(texts, kind, context, collect=collect, call=call)

    def start_call(self) -> Call:
        """The call that a method of this embedder runs in, with its deadline."""
        return Call.current().until(self._seconds, self._clock)
