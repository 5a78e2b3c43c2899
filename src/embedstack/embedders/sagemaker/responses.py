"""Reads responses of SageMaker endpoints: vectors as JSON or as an array, or token vectors to pool."""

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from embedstack.calls.http_responses import parse_json
from embedstack.embedders.response_vectors import (
    NPY_MAGIC,
    depth_of,
    find_rows,
    matrix,
    read_npy,
    vector_of_base64,
)
from embedstack.errors import ConfigurationError, DimensionMismatch, IntegrityError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]

__all__ = ["NPY", "ClientPooling", "is_array", "read_spans", "read_vectors"]

NPY = "application/x-npy"

#: How to pool token vectors.
ClientPooling = Literal["mean"]

_UNPOOLED = (
    "The endpoint returns one vector per token, as the Hugging Face container's feature-extraction does. Deploy the "
    'model with the default container ("tei"), whose vectors are pooled, or pass client_pooling="mean" if the model '
    "was trained with mean pooling."
)
_SOURCE = "The endpoint"


def is_array(content: bytes) -> bool:
    """Whether a response's body is an array. Not every container sets the media type accordingly."""
    return content.startswith(NPY_MAGIC)


def read_vectors(content: bytes, count: int, *, pooling: ClientPooling | None, normalized: bool | None) -> "Vectors":
    """Read the vectors of a response.

    Args:
        content: The response's body: an array in NumPy's format, or JSON in one of the shapes of
            :mod:`~embedstack.embedders.response_vectors`.
        count: Texts that were sent.
        pooling: How to pool token vectors; None rejects them.
        normalized: Scale pooled vectors to unit length; None does too.

    Returns:
        float32 (texts, dimensions), not checked further.

    Raises:
        EndpointUnavailable: The body is truncated, or neither JSON nor an array.
        DimensionMismatch: The vectors are token vectors, or differ in length.
        IntegrityError: The body has another shape.
    """
    if is_array(content):
        return read_npy(content, count, _SOURCE)
    rows = find_rows(parse_json(content, _SOURCE), count, _SOURCE)
    depth = depth_of(rows)
    if depth <= 2:
        return matrix(rows, _SOURCE)
    if pooling is None:
        raise DimensionMismatch(_UNPOOLED)
    return _mean(rows, depth, normalized=normalized)


def read_spans(content: bytes, endpoint: str) -> "list[Vectors]":
    """Read the vectors of spans.

    Args:
        content: The response's body.
        endpoint: Name of the endpoint, for messages.

    Returns:
        For each text float32 (spans, dimensions), not checked further.

    Raises:
        ConfigurationError: The endpoint's container does not support spans.
        EndpointUnavailable: The body is truncated.
        IntegrityError: The body has another shape.
    """
    document = parse_json(content, _SOURCE)
    if not isinstance(document, dict) or "spans" not in document:
        raise ConfigurationError(
            f"Endpoint {endpoint} cannot pool parts of a text, which late chunking needs. Deploy the model with this "
            "project's model server (model = { artifact = … }), or set EMBEDSTACK_LATE_CHUNKING=false."
        )
    spans = document["spans"]
    if not isinstance(spans, list) or not all(isinstance(rows, list) and rows for rows in spans):
        raise IntegrityError(f"{_SOURCE} sent spans that are not lists of vectors. Check its container.")
    vectors = [[vector_of_base64(row, _SOURCE) for row in rows] for rows in spans]
    if len({len(vector) for rows in vectors for vector in rows}) > 1:
        raise DimensionMismatch(f"{_SOURCE} sent vectors of different lengths. Check its container.")
    return [np.stack(rows) for rows in vectors]


def _mean(rows: list[Any], depth: int, *, normalized: bool | None) -> "Vectors":
    """Mean of each text's token vectors. The toolkit embeds one text at a time, so that no row is padding."""
    means = [_token_rows(text, depth - 1).mean(axis=0) for text in rows]
    if len({len(mean) for mean in means}) > 1:
        raise DimensionMismatch(f"{_SOURCE} sent token vectors of different lengths. Check its container.")
    vectors = np.stack(means)
    if normalized is not False:
        vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.finfo(np.float32).tiny)
    return vectors


def _token_rows(text: Any, depth: int) -> "Vectors":
    """float32 (tokens, dimensions) of a text, which the toolkit wraps in a list of one if there are several texts."""
    if depth == 3 and isinstance(text, list) and len(text) == 1:
        text, depth = text[0], 2
    if depth != 2 or not isinstance(text, list) or not text:
        raise IntegrityError(
            f"{_SOURCE} sent something other than the token vectors of each text. Check its container."
        )
    return matrix(text, _SOURCE)
