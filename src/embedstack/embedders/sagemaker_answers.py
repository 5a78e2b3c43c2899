"""What an endpoint answers: rows of floats, an array, or one vector per token that someone has to pool."""

import base64
import binascii
import io
import json
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from embedstack.errors import ConfigurationError, CountMismatch, DimensionMismatch, IntegrityError, ModelFailed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]

__all__ = ["ClientPooling", "read_answer", "read_spans"]

JSON = "application/json"
NPY = "application/x-npy"

#: What to do with token vectors: nothing, or their mean.
ClientPooling = Literal["mean"]

_UNPOOLED = (
    "The endpoint answers one vector per token, as the HuggingFace container's feature-extraction does. Deploy the "
    'model with the default container ("tei"), whose vectors are pooled, or pass client_pooling="mean" if the model '
    "was trained with mean pooling."
)
#: Members that hold the rows where the answer is an object: a handler of one's own, our server with `outputs`.
_MEMBERS = ("embeddings", "dense")


def read_answer(content: bytes, content_type: str, *, pooling: ClientPooling | None, normalized: bool) -> "Vectors":
    """Vectors of an answer.

    Args:
        content: The answer's body.
        content_type: Its media type; an array where that says so, JSON otherwise.
        pooling: How to make one vector of token vectors; None refuses them.
        normalized: Scale pooled vectors to unit length.

    Returns:
        float32 (texts, dimensions), not checked further.

    Raises:
        ModelFailed: The body is not what its media type says, as when it was cut off.
        DimensionMismatch: The vectors are of tokens, or of unlike length.
        IntegrityError: It is something else altogether.
    """
    if content_type.partition(";")[0].strip().lower() == NPY:
        return _read_array(content)
    try:
        answer = json.loads(content)
    except ValueError as error:
        raise ModelFailed(f"The endpoint answered {len(content)} bytes that are not JSON.", retryable=True) from error
    return _rows(answer, pooling, normalized=normalized)


def read_spans(content: bytes, endpoint: str) -> "list[Vectors]":
    """Vectors of texts' parts.

    Args:
        content: The answer's body.
        endpoint: Who answered, for a message.

    Returns:
        For each text float32 (spans, dimensions), not checked further.

    Raises:
        ConfigurationError: The endpoint's container knows no spans.
        ModelFailed: The body is cut off.
        IntegrityError: It is something else altogether.
    """
    try:
        answer = json.loads(content)
    except ValueError as error:
        raise ModelFailed(f"The endpoint answered {len(content)} bytes that are not JSON.", retryable=True) from error
    if not isinstance(answer, dict) or "spans" not in answer:
        raise ConfigurationError(
            f"Endpoint {endpoint} does not pool parts of a text, which late chunking needs: deploy the model with this "
            "project's model server (model = { artifact = … }), or switch EMBEDSTACK_LATE_CHUNKING off."
        )
    try:
        return [np.stack([_vector(row) for row in spans]) for spans in answer["spans"]]
    except (TypeError, ValueError, binascii.Error):
        raise IntegrityError("The endpoint answered spans that are not vectors in base64.") from None


def _vector(row: str) -> "Vectors":
    return np.frombuffer(base64.b64decode(row, validate=True), "<f4").astype(np.float32)


def _read_array(content: bytes) -> "Vectors":
    try:
        array = np.load(io.BytesIO(content), allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise ModelFailed(f"The endpoint answered {len(content)} bytes that are no array.", retryable=True) from error
    vectors: Vectors = np.asarray(array, np.float32)
    if vectors.ndim != 2:
        raise DimensionMismatch(f"The endpoint answered an array of {vectors.ndim} dimensions, not 2.")
    return vectors


def _rows(answer: Any, pooling: ClientPooling | None, *, normalized: bool) -> "Vectors":
    if isinstance(answer, dict):
        answer = next((answer[name] for name in _MEMBERS if name in answer), answer)
    if not isinstance(answer, list):
        raise IntegrityError(f"The endpoint answered a {type(answer).__name__}, not a list of vectors.")
    if not answer:
        raise CountMismatch("The endpoint answered an empty list.")
    depth = _depth(answer)
    if depth < 2:
        raise IntegrityError("The endpoint answered a list of numbers, not a list of vectors.")
    if depth == 2:
        try:
            return np.asarray(answer, np.float32)
        except (TypeError, ValueError):
            raise DimensionMismatch("The endpoint answered vectors of unlike length.") from None
    if pooling is None:
        raise DimensionMismatch(_UNPOOLED)
    return _mean(answer, normalized=normalized)


def _depth(answer: Any) -> int:
    depth = 0
    while isinstance(answer, list):
        depth += 1
        answer = answer[0] if answer else None
    return depth


def _mean(answer: list[Any], *, normalized: bool) -> "Vectors":
    """The toolkit embeds one text at a time, so no row is padding and all of them count."""
    try:
        vectors = np.stack([_token_rows(text).mean(axis=0) for text in answer])
    except (TypeError, ValueError):
        raise DimensionMismatch("The endpoint answered token vectors of unlike length.") from None
    if normalized:
        vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.finfo(np.float32).tiny)
    return vectors


def _token_rows(text: Any) -> "Vectors":
    """float32 (tokens, dimensions) of a text, which the toolkit answers in a list of one."""
    array: Vectors = np.asarray(text, np.float32)
    return array[0] if array.ndim == 3 else array
