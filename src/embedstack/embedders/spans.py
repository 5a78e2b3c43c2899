"""Late chunking: vectors for parts of a text, each computed with the whole text in view."""

from collections.abc import Generator, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from embedstack.embedders.core import BatchEmbedder, Context, Kind
from embedstack.embedders.executor import run
from embedstack.embedders.source import paced
from embedstack.errors import ConfigurationError, CountMismatch

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from embedstack.embedders.batching import Batch

    Vectors = NDArray[np.float32]

__all__ = ["Span", "SpanEmbedder", "SpannedText"]

#: From and to, in code points.
Span = tuple[int, int]


class SpannedText(NamedTuple):
    """A text and its parts that get a vector each.

    Attributes:
        text: The text. What is longer than the model reads is an error.
        spans: Its parts, at least one; none without a token.
    """

    text: str
    spans: tuple[Span, ...]


class SpanEmbedder(BatchEmbedder):
    """Embeds parts of texts, where the backend can; a base of :class:`~embedstack.embedders.Embedder`.

    A backend that can implements :meth:`embed_span_batch`.
    """

    def embed_spans(
        self, texts: Iterable[SpannedText], kind: Kind = "document", *, context: Context | None = None
    ) -> "Generator[Vectors]":
        """Embed parts of any number of texts in constant memory, several requests at once.

        The whole text goes through the model once; then the token vectors of each part are averaged (Günther et al.,
        2024, "Late Chunking", https://arxiv.org/abs/2409.04701).

        Args:
            texts: The texts with their spans.
            kind: As for ``embed``.
            context: As for ``embed``.

        Yields:
            For each text in its order float32 (spans, dimensions).

        Raises:
            ConfigurationError: The backend, or the model, cannot.
            EmbedStackError: As ``embed``; the texts before the failing batch have been yielded.
        """
        self._require_mean_pooling()
        prompted = len(self._prompt(kind, context))
        spans_of: dict[int, tuple[Span, ...]] = {}

        def read() -> Iterator[str]:
            for index, (text, spans) in enumerate(texts):
                spans_of[index] = tuple((start + prompted, end + prompted) for start, end in spans)
                yield text

        def request(batch: "Batch") -> "list[Vectors]":
            return self.request_spans(batch.texts, [spans_of.pop(index) for index in batch.indices], kind)

        answers = run(
            paced(read()), self._batcher(kind, context, collect=False), request, self._pool.get, self._new_call(),
            self.look_ahead,
        )  # fmt: skip
        for answer in answers:
            yield from answer or ()

    def embed_span_batch(self, texts: Sequence[str], spans: Sequence[Sequence[Span]], kind: Kind) -> "list[Vectors]":
        """One request: for each text its spans' vectors (spans, dimensions), as the backend gave them.

        Raises:
            ConfigurationError: The backend cannot.
        """
        del texts, spans, kind
        raise ConfigurationError(
            f"{type(self).__name__} cannot pool parts of a text, which late chunking needs: use an endpoint with this "
            "project's model server, or the local backend."
        )

    def request_spans(self, texts: Sequence[str], spans: Sequence[Sequence[Span]], kind: Kind) -> "list[Vectors]":
        """One request, its vectors checked and counted as :meth:`request` does.

        Raises:
            EmbedStackError: As :meth:`embed_spans`.
        """
        answers: list[Vectors] = []

        def ask() -> "Vectors":
            answers[:] = self.embed_span_batch(texts, spans, kind)
            if [len(vectors) for vectors in answers] != [len(wanted) for wanted in spans]:
                raise CountMismatch(f"The spans of {len(texts)} texts came back as another number of vectors.")
            return np.concatenate(answers)

        self._measured(texts, ask, sum(map(len, spans)))
        return answers

    def _require_mean_pooling(self) -> None:
        if self.info.pooling != "mean" or self.info.shortened_from is not None:
            raise ConfigurationError(
                f"Late chunking averages token vectors, and {self.info.model_id} was not trained for their mean at its "
                "full length: take a model with mean pooling, or switch EMBEDSTACK_LATE_CHUNKING off."
            )
