"""The calls that a user makes: embed a list, a query, a stream; each sync and async."""

from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Generator, Iterable, Sequence
from contextlib import aclosing, closing
from typing import TYPE_CHECKING, Any, Literal, overload

from embedstack.embedders.core import Context, Kind
from embedstack.embedders.results import EmbedResult, ResultCollector
from embedstack.embedders.spans import SpanEmbedder
from embedstack.errors import EmbedStackError, InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]

__all__ = ["Embedder", "OnError", "Progress"]

OnError = Literal["raise", "collect"]
#: Called with the texts that are done, and those there are in all (None for a stream).
Progress = Callable[[int, int | None], None]


class Embedder(SpanEmbedder):
    """Turns texts into vectors. Safe to call from several threads and tasks.

    A backend implements ``embed_batch``, which embeds one batch, and nothing else; where its requests are more than
    the texts' bytes, also ``request_bytes`` and ``envelope_bytes``; where it can pool parts of a text, also
    ``embed_span_batch``.
    """

    @overload
    def embed(
        self, texts: Sequence[str], kind: Kind = ..., *, context: Context | None = ...,
        on_error: Literal["raise"] = ..., on_progress: Progress | None = ...,
    ) -> "Vectors": ...  # fmt: skip
    @overload
    def embed(
        self, texts: Sequence[str], kind: Kind = ..., *, context: Context | None = ...,
        on_error: Literal["collect"], on_progress: Progress | None = ...,
    ) -> EmbedResult: ...  # fmt: skip
    def embed(
        self,
        texts: Sequence[str],
        kind: Kind = "document",
        *,
        context: Context | None = None,
        on_error: OnError = "raise",
        on_progress: Progress | None = None,
    ) -> "Vectors | EmbedResult":
        """Embed texts, split into requests within the backend's limits.

        Args:
            texts: The texts, none of them empty. No texts give no vectors.
            kind: Whether the texts are searched for or searched through; some models tell them apart.
            context: What the texts are about; use the same for documents and for the queries that look for them.
            on_error: ``collect`` lists the texts that have no vector instead of raising the first one's error.
            on_progress: Called after each batch.

        Returns:
            float32 (texts, dimensions), in the order of the texts; with ``on_error="collect"`` a :class:`EmbedResult`.

        Raises:
            InputError: A text is empty, too long or too large; nothing was embedded. Carries its index.
            EndpointError: The backend did not answer with vectors.
            IntegrityError: It did, but not with the right ones.
        """
        collect = on_error == "collect"
        _check_list(texts)
        if not collect:
            self._batcher(kind, context, collect=False).check(texts)
        collector = ResultCollector(len(texts), self.info.dimensions, on_progress)
        for part in self.run_stream(texts, kind, context, collect=collect, call=self._new_call()):
            collector.add(part)
        return collector.result() if collect else collector.vectors()

    @overload
    async def aembed(
        self, texts: Sequence[str], kind: Kind = ..., *, context: Context | None = ...,
        on_error: Literal["raise"] = ..., on_progress: Progress | None = ...,
    ) -> "Vectors": ...  # fmt: skip
    @overload
    async def aembed(
        self, texts: Sequence[str], kind: Kind = ..., *, context: Context | None = ...,
        on_error: Literal["collect"], on_progress: Progress | None = ...,
    ) -> EmbedResult: ...  # fmt: skip
    async def aembed(
        self,
        texts: Sequence[str],
        kind: Kind = "document",
        *,
        context: Context | None = None,
        on_error: OnError = "raise",
        on_progress: Progress | None = None,
    ) -> "Vectors | EmbedResult":
        """As :meth:`embed`, without blocking the event loop; cancelling the task sends no further request."""
        collect = on_error == "collect"
        _check_list(texts)
        if not collect:
            self._batcher(kind, context, collect=False).check(texts)
        collector = ResultCollector(len(texts), self.info.dimensions, on_progress)
        stream = self.arun_stream(_aiterate(texts), kind, context, collect=collect, call=self._new_call())
        async with aclosing(stream) as parts:
            async for part in parts:
                collector.add(part)
        return collector.result() if collect else collector.vectors()

    def embed_query(self, text: str, *, context: Context | None = None) -> "Vectors":
        """The vector (dimensions,) of a text to search for; raises as :meth:`embed`."""
        vector: Vectors = self.embed([text], "query", context=context)[0]
        return vector

    async def aembed_query(self, text: str, *, context: Context | None = None) -> "Vectors":
        """As :meth:`embed_query`."""
        vector: Vectors = (await self.aembed([text], "query", context=context))[0]
        return vector

    def embed_documents(self, texts: Sequence[str], *, context: Context | None = None) -> "Vectors":
        """The vectors (texts, dimensions) of texts to search through; raises as :meth:`embed`."""
        return self.embed(texts, "document", context=context)

    async def aembed_documents(self, texts: Sequence[str], *, context: Context | None = None) -> "Vectors":
        """As :meth:`embed_documents`."""
        return await self.aembed(texts, "document", context=context)

    @overload
    def embed_stream(
        self, texts: Iterable[str], kind: Kind = ..., *, context: Context | None = ...,
        on_error: Literal["raise"] = ..., on_progress: Progress | None = ...,
    ) -> "Generator[Vectors]": ...  # fmt: skip
    @overload
    def embed_stream(
        self, texts: Iterable[str], kind: Kind = ..., *, context: Context | None = ...,
        on_error: Literal["collect"], on_progress: Progress | None = ...,
    ) -> "Generator[Vectors | EmbedStackError]": ...  # fmt: skip
    def embed_stream(
        self,
        texts: Iterable[str],
        kind: Kind = "document",
        *,
        context: Context | None = None,
        on_error: OnError = "raise",
        on_progress: Progress | None = None,
    ) -> "Generator[Vectors | EmbedStackError]":
        """Embed any number of texts in constant memory, reading only so far ahead as keeps the backend busy.

        Takes what :meth:`embed` takes. At most :attr:`look_ahead` full batches are read before the first vector, cache
        hits included. A source that pauses does not wait for a full batch: after a pause its text is sent at once, and
        the vector is yielded at the latest when the source gives the next text, since a generator that blocks cannot
        be asked for less. :meth:`aembed_stream` yields it as soon as it is there.

        Yields:
            For each text in its order float32 (dimensions,); with ``on_error="collect"`` its error where it has none.

        Raises:
            EmbedStackError: As :meth:`embed`; the texts before the failing batch have been yielded.
            Exception: What the source raised, after the vectors of the texts before.
        """
        collect = on_error == "collect"
        _check_stream(texts)
        stream = self.run_stream(texts, kind, context, collect=collect, call=self._new_call())
        with closing(stream) as parts:
            for part in parts:
                yield from part.items()
                if on_progress is not None:
                    on_progress(part.first + part.count, None)

    @overload
    def aembed_stream(
        self, texts: Iterable[str] | AsyncIterable[str], kind: Kind = ..., *, context: Context | None = ...,
        on_error: Literal["raise"] = ..., on_progress: Progress | None = ...,
    ) -> "AsyncGenerator[Vectors]": ...  # fmt: skip
    @overload
    def aembed_stream(
        self, texts: Iterable[str] | AsyncIterable[str], kind: Kind = ..., *, context: Context | None = ...,
        on_error: Literal["collect"], on_progress: Progress | None = ...,
    ) -> "AsyncGenerator[Vectors | EmbedStackError]": ...  # fmt: skip
    async def aembed_stream(
        self,
        texts: Iterable[str] | AsyncIterable[str],
        kind: Kind = "document",
        *,
        context: Context | None = None,
        on_error: OnError = "raise",
        on_progress: Progress | None = None,
    ) -> "AsyncGenerator[Vectors | EmbedStackError]":
        """As :meth:`embed_stream`, of an iterable or an async one.

        When an async source pauses and no request is under way, the texts so far are sent; a vector never waits for
        texts that are not there yet. The source is read in a task of its own, which ends with this generator: close
        it (``contextlib.aclosing``) to stop reading early.
        """
        collect = on_error == "collect"
        _check_stream(texts)
        source = texts if isinstance(texts, AsyncIterable) else _aiterate(texts)
        stream = self.arun_stream(source, kind, context, collect=collect, call=self._new_call())
        async with aclosing(stream) as parts:
            async for part in parts:
                for item in part.items():
                    yield item
                if on_progress is not None:
                    on_progress(part.first + part.count, None)


def _check_list(texts: Sequence[str]) -> None:
    if isinstance(texts, str):
        raise InputError("embed() takes a list of texts; for one text write embed([text]) or embed_query(text).")


def _check_stream(texts: Iterable[Any] | AsyncIterable[Any]) -> None:
    if isinstance(texts, str):
        raise InputError("embed_stream() takes texts, not one text, whose characters it would embed one by one.")


async def _aiterate(texts: Iterable[Any]) -> AsyncIterator[Any]:
    for text in texts:
        yield text
