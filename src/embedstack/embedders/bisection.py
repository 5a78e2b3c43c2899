"""One bad text must not fail its neighbours: a refused request is halved until the culprit is alone."""

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

# Errors that concern some text of the request and not the request as such.
_OF_ONE_TEXT = (InputError, NonFiniteVector, CountMismatch)


def embed_isolated(
    batch: "Batch",
    dimensions: int,
    request: "Callable[[Sequence[str]], NDArray[np.float32]]",
    *,
    collect: bool,
    on_too_large: Callable[[], None],
) -> BatchResult:
    """Embed a batch with as many requests as it takes.

    Args:
        batch: The texts.
        dimensions: Length of a vector.
        request: Embeds some of them, or raises.
        collect: List each text that has no vector, instead of raising the first one's error.
        on_too_large: Called when a request was refused for its size.

    Raises:
        EmbedStackError: Not all texts have a vector, and ``collect`` is off.
    """
    rows: list[NDArray[np.float32]] = []
    indices: list[int] = []
    failures = list(batch.refused)

    def solve(start: int, stop: int) -> None:
        texts, where = batch.texts[start:stop], batch.indices[start:stop]
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
                raise _located(error, where) from error
            failures.extend(Failure(index, error.at(index)) for index in where)
        else:
            rows.append(vectors)
            indices.extend(where)

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
    # Whoever wants the error raised gains nothing from paying again for the neighbours of a text that is known.
    known = error.index is not None or isinstance(error, IntegrityError)
    return isinstance(error, _OF_ONE_TEXT) and (collect or not known)


def _located(error: EmbedStackError, where: Sequence[int]) -> EmbedStackError:
    """The error with the caller's index in place of the one in the request."""
    if error.index is not None and error.index < len(where):
        return error.at(where[error.index])
    if len(where) == 1 and isinstance(error, _OF_ONE_TEXT):
        return error.at(where[0])
    return error
