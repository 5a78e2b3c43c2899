"""What a request to the model server says and what an answer looks like, apart from HTTP.

:class:`WireProtocol` is what a server needs of a protocol; :class:`EmbedProtocol` is the product's own: a superset of
Text Embeddings Inference's ``/embed``, so that a client of either is a client of both.
"""

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import orjson

from embedstack.errors import EmbedStackError, InputError, TextTooLong

if TYPE_CHECKING:
    from embedstack.serving.encoder import Embeddings, Encoder

__all__ = ["Answer", "EmbedProtocol", "EmbedRequest", "Invocation", "RequestError", "WireProtocol"]

JSON = "application/json"
NPY = "application/x-npy"

# SageMaker's own limit on a real-time request; nothing larger can arrive through InvokeEndpoint.
_PAYLOAD_LIMIT_BYTES = 25 * 1024 * 1024
_MAX_INPUTS = 2048


class RequestError(Exception):
    """A request that is answered with an error.

    Attributes:
        status: HTTP status.
        error_type: A word that a program can act on.
        message: A sentence for a person.
        index: Position of the failing input, where one input is at fault.
        retry_after: Seconds after which to try again, where that helps.
    """

    def __init__(
        self, status: int, error_type: str, message: str, *, index: int | None = None, retry_after: int | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.error_type = error_type
        self.message = message
        self.index = index
        self.retry_after = retry_after

    @classmethod
    def from_error(cls, error: EmbedStackError) -> "RequestError":
        """What an error of the encoder is over HTTP: 422 where the input is at fault, 500 where the model is."""
        match error:
            case TextTooLong():
                return cls(422, "text_too_long", str(error), index=error.index)
            case InputError():
                return cls(422, "invalid_input", str(error), index=error.index)
            case _:
                return cls(500, "model_error", str(error), index=error.index)


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer's body with its media type."""

    body: bytes
    media_type: str = JSON
    status: int = 200


@dataclass(frozen=True, slots=True)
class Invocation:
    """A request to ``/invocations`` before it is understood.

    Attributes:
        body: The body.
        accept: The ``Accept`` header; None where there is none.
        content_type: The ``Content-Type`` header; None where there is none.
    """

    body: bytes
    accept: str | None = None
    content_type: str | None = None


class WireProtocol(Protocol):
    """How a model server speaks."""

    @property
    def payload_limit(self) -> int:
        """Bytes of the largest request."""

    async def answer(self, encoder: "Encoder", invocation: Invocation) -> Answer:
        """Answer one request.

        Raises:
            RequestError: The request is refused.
            EmbedStackError: The encoder refused it or failed.
        """

    def render_error(self, error: RequestError) -> Answer:
        """The answer to a refused request."""


@dataclass(frozen=True, slots=True)
class EmbedRequest:
    """A well-formed request.

    Attributes:
        inputs: The texts.
        normalize: Scale vectors to unit length.
        truncate: Cut texts that are longer than the model reads.
        pooling: The pooling that the client expects, or None.
        dimensions: Leading components to keep, or None for all.
        prompt_name: The model's prompt to put before every input, or None.
        outputs: Kinds of output, or None for plain rows.
    """

    inputs: tuple[str, ...]
    normalize: bool = True
    truncate: bool = True
    pooling: str | None = None
    dimensions: int | None = None
    prompt_name: str | None = None
    outputs: tuple[str, ...] | None = None

    @classmethod
    def parse(cls, body: bytes) -> "EmbedRequest":
        """Read a request's JSON body.

        Raises:
            RequestError: The body is no JSON, or a member is missing or of the wrong type.
        """
        payload = _parse_object(body)
        # Older clients nest the options; a member beside `inputs` is the more deliberate one and wins.
        options = {**_member(payload, "parameters", dict, {}), **payload}
        return cls(
            inputs=_inputs(payload),
            normalize=_member(options, "normalize", bool, default=True),
            truncate=_member(options, "truncate", bool, default=True),
            pooling=_member(options, "pooling", str, None),
            dimensions=_member(options, "dimensions", int, None),
            prompt_name=_member(options, "prompt_name", str, None),
            outputs=_outputs(payload),
        )


class EmbedProtocol:
    """The product's own protocol."""

    payload_limit = _PAYLOAD_LIMIT_BYTES

    async def answer(self, encoder: "Encoder", invocation: Invocation) -> Answer:
        """Embed the request's inputs; see :class:`WireProtocol`."""
        request = EmbedRequest.parse(invocation.body)
        if request.pooling not in (None, encoder.folder.pooling):
            raise RequestError(
                422,
                "unsupported_pooling",
                f"The model was trained with {encoder.folder.pooling} pooling, not {request.pooling}: "
                "leave out `pooling`.",
            )
        if unknown := set(request.outputs or ()) - {"dense"}:
            raise RequestError(
                422, "unsupported_output", f"The model has no output {', '.join(sorted(unknown))}; it has: dense."
            )
        embeddings = await encoder.aencode(
            request.inputs,
            normalize=request.normalize,
            truncate=request.truncate,
            dimensions=request.dimensions,
            prompt_name=request.prompt_name,
        )
        return _render(embeddings, request, invocation.accept)

    def render_error(self, error: RequestError) -> Answer:
        """``{"error", "error_type", "index"?}``."""
        document: dict[str, Any] = {"error": error.message, "error_type": error.error_type}
        if error.index is not None:
            document["index"] = error.index
        return Answer(orjson.dumps(document), status=error.status)


def _render(embeddings: "Embeddings", request: EmbedRequest, accept: str | None) -> Answer:
    vectors = np.ascontiguousarray(embeddings.vectors)
    if accept is not None and accept.split(";")[0].strip().lower() == NPY:
        buffer = io.BytesIO()
        np.save(buffer, vectors, allow_pickle=False)
        return Answer(buffer.getvalue(), NPY)
    document: Any = vectors
    if request.outputs is not None:
        usage = {"prompt_tokens": sum(embeddings.token_counts), "total_tokens": sum(embeddings.token_counts)}
        document = {"dense": vectors, "usage": usage}
    return Answer(orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY))


