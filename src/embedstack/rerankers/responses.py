"""Reads the scores of a response: one entry for each text, in any order."""

from typing import TYPE_CHECKING, Any

import numpy as np

from embedstack.errors import CountMismatch, IntegrityError, InvalidScores

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Scores = NDArray[np.float32]

__all__ = ["read_scores", "response_limit"]

_BYTES_BESIDE = 1024 * 1024
# An entry takes under 80 bytes. A server may add members that were not requested.
_BYTES_PER_ENTRY = 1024
# A response may repeat the texts, each character as an escape of six bytes.
_BYTES_PER_REQUEST_BYTE = 6


def response_limit(count: int, request_bytes: int) -> int:
    """Largest valid response with the scores of so many texts, in bytes."""
    return _BYTES_BESIDE + _BYTES_PER_ENTRY * count + _BYTES_PER_REQUEST_BYTE * request_bytes


def read_scores(entries: Any, count: int, score: str, source: str) -> "Scores":
    """The scores of a parsed response, in the order of the texts.

    Args:
        entries: A list of objects with ``index`` and a score.
        count: Texts that were sent.
        score: Name of the member with the score.
        source: Sender of the response, for messages.

    Returns:
        float32 (texts,).

    Raises:
        CountMismatch: The number of entries differs from the number of texts.
        IntegrityError: The response has another shape.
        InvalidScores: The indices are not those of the texts, each once, or a score is not a number.
    """
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise IntegrityError(
            f'{source} sent something other than a list of objects with "index" and "{score}". Check that it serves a '
            "reranker."
        )
    if len(entries) != count:
        raise CountMismatch(
            f"The response to {count} texts has {len(entries)} scores, so none of them can be used. Check the server."
        )
    scores = np.full(count, np.nan)
    seen = set()
    for entry in entries:
        index, value = entry.get("index"), entry.get(score)
        # type() and not isinstance(): true is neither an index nor a score.
        if type(index) is not int or not 0 <= index < count or index in seen:
            raise InvalidScores(
                f"{source} sent indices that are not those of the {count} texts, each once. Check the server."
            )
        if type(value) not in (int, float):
            raise InvalidScores(f'{source} sent a "{score}" that is not a number. Check the server.', index=index)
        seen.add(index)
        scores[index] = value
    with np.errstate(over="ignore"):  # a number beyond float32 becomes infinity, which is rejected later
        return scores.astype(np.float32)
