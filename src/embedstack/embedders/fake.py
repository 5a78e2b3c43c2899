"""An embedder for tests: deterministic, in memory, with faults on demand."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from embedstack.calls.process_local import Lock
from embedstack.costs.accounting import Service
from embedstack.embedders.base import Embedder
from embedstack.embedders.batching import Limits
from embedstack.models.model_info import ModelInfo

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from embedstack.embedders.prompts import Kind
    from embedstack.embedders.spans import Span
    from embedstack.embedders.usage import Price

__all__ = ["FAKE_MODEL", "FakeEmbedder"]

FAKE_MODEL = ModelInfo("embedstack/fake", dimensions=8, max_tokens=512, pooling=None)


class FakeEmbedder(Embedder):
    """Gives every text a different unit vector, the same in every run and on every machine.

    Attributes:
        requests: The texts of each request so far.
    """

    def __init__(
        self,
        info: ModelInfo = FAKE_MODEL,
        *,
        limits: Limits | None = None,
        price: "Price | None" = None,
        fault: Callable[[Sequence[str]], Exception | None] | None = None,
    ) -> None:
        """Prepare.

        Args:
            info: The model to imitate. If its length is unknown, vectors have 8 dimensions.
            limits: Limits of one request.
            price: What a request costs; None for free.
            fault: Returns the error to raise for a request's texts, or None. By default no request fails.
        """
        super().__init__(info, limits or Limits(), price=price)
        self.requests: list[list[str]] = []
        self._fault = fault
        self._lock = Lock()

    @property
    def service(self) -> Service:
        """Free."""
        return Service("fake", "", self.info.model_id)

    def vector_identity(self) -> Mapping[str, Any]:
        """The model; a text's vector depends on nothing else."""
        return {**super().vector_identity(), "backend": "fake"}

    def embed_batch(self, texts: Sequence[str], kind: "Kind") -> "NDArray[np.float32]":
        """Send one request; see :meth:`Embedder.embed_batch`."""
        del kind
        with self._lock:
            self.requests.append(list(texts))
        error = self._fault(texts) if self._fault is not None else None
        if error is not None:
            raise error
        return np.stack([fake_vector(text, self._dimensions) for text in texts])

    def embed_span_batch(
        self, texts: Sequence[str], spans: "Sequence[Sequence[Span]]", kind: "Kind"
    ) -> "list[NDArray[np.float32]]":
        """Send one request; the vector of a part depends on the whole text and on the part's position."""
        self.embed_batch(texts, kind)
        return [
            np.stack([fake_vector(f"{start}-{end} of {text}", self._dimensions) for start, end in parts])
            for text, parts in zip(texts, spans, strict=True)
        ]

    @property
    def _dimensions(self) -> int:
        return self.info.dimensions or FAKE_MODEL.require_dimensions()


def fake_vector(text: str, dimensions: int) -> "NDArray[np.float32]":
    """The unit vector, float32 (dimensions,), of a text."""
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")
    vector = np.random.default_rng(seed).normal(size=dimensions)
    return (vector / np.linalg.norm(vector)).astype(np.float32)
