"""A call ends in time, with or without vectors."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from embedstack.calls.call_context import Call
from embedstack.calls.clock import Clock, SystemClock
from embedstack.embedders.middleware import Wrapper

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterable, Generator, Iterable

    from embedstack.embedders.base import Embedder
    from embedstack.embedders.batching import Batch
    from embedstack.embedders.core import Context, Kind
    from embedstack.embedders.results import Part

__all__ = ["DeadlineEmbedder"]

_Answer = TypeVar("_Answer")


class DeadlineEmbedder(Wrapper):
    """Gives every call so many seconds, waits and retries within it included.

    What waits knows the deadline and does not begin a wait that would pass it. A request that is under way when the
    time is up ends unheard.
    """

    def __init__(self, inner: "Embedder", seconds: float, *, clock: Clock | None = None) -> None:
        super().__init__(inner)
        self._seconds = seconds
        self._clock = clock or SystemClock()

    def send(self, texts: Sequence[str], ask: "Callable[[Embedder], _Answer]") -> _Answer:
        """One request, in time."""
        return self._new_call().context().run(super().send, texts, ask)

    def run_batch(self, batch: "Batch", kind: "Kind", *, collect: bool) -> "Part":
        """As the wrapped embedder does it."""
        return self.inner.run_batch(batch, kind, collect=collect)

    def run_stream(
        self, texts: "Iterable[Any]", kind: "Kind", context: "Context | None", *, collect: bool, call: Call
    ) -> "Generator[Part]":
        """As the wrapped embedder does it, in time."""
        return self.inner.run_stream(texts, kind, context, collect=collect, call=call)

    def arun_stream(
        self, texts: "AsyncIterable[Any]", kind: "Kind", context: "Context | None", *, collect: bool, call: Call
    ) -> "AsyncGenerator[Part]":
        """As :meth:`run_stream`."""
        return self.inner.arun_stream(texts, kind, context, collect=collect, call=call)

    def _new_call(self) -> Call:
        return Call.current().until(self._seconds, self._clock)
