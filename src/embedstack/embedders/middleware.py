"""Middleware: an embedder that wraps another one, as retries, limits and caches do."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from embedstack.embedders.base import Embedder
from embedstack.embedders.batching import Limits, TextSizes
from embedstack.embedders.prompts import Kind
from embedstack.embedders.spans import Span

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["EmbedderMiddleware"]

_Response = TypeVar("_Response")


class EmbedderMiddleware(Embedder):
    """Delegates to the embedder that it wraps; a subclass overrides :meth:`dispatch` to act on every request.

    The outermost embedder groups texts into requests and orders the results. Every request passes through the
    middleware to the backend, which has the threads, checks the vectors and counts.

    Attributes:
        inner: The wrapped embedder.
    """

    def __init__(self, inner: Embedder, limits: Limits | None = None) -> None:
        """Wrap an embedder.

        Args:
            inner: The embedder.
            limits: Limits of one request; those of the wrapped embedder by default.
        """
        # Not super().__init__(), which would make threads and counters.
        self.inner = inner
        self.model = inner.model
        self.limits = limits or inner.limits
        self.prompts = inner.prompts
        self.runner = inner.runner
        self.meters = inner.meters

    def dispatch(self, texts: Sequence[str], call_next: Callable[[Embedder], _Response]) -> _Response:
        """Pass one request to the wrapped embedder.

        Args:
            texts: The texts of the request.
            call_next: Sends it, through the embedder that it is called with.
        """
        del texts
        return call_next(self.inner)

    def request_vectors(self, texts: Sequence[str], kind: Kind) -> "NDArray[np.float32]":
        """Send one request of the wrapped embedder."""
        return self.dispatch(texts, lambda inner: inner.request_vectors(texts, kind))

    def request_span_vectors(
        self, texts: Sequence[str], spans: Sequence[Sequence[Span]], kind: Kind
    ) -> "list[NDArray[np.float32]]":
        """Send one request of the wrapped embedder, for parts of texts."""
        return self.dispatch(texts, lambda inner: inner.request_span_vectors(texts, spans, kind))

    def embed_batch(self, texts: Sequence[str], kind: Kind) -> "NDArray[np.float32]":
        """As :meth:`request_vectors`."""
        return self.request_vectors(texts, kind)

    def embed_span_batch(
        self, texts: Sequence[str], spans: Sequence[Sequence[Span]], kind: Kind
    ) -> "list[NDArray[np.float32]]":
        """As :meth:`request_span_vectors`."""
        return self.request_span_vectors(texts, spans, kind)

    def text_sizes(self) -> TextSizes:
        """Bytes that texts take in a request of the wrapped embedder."""
        return self.inner.text_sizes()

    def vector_identity(self) -> Mapping[str, Any]:
        """That of the wrapped embedder; middleware that changes vectors adds how."""
        return self.inner.vector_identity()

    def disable_retries(self) -> None:
        """Disable those of the wrapped embedder."""
        self.inner.disable_retries()

    def close(self) -> None:
        """Close the wrapped embedder."""
        self.inner.close()
