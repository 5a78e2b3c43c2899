"""The interface of rerankers: what users call, and what a backend implements."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import aclosing, closing
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from embedstack.embedders.batching import Batch, Batcher, TextSizes, utf8_bytes
from embedstack.embedders.bisection import embed_isolated
from embedstack.embedders.executor import arun, run
from embedstack.embedders.identity import model_facts
from embedstack.embedders.json_encoding import json_bytes, json_text_sizes
from embedstack.embedders.model_client import ModelClient
from embedstack.embedders.results import BatchResult, ResultCollector
from embedstack.embedders.source import aiterate
from embedstack.errors import CountMismatch, InputError, InvalidScores, PayloadTooLarge

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from embedstack.calls.call_context import Call
    from embedstack.embedders.batching import Limits
    from embedstack.embedders.usage import Price
    from embedstack.models.model_info import ModelInfo

    Scores = NDArray[np.float32]

__all__ = ["Ranking", "Reranker"]

# Member names, options and brackets of a request.
_ENVELOPE_BYTES = 192


class Ranking(NamedTuple):
    """A text in a ranking.

    Attributes:
        index: Position in the caller's texts.
        score: Relevance for the query; higher is more relevant. The model defines its range, which is often 0 to 1.
    """

    index: int  # type: ignore[assignment] # shadows the method of tuples, which has no use here
    score: float


class Reranker(ModelClient, ABC):
    """Orders texts by their relevance for a query. Safe to call from several threads and tasks.

    A backend implements :meth:`score_batch`, which sends one request. Middleware
    (:class:`~embedstack.rerankers.RerankerMiddleware`) wraps another reranker.

    Attributes:
        info: The model that computes the scores.
        limits: Limits of one request.
        runner: Runs the backend's requests; middleware uses that of the reranker it wraps.
        meters: Counters of the backends behind :meth:`stats`.
    """

    def __init__(self, info: "ModelInfo", limits: "Limits", *, price: "Price | None" = None) -> None:
        """Create a reranker. No request is sent.

        Args:
            info: The model that computes the scores.
            limits: Limits of one request.
            price: Price of the backend; None for free.
        """
        super().__init__(info, limits, price=price)
        self.info = info

    def rerank(self, query: str, texts: Sequence[str], top_n: int | None = None) -> list[Ranking]:
        """Order texts by their relevance for a query.

        Args:
            query: The query.
            texts: The texts; none may be empty. An empty list returns no rankings.
            top_n: Return only so many texts, the most relevant ones; None for all.

        Returns:
            Positions and scores by descending score; texts with the same score in the caller's order.

        Raises:
            InputError: The query or a text is empty, too long or too large, or ``top_n`` is less than 1. The error
                for a text carries its index.
            EndpointError: The backend did not return scores.
            IntegrityError: The scores in the response are not valid.
        """
        _check_top_n(top_n)
        return _rank(self.score(query, texts), top_n)

    async def arerank(self, query: str, texts: Sequence[str], top_n: int | None = None) -> list[Ranking]:
        """As :meth:`rerank`, without blocking the event loop. Cancelling the task stops further requests."""
        _check_top_n(top_n)
        return _rank(await self.ascore(query, texts), top_n)

    def score(self, query: str, texts: Sequence[str]) -> "Scores":
        """The relevance of each text for a query: float32 (texts,), in the order of the texts.

        Arguments and errors are those of :meth:`rerank`.
        """
        self._check(query, texts)
        return self.score_texts(query, texts, self.start_call())

    async def ascore(self, query: str, texts: Sequence[str]) -> "Scores":
        """As :meth:`score`, without blocking the event loop."""
        self._check(query, texts)
        return await self.ascore_texts(query, texts, self.start_call())

    # What a backend defines.

    @abstractmethod
    def score_batch(self, query: str, texts: Sequence[str]) -> "Scores":
        """Send one request: scores (texts,) in the order of the texts, as the backend returns them."""

    def text_sizes(self, query: str) -> TextSizes:
        """Bytes that texts take in a request with a query."""
        return json_text_sizes(_ENVELOPE_BYTES + len(json_bytes(query)))

    def score_identity(self) -> Mapping[str, Any]:
        """Everything that changes the score of a query and a text, as names and JSON values.

        Cache keys depend on it. A backend adds what its scores depend on besides the model.
        """
        return {"backend": f"{type(self).__module__}.{type(self).__qualname__}", **model_facts(self.info)}

    # What middleware overrides, or calls on the reranker that it wraps.

    def request_scores(self, query: str, texts: Sequence[str]) -> "Scores":
        """Send one request within the backend's concurrency; its scores are checked and counted.

        Raises:
            EmbedStackError: As :meth:`rerank`; an index is a position in these texts.
        """

        def send() -> "Scores":
            scores = np.asarray(self.score_batch(query, texts), np.float32)
            _check_scores(scores, len(texts))
            return scores

        # A cross-encoder reads the query with every text.
        return self.runner.run([query + text for text in texts], "rerank", send)

    def score_texts(self, query: str, texts: Sequence[str], call: "Call") -> "Scores":
        """Score texts that were checked, with several concurrent requests."""
        collector = ResultCollector(len(texts), 1, None)
        results = run(
            iter(texts), self._batcher(query), lambda batch: self._score_batch_of_call(query, batch),
            self.runner.threads.get, call, self.look_ahead,
        )  # fmt: skip
        with closing(results):
            for result in results:
                if result is not None:
                    collector.add(result)
        return collector.vectors()[:, 0]

    async def ascore_texts(self, query: str, texts: Sequence[str], call: "Call") -> "Scores":
        """As :meth:`score_texts`, without blocking the event loop."""
        collector = ResultCollector(len(texts), 1, None)
        stream = arun(
            aiterate(texts), self._batcher(query), lambda batch: self._score_batch_of_call(query, batch),
            self.runner.threads.get, call, self.look_ahead,
        )  # fmt: skip
        async with aclosing(stream) as results:
            async for result in results:
                if result is not None:
                    collector.add(result)
        return collector.vectors()[:, 0]

    def _score_batch_of_call(self, query: str, batch: Batch) -> BatchResult:
        """Score one batch with as many requests as it takes. A score is a vector of one component."""
        return embed_isolated(
            batch,
            1,
            lambda texts: self.request_scores(query, texts)[:, np.newaxis],
            collect=False,
            on_too_large=self.runner.sizer.too_large,
        )

    def _batcher(self, query: str) -> Batcher:
        return Batcher(self.limits, self.runner.sizer, self.text_sizes(query), collect=False)

    def _check(self, query: str, texts: Sequence[str]) -> None:
        if isinstance(texts, str):
            raise InputError("A reranker takes a query and a list of texts. For one text, pass [text].")
        _check_query(query)
        envelope = self.text_sizes(query).envelope
        if envelope >= self.limits.max_bytes:
            raise PayloadTooLarge(
                f"A request with this query takes {envelope:,} bytes without any text; the limit is "
                f"{self.limits.max_bytes:,}. Shorten the query."
            )
        self._batcher(query).check(texts)


def _rank(scores: "Scores", top_n: int | None) -> list[Ranking]:
    order = np.argsort(-scores, kind="stable")[:top_n]
    return [Ranking(int(index), float(scores[index])) for index in order]


def _check_top_n(top_n: int | None) -> None:
    # type() and not isinstance(): True is not a number of texts.
    if top_n is not None and (type(top_n) is not int or top_n < 1):
        raise InputError(f"top_n is {top_n!r}. Pass 1 or more, or None for all texts.")


def _check_query(query: str) -> None:
    if not isinstance(query, str) or not query.strip():
        problem = "is empty" if isinstance(query, str) else f"is a {type(query).__name__}, not a string"
        raise InputError(f"The query {problem}. Pass a text to compare the texts with.")
    try:
        utf8_bytes(query)
    except UnicodeEncodeError as error:
        raise InputError(
            f"The query contains an unpaired surrogate at index {error.start}. Decode the input again."
        ) from None


def _check_scores(scores: "Scores", count: int) -> None:
    if scores.shape != (count,):
        raise CountMismatch(
            f"The response to {count} texts has scores of the shape {scores.shape}, so none of them can be used."
        )
    finite = np.isfinite(scores)
    if not finite.all():
        raise InvalidScores("The score is NaN or infinite.", index=int(np.argmin(finite)))