def _parse_object(body: bytes) -> dict[str, Any]:
    try:
        payload = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise RequestError(400, "malformed_json", f"The body is not JSON: {error}.") from None
    if not isinstance(payload, dict):
        raise RequestError(
            400, "malformed_request", f'The body is JSON, but {_kind(payload)}; send an object: {{"inputs": "a text"}}.'
        )
    return payload


def _inputs(payload: dict[str, Any]) -> tuple[str, ...]:
    inputs = payload.get("inputs")
    texts = [inputs] if isinstance(inputs, str) else inputs
    if not isinstance(texts, list) or not texts:
        what = "missing" if inputs is None else "an empty list" if inputs == [] else _kind(inputs)
        raise RequestError(
            400, "malformed_request", f"`inputs` is {what}; it must be a string or a non-empty list of strings."
        )
    if len(texts) > _MAX_INPUTS:
        raise RequestError(413, "too_many_inputs", f"`inputs` has {len(texts)} texts; one request takes {_MAX_INPUTS}.")
    for index, text in enumerate(texts):
        if not isinstance(text, str):
            raise RequestError(
                400, "malformed_request", f"`inputs[{index}]` is {_kind(text)}; it must be a string.", index=index
            )
    return tuple(texts)


def _outputs(payload: dict[str, Any]) -> tuple[str, ...] | None:
    outputs = _member(payload, "outputs", list, None)
    if outputs is None:
        return None
    if not outputs or not all(isinstance(output, str) for output in outputs):
        raise RequestError(400, "malformed_request", '`outputs` must be a non-empty list of names such as ["dense"].')
    return tuple(outputs)


def _member(document: dict[str, Any], name: str, kind: type, default: Any) -> Any:
    value = document.get(name)
    if value is None:
        return default
    # bool is an int in Python; it is not in JSON.
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise RequestError(400, "malformed_request", f"`{name}` is {_kind(value)}; it must be {_JSON_KINDS[kind]}.")
    return value


_JSON_KINDS: dict[type, str] = {
    bool: "a boolean",
    dict: "an object",
    float: "a number",
    int: "a number",
    list: "a list",
    str: "a string",
    type(None): "null",
}


def _kind(value: Any) -> str:
    """What a JSON value is, with its article."""
    return _JSON_KINDS[type(value)]
