"""Fallback to another backend of the same model when the first one fails."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from embedstack.embedders.batching import TextSizes
from embedstack.embedders.middleware import EmbedderMiddleware
from embedstack.errors import CircuitOpen, ConfigurationError, EndpointError

if TYPE_CHECKING:
    from embedstack.embedders.base import Embedder
    from embedstack.models.model_info import ModelInfo

__all__ = ["FallbackEmbedder", "first_success"]

_Backend = TypeVar("_Backend")
_Response = TypeVar("_Response")

# Not BudgetExceeded: a budget limits what is spent, not where.
_FALLBACK_ERRORS = (EndpointError, CircuitOpen)


def first_success(backends: "Sequence[_Backend]", call: "Callable[[_Backend], _Response]") -> _Response:
    """The response of the first backend that is available. The last one's errors are raised."""
    for backend in backends[:-1]:
        try:
            return call(backend)
        except _FALLBACK_ERRORS:
            continue
    return call(backends[-1])


class FallbackEmbedder(EmbedderMiddleware):
    """Calls the next embedder when one fails.

    Vectors of two models cannot be compared, and mixing them corrupts an index silently. So a fallback must have the
    same model, unless ``allow_other_model`` is set.
    """

    def __init__(self, first: "Embedder", *others: "Embedder", allow_other_model: bool = False) -> None:
        """Combine embedders.

        Args:
            first: Called first.
            others: Called in this order when those before have failed.
            allow_other_model: Accept another model of the same length, for vectors that are never compared with those
                of the first.

        Raises:
            ConfigurationError: An embedder has another model, revision, length or normalization than the first.
        """
        for other in others:
            _check_same_space(first.info, other.info, allow_other_model=allow_other_model)
            first.model.share_length(other.model)
        chain = (first, *others)
        limits = dataclasses.replace(
            first.limits,
            max_items=min(embedder.limits.max_items for embedder in chain),
            max_bytes=min(embedder.limits.max_bytes for embedder in chain),
        )
        super().__init__(first, limits)
        self._chain = chain
        self.meters = tuple(meter for embedder in chain for meter in embedder.meters)

    def vector_identity(self) -> Mapping[str, Any]:
        """Those of all embedders, since any of them may compute a vector."""
        return {"any_of": [embedder.vector_identity() for embedder in self._chain]}

    def text_sizes(self) -> TextSizes:
        """Bytes that texts take in a request of the backend where they take most."""
        sizes = [embedder.text_sizes() for embedder in self._chain]
        bounds = [size.upper_bound for size in sizes if size.upper_bound is not None]
        return TextSizes(
            lambda text: max(size.measure(text) for size in sizes),
            max(size.envelope for size in sizes),
            (lambda utf8_bytes: max(bound(utf8_bytes) for bound in bounds)) if len(bounds) == len(sizes) else None,
        )

    def dispatch(self, texts: Sequence[str], call_next: "Callable[[Embedder], _Response]") -> _Response:
        """Send one request to the first embedder that succeeds."""
        del texts
        return first_success(self._chain, call_next)

    def disable_retries(self) -> None:
        """Disable those of all embedders."""
        for embedder in self._chain:
            embedder.disable_retries()

    def close(self) -> None:
        """Close all embedders."""
        for embedder in self._chain:
            embedder.close()


def _check_same_space(first: "ModelInfo", other: "ModelInfo", *, allow_other_model: bool) -> None:
    differ = (
        None not in (left, right) and left != right
        for left, right in ((first.dimensions, other.dimensions), (first.normalized, other.normalized))
    )
    if any(differ):
        raise ConfigurationError(
            f"{other.model_id} ({other.dimensions} dimensions) cannot be a fallback for {first.model_id} "
            f"({first.dimensions}): their vectors do not fit into one index."
        )
    revisions = {first.revision, other.revision} - {None}
    if (first.model_id != other.model_id or len(revisions) > 1) and not allow_other_model:
        raise ConfigurationError(
            f"{other.model_id} cannot be a fallback for {first.model_id}: vectors of two models or revisions cannot be "
            "compared. Pass allow_other_model=True if they are never compared."
        )
