"""A reranker for tests: deterministic, in memory, with faults on demand."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from embedstack.calls.process_local import Lock
from embedstack.costs.accounting import Service
from embedstack.embedders.batching import Limits
from embedstack.models.model_info import ModelInfo
from embedstack.rerankers.base import Reranker

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from embedstack.embedders.usage import Price

__all__ = ["FAKE_RERANKER", "FakeReranker"]

FAKE_RERANKER = ModelInfo("embedstack/fake-reranker", kind="reranker")
_WORD = re.compile(r"\w+")


class FakeReranker(Reranker):
    """Scores a text by the share of the query's words that it contains, 0 to 1.

    Attributes:
        requests: The query and the texts of each request so far.
    """

    def __init__(
        self,
        info: ModelInfo = FAKE_RERANKER,
        *,
        limits: Limits | None = None,
        price: "Price | None" = None,
        fault: Callable[[Sequence[str]], Exception | None] | None = None,
    ) -> None:
        """Prepare.

        Args:
            info: The model to imitate.
            limits: Limits of one request.
            price: What a request costs; None for free.
            fault: Returns the error to raise for a request's texts, or None. By default no request fails.
        """
        super().__init__(info, limits or Limits(), price=price)
        self.requests: list[tuple[str, list[str]]] = []
        self._fault = fault
        self._lock = Lock()

    @property
    def service(self) -> Service:
        """Free."""
        return Service("fake", "", self.info.model_id)

    def score_identity(self) -> Mapping[str, Any]:
        """The model; a score depends on nothing else."""
        return {**super().score_identity(), "backend": "fake"}

    def score_batch(self, query: str, texts: Sequence[str]) -> "NDArray[np.float32]":
        """Send one request; see :meth:`Reranker.score_batch`."""
        with self._lock:
            self.requests.append((query, list(texts)))
        error = self._fault(texts) if self._fault is not None else None
        if error is not None:
            raise error
        words = _words(query)
        return np.asarray([len(words & _words(text)) / max(1, len(words)) for text in texts], np.float32)


def _words(text: str) -> set[str]:
    return set(_WORD.findall(text.casefold()))
