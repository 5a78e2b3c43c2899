"""Isolates the texts that fail a request: a rejected request is halved until the failing text is alone."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from embedstack.embedders.results import BatchResult, Failure
from embedstack.errors import (
    CountMismatch,
    EmbedStackError,
    InputError,
    IntegrityError,
    NonFiniteVector,
    PayloadTooLarge,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from embedstack.embedders.batching import Batch

__all__ = ["embed_isolated"]

# Errors of a single text, not of the request as a whole.
_TEXT_ERRORS = (InputError, NonFiniteVector, CountMismatch)


def embed_isolated(
    batch: "Batch",
    dimensions: int,
    request: "Callable[[Sequence[str]], NDArray[np.float32]]",
    *,
    collect: bool,
    on_too_large: Callable[[], None],
) -> BatchResult:
    """Embed a batch, with several requests if one is rejected.

    Args:
        batch: The texts.
        dimensions: Length of a vector.
        request: Embeds some of the texts, or raises.
        collect: List the texts without a vector instead of raising the first error.
        on_too_large: Called when a request was rejected for its size.

    Raises:
        EmbedStackError: A text has no vector, and ``collect`` is off.
    """
    rows: list[NDArray[np.float32]] = []
    indices: list[int] = []
    failures = list(batch.refused)

    def solve(start: int, stop: int) -> None:
        texts, positions = batch.texts[start:stop], batch.indices[start:stop]
        try:
            vectors = request(texts)
        except EmbedStackError as error:
            if isinstance(error, PayloadTooLarge):
                on_too_large()
            if len(texts) > 1 and _is_worth_halving(error, collect=collect):
                middle = (start + stop) // 2
                solve(start, middle)
                solve(middle, stop)
                return
            if not collect:
                raise _located(error, positions) from error
            failures.extend(Failure(index, error.at(index)) for index in positions)
        else:
            rows.append(vectors)
            indices.extend(positions)

    if batch.texts:
        solve(0, len(batch.texts))
    return BatchResult(
        batch.first,
        batch.count,
        np.asarray(indices, np.intp),
        np.concatenate(rows) if rows else np.empty((0, dimensions), np.float32),
        tuple(sorted(failures, key=lambda failure: failure.index)),
    )


def _is_worth_halving(error: EmbedStackError, *, collect: bool) -> bool:
    # If the error is to be raised and names its text, requests for the other texts would cost money for nothing.
    is_located = error.index is not None or isinstance(error, IntegrityError)
    return isinstance(error, _TEXT_ERRORS) and (collect or not is_located)


def _located(error: EmbedStackError, positions: Sequence[int]) -> EmbedStackError:
    """The error with the index in the caller's texts instead of the one in the request."""
    if error.index is not None and error.index < len(positions):
        return error.at(positions[error.index])
    if len(positions) == 1 and isinstance(error, _TEXT_ERRORS):
        return error.at(positions[0])
    return error
