"""A vector is right or it is an error."""

from typing import TYPE_CHECKING

import numpy as np

from embedstack.errors import CountMismatch, DimensionMismatch, NonFiniteVector

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from embedstack.models.model_info import ModelInfo

__all__ = ["are_valid", "check_vectors"]

# A unit vector that went through bfloat16 or a decimal text is still this close to length 1.
_NORM_TOLERANCE = 1e-2


def check_vectors(vectors: "NDArray[np.float32]", info: "ModelInfo", count: int) -> None:
    """Compare an answer with what the model gives.

    Args:
        vectors: The answer, (texts, dimensions).
        info: The model that was asked.
        count: Texts that were sent.

    Raises:
        CountMismatch: There are more or fewer vectors than texts.
        DimensionMismatch: They have another length than the model's.
        NonFiniteVector: One holds NaN or infinity or has not unit length; carries its index in the request.
    """
    if vectors.ndim != 2:
        raise DimensionMismatch(f"{count} texts came back as an array of {vectors.ndim} dimensions, not 2.")
    if len(vectors) != count:
        raise CountMismatch(f"{count} texts came back as {len(vectors)} vectors; none of them is trusted.")
    if vectors.shape[1] != info.dimensions:
        raise DimensionMismatch(
            f"The endpoint gives vectors of {vectors.shape[1]} dimensions; {info.model_id} has "
            f"{info.dimensions}. Another model is deployed than the one that was configured."
        )
    finite = _finite(vectors)
    if not finite.all():
        index = int(np.argmin(finite))
        raise NonFiniteVector("The vector holds NaN or infinity.", index=index)
    has_length = _has_length(vectors, info)
    if not has_length.all():
        index = int(np.argmin(has_length))
        raise NonFiniteVector("The vector has not the unit length it should have.", index=index)


def are_valid(vectors: "NDArray[np.float32]", info: "ModelInfo") -> "NDArray[np.bool_]":
    """Whether each vector is one that the model can give: bool (texts,) for vectors (texts, dimensions)."""
    valid: NDArray[np.bool_] = _finite(vectors) & _has_length(vectors, info)
    return valid


def _finite(vectors: "NDArray[np.float32]") -> "NDArray[np.bool_]":
    finite: NDArray[np.bool_] = np.asarray(np.isfinite(vectors).all(axis=1))
    return finite


def _has_length(vectors: "NDArray[np.float32]", info: "ModelInfo") -> "NDArray[np.bool_]":
    if not info.normalized:
        return np.ones(len(vectors), np.bool_)
    right: NDArray[np.bool_] = np.abs(np.linalg.norm(vectors, axis=1) - 1) <= _NORM_TOLERANCE
    return right
