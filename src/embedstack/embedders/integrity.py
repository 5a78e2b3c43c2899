"""Checks vectors: their number, length, finiteness and norm."""

from typing import TYPE_CHECKING

import numpy as np

from embedstack.errors import CountMismatch, DimensionMismatch, NonFiniteVector

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from embedstack.models.model_info import ModelInfo

__all__ = ["are_valid", "check_vectors"]

# After a conversion to bfloat16 or decimal text, the norm of a unit vector is still this close to 1.
_NORM_TOLERANCE = 1e-2


def check_vectors(vectors: "NDArray[np.float32]", info: "ModelInfo", count: int) -> None:
    """Check the vectors of a response.

    Args:
        vectors: The vectors, (texts, dimensions).
        info: The expected model. A length or norm that is unknown is not checked.
        count: Texts that were sent.

    Raises:
        CountMismatch: The number of vectors differs from the number of texts.
        DimensionMismatch: Their length differs from the model's.
        NonFiniteVector: A vector contains NaN or infinity, or has no unit length; carries its index in the request.
    """
    if vectors.ndim != 2:
        raise DimensionMismatch(f"The response to {count} texts is an array of {vectors.ndim} dimensions, not 2.")
    if len(vectors) != count:
        raise CountMismatch(f"The response to {count} texts has {len(vectors)} vectors, so none of them can be used.")
    if info.dimensions not in (None, vectors.shape[1]):
        raise DimensionMismatch(
            f"The endpoint returns vectors of {vectors.shape[1]} dimensions; {info.model_id} has "
            f"{info.dimensions}. Deploy the configured model, or configure the deployed one (EMBEDDING_MODEL, "
            "EMBEDDING_DIMENSIONS)."
        )
    finite = _finite(vectors)
    if not finite.all():
        index = int(np.argmin(finite))
        raise NonFiniteVector("The vector contains NaN or infinity.", index=index)
    has_length = _has_length(vectors, info)
    if not has_length.all():
        index = int(np.argmin(has_length))
        raise NonFiniteVector("The vector does not have unit length.", index=index)


def are_valid(vectors: "NDArray[np.float32]", info: "ModelInfo") -> "NDArray[np.bool_]":
    """Whether each vector is finite and has the right norm: bool (texts,) for vectors (texts, dimensions)."""
    valid: NDArray[np.bool_] = _finite(vectors) & _has_length(vectors, info)
    return valid


def _finite(vectors: "NDArray[np.float32]") -> "NDArray[np.bool_]":
    finite: NDArray[np.bool_] = np.asarray(np.isfinite(vectors).all(axis=1))
    return finite


def _has_length(vectors: "NDArray[np.float32]", info: "ModelInfo") -> "NDArray[np.bool_]":
    if not info.normalized:
        return np.ones(len(vectors), np.bool_)
    has_length: NDArray[np.bool_] = np.abs(np.linalg.norm(vectors, axis=1) - 1) <= _NORM_TOLERANCE
    return has_length
