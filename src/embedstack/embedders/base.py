"""The interface of every source of vectors: what users call, and what a backend implements."""

from abc import ABC, abstractmethod
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    Callable,
    Generator,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
    Set,
)
from contextlib import aclosing, closing
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np

from embedstack.calls.call_context import Call
from embedstack.costs.attribution import attribute
from embedstack.embedders.batching import UTF8_SIZES, Batch, Batcher, Limits, TextSizes
from embedstack.embedders.bisection import embed_isolated
from embedstack.embedders.executor import arun, run
from embedstack.embedders.identity import model_facts
from embedstack.embedders.learned_model import LearnedModel
from embedstack.embedders.model_client import ModelClient
from embedstack.embedders.prompts import Context, Kind, known_prompts, prompt_for
from embedstack.embedders.results import BatchResult, EmbedResult, ResultCollector
from embedstack.embedders.source import aiterate, paced
from embedstack.embedders.spans import Span, SpannedText
from embedstack.errors import ConfigurationError, CountMismatch, EmbedStackError, InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from embedstack.embedders.usage import Price
    from embedstack.models.model_info import ModelInfo

    Vectors = NDArray[np.float32]

__all__ = ["Embedder", "OnError", "Progress"]

OnError = Literal["raise", "collect"]
# Embedded to learn the length of a model's vectors.
_PROBE = "length"
#: Called with the number of finished texts and the total (None for a stream).
Progress = Callable[[int, int | None], None]


