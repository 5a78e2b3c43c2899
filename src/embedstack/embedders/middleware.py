"""An embedder around another one, which is what retries, limits and caches are."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from embedstack.embedders.base import Embedder
from embedstack.embedders.batching import Limits
from embedstack.embedders.core import Kind
from embedstack.embedders.spans import Span

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["EmbedderMiddleware"]

_Answer = TypeVar("_Answer")


class EmbedderMiddleware(Embedder):
    """Passes on everything; a subclass changes what happens around one request, in :meth:`dispatch`.

    Splitting, order and the rest happen once, in the outermost wrapper; requests are checked and counted once, in the
    innermost backend.

    Attributes:
        inner: The embedder that is wrapped.
    """

    def __init__(self, inner: Embedder, limits: Limits | None = None) -> None:
        super().__init__(inner.info, limits or inner.limits, prompts=inner.prompts)
        self.inner = inner
        self.sizer = inner.sizer
        self.meters = inner.meters
        self.envelope_bytes = inner.envelope_bytes  # type: ignore[misc]  # the inner one's, whatever class it has

    def vector_identity(self) -> Mapping[str, Any]:
        """The wrapped embedder's; a wrapper that changes vectors adds how."""
        return self.inner.vector_identity()

    def request_bytes(self, text: str) -> int:
        """Bytes that the text takes in a request of the wrapped embedder."""
        return self.inner.request_bytes(text)

    def dispatch(self, texts: Sequence[str], call_next: Callable[[Embedder], _Answer]) -> _Answer:
        """Have the wrapped embedder do one request.

        Args:
            texts: The request's.
            call_next: Does it, with the embedder that it is to be done by.
        """
        del texts
        return call_next(self.inner)

    def embed_batch(self, texts: Sequence[str], kind: Kind) -> "NDArray[np.float32]":
        """One request of the wrapped embedder."""
        return self.dispatch(texts, lambda inner: inner.request(texts, kind))

    def embed_span_batch(
        self, texts: Sequence[str], spans: Sequence[Sequence[Span]], kind: Kind
    ) -> "list[NDArray[np.float32]]":
        """One request of the wrapped embedder, for parts of texts."""
        return self.dispatch(texts, lambda inner: inner.request_spans(texts, spans, kind))

    def request_spans(
        self, texts: Sequence[str], spans: Sequence[Sequence[Span]], kind: Kind
    ) -> "list[NDArray[np.float32]]":
        """One batch, already checked and counted further in."""
        return self.embed_span_batch(texts, spans, kind)

    def request(self, texts: Sequence[str], kind: Kind) -> "NDArray[np.float32]":
        """One batch, already checked and counted further in."""
        return self.embed_batch(texts, kind)

    def disable_retries(self) -> None:
        """Pass it on."""
        self.inner.disable_retries()

    def close(self) -> None:
        """Let go of threads, the wrapped embedder's too."""
        super().close()
        self.inner.close()