class Embedder(ModelClient, ABC):
    """Turns texts into vectors. Safe to call from several threads and tasks.

    A backend implements :meth:`embed_batch`, which sends one request. If its requests hold more than the texts' bytes,
    it also overrides :meth:`text_sizes`; if it can pool parts of a text, also :meth:`embed_span_batch`. Middleware
    (:class:`~embedstack.embedders.EmbedderMiddleware`) wraps another embedder.

    Attributes:
        limits: Limits of one request.
        model: The model that computes the vectors; middleware uses that of the embedder it wraps.
        prompts: Text put before an input, by kind or context.
        runner: Runs the backend's requests; middleware uses that of the embedder it wraps.
        meters: Counters of the backends behind :meth:`stats`.
    """

    def __init__(
        self,
        info: "ModelInfo",
        limits: Limits,
        *,
        prompts: Mapping[str, str] | None = None,
        price: "Price | None" = None,
    ) -> None:
        """Create an embedder. No request is sent.

        Args:
            info: The model that computes the vectors.
            limits: Limits of one request.
            prompts: Text put before an input, by kind or context, in addition to the model's own prompts.
            price: Price of the backend; None for free.

        Raises:
            ConfigurationError: A prompt is for an unknown kind or context.
        """
        super().__init__(info, limits, price=price)
        self.model = LearnedModel(info)
        self.prompts = known_prompts(info.prompts, prompts or {})

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
            texts: The texts; none may be empty. An empty list returns no vectors.
            kind: ``query`` for search queries, ``document`` for texts to search; some models distinguish them.
            context: Subject of the texts; use the same for documents and for the queries that search them. The ledger
                and the budgets charge the call to it.
            on_error: ``collect`` lists the texts without a vector instead of raising the first error.
            on_progress: Called after each batch.

        Returns:
            float32 (texts, dimensions), in the order of the texts; an :class:`EmbedResult` with ``on_error="collect"``.

        Raises:
            InputError: A text is empty, too long or too large; nothing was embedded. Carries its index.
            EndpointError: The backend did not return vectors.
            IntegrityError: The vectors in the response are not valid.
        """
        collect = on_error == "collect"
        collector = self._collector(texts, kind, context, on_error, on_progress)
        with attribute(context=context):
            for result in self.stream_batches(texts, kind, context, collect=collect, call=self.start_call()):
                collector.add(result)
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
        """As :meth:`embed`, without blocking the event loop. Cancelling the task stops further requests."""
        collect = on_error == "collect"
        collector = self._collector(texts, kind, context, on_error, on_progress)
        with attribute(context=context):
            stream = self.astream_batches(aiterate(texts), kind, context, collect=collect, call=self.start_call())
            async with aclosing(stream) as results:
                async for result in results:
                    collector.add(result)
        return collector.result() if collect else collector.vectors()

    def embed_query(self, text: str, *, context: Context | None = None) -> "Vectors":
        """Embed a search query: float32 (dimensions,); raises as :meth:`embed`."""
        vector: Vectors = self.embed([text], "query", context=context)[0]
        return vector

    async def aembed_query(self, text: str, *, context: Context | None = None) -> "Vectors":
        """As :meth:`embed_query`."""
        vector: Vectors = (await self.aembed([text], "query", context=context))[0]
        return vector

    def embed_documents(self, texts: Sequence[str], *, context: Context | None = None) -> "Vectors":
        """Embed texts to search: float32 (texts, dimensions); raises as :meth:`embed`."""
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
        """Embed any number of texts in constant memory, reading only as far ahead as keeps the backend busy.

        The arguments are those of :meth:`embed`. At most :attr:`look_ahead` full batches are read before the first
        vector, cache hits included. A source that pauses does not wait for a full batch: after a pause its text is
        sent immediately. The vector is then yielded at the latest when the source gives the next text, since a
        generator that blocks cannot be polled; :meth:`aembed_stream` yields it as soon as it has arrived.

        Yields:
            For each text, in order, float32 (dimensions,); with ``on_error="collect"`` the error of a failed text.

        Raises:
            EmbedStackError: As :meth:`embed`; the texts before the failing batch have been yielded.
            Exception: An exception of the source, after the vectors of the texts before it.
        """
        collect = on_error == "collect"
        _check_stream(texts)
        stream = self.stream_batches(texts, kind, context, collect=collect, call=self.start_call())
        with closing(stream) as results:
            for result in results:
                yield from result.items()
                if on_progress is not None:
                    on_progress(result.first + result.count, None)

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
        """As :meth:`embed_stream`, for an iterable or an async iterable.

        When an async source pauses and no request is in flight, the texts so far are sent; a vector never waits for
        texts that have not arrived. The source is read in a separate task, which ends with this generator: close it
        (``contextlib.aclosing``) to stop reading early.
        """
        collect = on_error == "collect"
        _check_stream(texts)
        source = texts if isinstance(texts, AsyncIterable) else aiterate(texts)
        stream = self.astream_batches(source, kind, context, collect=collect, call=self.start_call())
        async with aclosing(stream) as results:
            async for result in results:
                for item in result.items():
                    yield item
                if on_progress is not None:
                    on_progress(result.first + result.count, None)

    def embed_spans(
        self, texts: Iterable[SpannedText], kind: Kind = "document", *, context: Context | None = None
    ) -> "Generator[Vectors]":
        """Embed parts of any number of texts in constant memory, with several concurrent requests.

        The whole text goes through the model once; then the token vectors of each part are averaged (Günther et al.,
        2024, "Late Chunking", https://arxiv.org/abs/2409.04701).

        Args:
            texts: The texts with their spans.
            kind: As for :meth:`embed`.
            context: As for :meth:`embed`.

        Yields:
            For each text, in order, float32 (spans, dimensions).

        Raises:
            ConfigurationError: The backend or the model does not support it.
            EmbedStackError: As :meth:`embed`; the texts before the failing batch have been yielded.
        """
        self._require_mean_pooling()
        prompt_length = len(self.prompt(kind, context))
        spans_by_index: dict[int, tuple[Span, ...]] = {}

        def read() -> Iterator[str]:
            for index, (text, spans) in enumerate(texts):
                spans_by_index[index] = tuple((start + prompt_length, end + prompt_length) for start, end in spans)
                yield text

        def embed(batch: Batch) -> "list[Vectors]":
            return self.request_span_vectors(batch.texts, [spans_by_index.pop(index) for index in batch.indices], kind)

        batcher = self.batcher(kind, context, collect=False)
        results = run(paced(read()), batcher, embed, self.runner.threads.get, self.start_call(), self.look_ahead)
        for result in results:
            yield from result or ()

    @property
    def info(self) -> "ModelInfo":
        """The model that computes the vectors. Its length, if unknown, is learned from the first response."""
        return self.model.info

    def learn_dimensions(self) -> int:
        """Length of a vector; learned with one request if it is unknown.

        Raises:
            EmbedStackError: As :meth:`embed`.
        """
        return self.info.dimensions or len(self.embed([_PROBE])[0])

    # What a backend defines.

    @abstractmethod
    def embed_batch(self, texts: Sequence[str], kind: Kind) -> "Vectors":
        """Send one request: vectors (texts, dimensions) in the order of the texts, as the backend returns them."""

    def embed_span_batch(self, texts: Sequence[str], spans: Sequence[Sequence[Span]], kind: Kind) -> "list[Vectors]":
        """Send one request: for each text the vectors (spans, dimensions) of its spans, as the backend returns them.

        Raises:
            ConfigurationError: The backend does not support it.
        """
        del texts, spans, kind
        raise ConfigurationError(
            f"{type(self).__name__} cannot pool parts of a text, which late chunking needs. Use an endpoint with this "
            "project's model server, or the local backend."
        )

    def text_sizes(self) -> TextSizes:
        """Bytes that texts take in a request."""
        return UTF8_SIZES

    def vector_identity(self) -> Mapping[str, Any]:
        """Everything that changes the vector of a text, as names and JSON values. Cache keys depend on it.

        A backend adds what its vectors depend on besides the model: where it is served, whether texts are truncated.
        """
        return {
            "backend": f"{type(self).__module__}.{type(self).__qualname__}",
            # The model's own default prompt applies to the other kinds.
            "prompted_kinds": sorted({"document", "query"} & self.prompts.keys()),
            **model_facts(self.info),
        }

    # What middleware overrides, or calls on the embedder that it wraps.

    def request_vectors(self, texts: Sequence[str], kind: Kind) -> "Vectors":
        """Send one request within the backend's concurrency; its vectors are checked and counted.

        Raises:
            EmbedStackError: As :meth:`embed`; an index is a position in these texts.
        """

        def send() -> "Vectors":
            vectors = self.embed_batch(texts, kind)
            self.model.check(vectors, len(texts))
            return vectors

        return self.runner.run(texts, kind, send)

    def request_span_vectors(
        self, texts: Sequence[str], spans: Sequence[Sequence[Span]], kind: Kind
    ) -> "list[Vectors]":
        """As :meth:`request_vectors`, for parts of texts.

        Raises:
            EmbedStackError: As :meth:`embed_spans`.
        """

        def send() -> "list[Vectors]":
            vectors_by_text = self.embed_span_batch(texts, spans, kind)
            if [len(vectors) for vectors in vectors_by_text] != [len(expected) for expected in spans]:
                raise CountMismatch(
                    f"The number of vectors in the response differs from the number of spans of the {len(texts)} texts."
                )
            self.model.check(np.concatenate(vectors_by_text), sum(map(len, spans)))
            return vectors_by_text

        return self.runner.run(texts, kind, send)

    def embed_prompted_texts(self, batch: Batch, kind: Kind, *, collect: bool) -> BatchResult:
        """Embed one batch with as many requests as it takes; see :func:`embed_isolated`."""
        return embed_isolated(
            batch,
            self.info.dimensions or 0,
            lambda texts: self.request_vectors(texts, kind),
            collect=collect,
            on_too_large=self.runner.sizer.too_large,
        )

    def stream_batches(
        self, texts: Iterable[Any], kind: Kind, context: Context | None, *, collect: bool, call: Call
    ) -> Generator[BatchResult]:
        """Embed any number of texts, reading at most :attr:`look_ahead` batches ahead.

        Yields:
            The result of each batch, in the order of the texts.
        """
        results = run(
            paced(texts),
            self.batcher(kind, context, collect=collect),
            lambda batch: self.embed_prompted_texts(batch, kind, collect=collect),
            self.runner.threads.get,
            call,
            self.look_ahead,
        )
        with closing(results):
            yield from (result for result in results if result is not None)

    async def astream_batches(
        self, texts: AsyncIterable[Any], kind: Kind, context: Context | None, *, collect: bool, call: Call
    ) -> AsyncGenerator[BatchResult]:
        """As :meth:`stream_batches`, without blocking the event loop."""
        results = arun(
            texts,
            self.batcher(kind, context, collect=collect),
            lambda batch: self.embed_prompted_texts(batch, kind, collect=collect),
            self.runner.threads.get,
            call,
            self.look_ahead,
        )
        async with aclosing(results):
            async for result in results:
                if result is not None:
                    yield result

    def batcher(self, kind: Kind, context: Context | None, *, collect: bool) -> Batcher:
        """Groups the texts of a call into requests."""
        prompt = self.prompt(kind, context)
        return Batcher(self.limits, self.runner.sizer, self.text_sizes(), prompt=prompt, collect=collect)

    def prompt(self, kind: Kind, context: Context | None) -> str:
        """Text put before every input of a call."""
        return prompt_for(self.prompts, kind, context)

    def _collector(
        self, texts: Sequence[str], kind: Kind, context: Context | None, on_error: OnError, on_progress: Progress | None
    ) -> ResultCollector:
        """Check the texts of a call before the first is sent, and prepare for their results."""
        if isinstance(texts, str):
            raise InputError("embed() takes a list of texts. For one text, call embed([text]) or embed_query(text).")
        # Sets have no order, and dictionaries and bytes contain other things than texts.
        if isinstance(texts, (bytes, bytearray, Mapping, Set)) or not hasattr(texts, "__len__"):
            remedy = "Call embed_stream() for it." if isinstance(texts, Iterator) else "Pass a list."
            raise InputError(f"embed() takes a list of texts, not {type(texts).__name__}. {remedy}")
        if on_error == "raise":
            self.batcher(kind, context, collect=False).check(texts)
        return ResultCollector(len(texts), self.info.dimensions or 0, on_progress)

    def _require_mean_pooling(self) -> None:
        if self.info.pooling is None:
            raise ConfigurationError(
                f"Late chunking needs a model with mean pooling, and the pooling of {self.info.model_id} is unknown. "
                "Put the model's folder into EMBEDSTACK_MODELS_DIR, or set EMBEDSTACK_LATE_CHUNKING=false."
            )
        if self.info.pooling != "mean" or self.info.shortened_from is not None:
            raise ConfigurationError(
                f"Late chunking averages token vectors, but {self.info.model_id} was not trained with mean pooling at "
                "this length. Use a model with mean pooling, or set EMBEDSTACK_LATE_CHUNKING=false."
            )


def _check_stream(texts: Iterable[Any] | AsyncIterable[Any]) -> None:
    if isinstance(texts, str):
        raise InputError("embed_stream() takes an iterable of texts, not a string. For one text, pass [text].")
