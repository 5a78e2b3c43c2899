"""The wire protocol of ``/invocations``: request and response bodies, without HTTP itself.

:class:`WireProtocol` is the interface that the server needs. :class:`EmbedProtocol` is the product's protocol, a
superset of Text Embeddings Inference's ``/embed`` and ``/rerank``, OpenAI's embeddings and Cohere's rerank requests:
clients of these APIs also work with this server.
"""

import asyncio
import base64
import functools
import io
import reprlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import orjson

from embedstack_server.compute.encoder import Encoder
from embedstack_server.compute.late_chunking import EmptySpan, SpanPooling
from embedstack_server.http.requests import EmbedRequest, RequestError, RerankRequest, parse_request
from embedstack_server.http.reranking import rerank

if TYPE_CHECKING:
    from collections.abc import Collection

    from embedstack.models.model_info import ModelIdentity
    from embedstack_server.compute.cross_encoder import CrossEncoder
    from embedstack_server.compute.encoder import Encoded, HiddenHook, Vectors
    from embedstack_server.model.tokenizer import TokenizedText

__all__ = ["MAX_REQUEST_TOKENS", "RESPONSE_LIMIT_BYTES", "EmbedProtocol", "Invocation", "Response", "WireProtocol"]

JSON = "application/json"
NPY = "application/x-npy"

# SageMaker's limit on a real-time request; InvokeEndpoint delivers nothing larger.
_PAYLOAD_LIMIT_BYTES = 25 * 1024 * 1024
#: SageMaker's limit on the response of a real-time endpoint.
RESPONSE_LIMIT_BYTES = 25 * 1024 * 1024
#: Limit on the tokens of one request: 2,048 texts of 512 tokens, or 128 of 8,192.
MAX_REQUEST_TOKENS = 1_048_576
# Only a few responses above this size are computed concurrently: vectors and JSON take memory, and serializing JSON
# holds the interpreter lock.
_LARGE_RESPONSE_BYTES = 1024 * 1024
_LARGE_RESPONSES = 2
# Bytes of a float32 number in a response. Most numbers take 11 to 13 bytes in JSON; the minimum is used for the check
# before the model runs, which must not reject a response that would fit.
_JSON_NUMBER_BYTES = 8
_BASE64_NUMBER_BYTES = 5
_NPY_NUMBER_BYTES = 4


@dataclass(frozen=True, slots=True)
class Response:
    """An HTTP response's body and media type.

    Attributes:
        body: The body.
        media_type: Its media type.
        status: The HTTP status.
        custom_attributes: Value of ``X-Amzn-SageMaker-Custom-Attributes``, which SageMaker forwards; None to omit it.
    """

    body: bytes
    media_type: str = JSON
    status: int = 200
    custom_attributes: str | None = None


@dataclass(frozen=True, slots=True)
class Invocation:
    """An unparsed request to ``/invocations``.

    Attributes:
        body: The body.
        accept: The ``Accept`` header; None if absent.
        content_type: The ``Content-Type`` header; None if absent.
    """

    body: bytes
    accept: str | None = None
    content_type: str | None = None


class WireProtocol(Protocol):
    """The protocol of a model server."""

    @property
    def payload_limit(self) -> int:
        """Largest accepted request body, in bytes."""

    async def respond(self, model: Any, invocation: Invocation, /) -> Response:
        """Process one request with the model that the server loaded.

        Raises:
            RequestError: The request is rejected.
            EmbedStackError: The model rejected it or failed.
        """

    def render_error(self, error: RequestError) -> Response:
        """The response to a rejected request."""


class EmbedProtocol:
    """The product's protocol."""

    payload_limit = _PAYLOAD_LIMIT_BYTES

    def __init__(self, identity: "ModelIdentity | None" = None) -> None:
        """Create the protocol.

        Args:
            identity: Model that each response names, so that clients can verify it.
        """
        self._attributes = identity.attributes() if identity else None
        self._large = asyncio.Semaphore(_LARGE_RESPONSES)

    async def respond(self, model: "Encoder | CrossEncoder", invocation: Invocation, /) -> Response:
        """Embed the request's inputs, or rerank its texts; see :class:`WireProtocol`."""
        return replace(await self._respond(model, invocation), custom_attributes=self._attributes)

    async def _respond(self, model: "Encoder | CrossEncoder", invocation: Invocation) -> Response:
        match parse_request(invocation.body):
            case RerankRequest() as request:
                _choose_media_type(invocation.accept, (JSON,))
                _check_model(model, request.model)
                return _json(await rerank(model, request, MAX_REQUEST_TOKENS))
            case EmbedRequest() as request:
                return await self._respond_with_vectors(model, request, invocation.accept)

    async def _respond_with_vectors(
        self, model: "Encoder | CrossEncoder", request: EmbedRequest, accept: str | None
    ) -> Response:
        rows = request.form == "tei" and request.outputs is None and request.spans is None
        media_type = _choose_media_type(accept, (JSON, NPY) if rows else (JSON,))
        _check_model(model, request.model)
        if not isinstance(model, Encoder):
            raise RequestError(
                422,
                "unsupported_kind",
                f"{model.model.model_id} is a reranker: it scores texts for a query, and has no vectors. Send "
                "`query` and `texts`.",
            )
        _check_options(model, request)
        numbers = _count_numbers(model, request)
        number_bytes = _NPY_NUMBER_BYTES if media_type == NPY else _number_bytes(request)
        _check_response_size(numbers * number_bytes)
        size = (numbers + _most_token_numbers(model, request)) * number_bytes
        if request.form == "openai":
            embed = _embed_as_openai
        else:
            embed = functools.partial(_embed, media_type=media_type) if rows else _embed_outputs
        if size <= _LARGE_RESPONSE_BYTES:
            return await embed(model, request)
        async with self._large:
            return await embed(model, request)

    def render_error(self, error: RequestError) -> Response:
        """The response ``{"error", "error_type", "index"?}``."""
        document: dict[str, Any] = {"error": error.message, "error_type": error.error_type}
        if error.index is not None:
            document["index"] = error.index
        return Response(orjson.dumps(document), status=error.status)


def _choose_media_type(accept: str | None, offered: tuple[str, ...]) -> str:
    """The offered media type that ``Accept`` prefers (RFC 9110); the first of equally preferred ones.

    Raises:
        RequestError: The client accepts none of them.
    """
    if accept is None or not accept.strip():
        return offered[0]
    qualities = dict(map(_media_range, accept.split(",")))

    def quality(media_type: str) -> float:
        ranges = (media_type, f"{media_type.partition('/')[0]}/*", "*/*")
        return next((qualities[name] for name in ranges if name in qualities), 0)

    best = max(offered, key=quality)
    if quality(best) > 0:
        return best
    raise RequestError(
        406,
        "not_acceptable",
        f"`Accept` is {reprlib.repr(accept)}; the response can be {' or '.join(offered)}. Accept one of these.",
    )


def _media_range(item: str) -> tuple[str, float]:
    """A media range of ``Accept`` and its quality."""
    name, *parameters = (part.strip().lower() for part in item.split(";"))
    quality = next((value for value in parameters if value.startswith("q=")), "q=1")
    try:
        return name, float(quality[2:])
    except ValueError:
        return name, 0.0


def _check_options(encoder: Encoder, request: EmbedRequest) -> None:
    """Reject options that the model does not support, before anything is computed."""
    encoder.check_dimensions(request.dimensions)
    if request.pooling is not None and request.pooling != encoder.model.pooling:
        raise RequestError(
            422,
            "unsupported_pooling",
            f"The model was trained with {encoder.model.pooling} pooling, not {_shortened(request.pooling)}: remove "
            "`pooling`.",
        )
    supported = ["dense", *(["sparse", "colbert"] if encoder.model.heads else [])]
    if unsupported := sorted(set(request.outputs or ()) - set(supported)):
        raise RequestError(
            422,
            "unsupported_output",
            f"The model has no output {', '.join(map(_shortened, unsupported[:3]))}; it has: {', '.join(supported)}.",
        )


def _count_numbers(encoder: Encoder, request: EmbedRequest) -> int:
    """Numbers in the response's vectors of texts and spans."""
    spans = sum(map(len, request.spans or ())) * encoder.model.dimensions
    if "dense" in (request.outputs or ()) or (request.outputs is None and request.spans is None):
        return len(request.inputs) * (request.dimensions or encoder.model.dimensions) + spans
    return spans


def _most_token_numbers(encoder: Encoder, request: EmbedRequest) -> int:
    """Estimated upper bound of the numbers in the response's token outputs: at most one token per character."""
    heads = encoder.model.heads
    if heads is None:
        return 0
    tokens = min(len(request.inputs) * encoder.model.max_tokens, sum(map(len, request.inputs)))
    outputs = request.outputs or ()
    return tokens * (heads.dimensions * ("colbert" in outputs) + ("sparse" in outputs))


def _check_model(model: "Encoder | CrossEncoder", name: str | None) -> None:
    served = model.model.model_id
    if name is not None and name not in (served, served.rpartition("/")[2]):
        raise RequestError(
            422, "unknown_model", f"The server serves the model {served}, not {_shortened(name)}: remove `model`."
        )


def _shortened(name: str) -> str:
    """A client's value, shortened for an error message."""
    return name if len(name) <= 100 else reprlib.repr(name)


def _number_bytes(request: EmbedRequest) -> int:
    return _BASE64_NUMBER_BYTES if request.base64 else _JSON_NUMBER_BYTES


def _check_response_size(size: int) -> None:
    """Reject a response that exceeds SageMaker's limit.

    Args:
        size: Bytes of the response, or a lower bound of them.

    Raises:
        RequestError: The response is too large.
    """
    if size > RESPONSE_LIMIT_BYTES:
        raise RequestError(
            413,
            "response_too_large",
            f"The response would be over the limit of {RESPONSE_LIMIT_BYTES} bytes. Send fewer texts or spans in one "
            "request, or request a more compact format (base64, or application/x-npy for plain vectors).",
        )


async def _embed(encoder: Encoder, request: EmbedRequest, media_type: str) -> Response:
    """The response with one vector per text."""
    tokenized = await _tokenize(encoder, request)
    encoded = await encoder.acompute([text.ids for text in tokenized])
    vectors = encoded.vectors(request.dimensions, normalize=request.normalize)
    if media_type == NPY:
        buffer = io.BytesIO()
        np.save(buffer, np.ascontiguousarray(vectors), allow_pickle=False)
        return Response(buffer.getvalue(), NPY)
    return _json(_listed(vectors, as_base64=request.base64))


async def _embed_as_openai(encoder: Encoder, request: EmbedRequest) -> Response:
    """The response with one vector per text, and the token usage, as of OpenAI's API."""
    tokenized = await _tokenize(encoder, request)
    encoded = await encoder.acompute([text.ids for text in tokenized])
    vectors = _listed(encoded.vectors(request.dimensions, normalize=request.normalize), as_base64=request.base64)
    return _json(
        {
            "object": "list",
            "data": [
                {"object": "embedding", "index": index, "embedding": vector} for index, vector in enumerate(vectors)
            ],
            "model": encoder.model.model_id,
            "usage": _usage(encoded),
        }
    )


async def _embed_outputs(encoder: Encoder, request: EmbedRequest) -> Response:
    """The response with named outputs and the token usage."""
    tokenized = await _tokenize(encoder, request, offsets=request.spans is not None)
    ids = [text.ids for text in tokenized]
    heads = encoder.model.heads
    # Functions of a text's hidden state, by output name.
    functions: dict[str, HiddenHook] = {}
    size = 0
    for output in request.outputs or ():
        if heads is not None and output == "colbert":
            functions[output] = lambda _, hidden: heads.colbert(hidden)
            size += sum(len(tokens) - 1 for tokens in ids) * heads.dimensions * _number_bytes(request)
        elif heads is not None and output == "sparse":
            functions[output] = lambda index, hidden: heads.sparse(hidden, ids[index])
    _check_response_size(size)
    if request.spans is not None:
        prompt = encoder.prompt(request.prompt_name, request.prompt)
        try:
            functions["spans"] = SpanPooling(tokenized, request.spans, prompt, normalize=request.normalize)
        except EmptySpan as error:
            raise RequestError(422, "empty_span", str(error), index=error.index) from None

    def derive(index: int, hidden: "Vectors") -> dict[str, Any]:
        return {output: function(index, hidden) for output, function in functions.items()}

    encoded = await encoder.acompute(ids, derive if functions else None)
    return _json(_document(request, encoded, functions))


async def _tokenize(encoder: Encoder, request: EmbedRequest, *, offsets: bool = False) -> "list[TokenizedText]":
    return await encoder.atokenize(
        request.inputs,
        truncate=request.truncate,
        direction=request.direction,
        prompt_name=request.prompt_name,
        prompt=request.prompt,
        offsets=offsets,
        most_tokens=MAX_REQUEST_TOKENS,
    )


def _document(request: EmbedRequest, encoded: "Encoded", functions: "Collection[str]") -> dict[str, Any]:
    document: dict[str, Any] = {}
    if "dense" in (request.outputs or ()):
        vectors = encoded.vectors(request.dimensions, normalize=request.normalize)
        document["dense"] = _listed(vectors, as_base64=request.base64)
    for output in functions:
        results = [derived[output] for derived in encoded.derived]
        if output == "sparse":
            document[output] = [{str(token): weight for token, weight in weights.items()} for weights in results]
        else:
            document[output] = [_listed(vectors, as_base64=request.base64) for vectors in results]
    document["usage"] = _usage(encoded)
    return document


def _usage(encoded: "Encoded") -> dict[str, int]:
    """The tokens that the model read, as OpenAI's API reports them."""
    return {"prompt_tokens": encoded.tokens, "total_tokens": encoded.tokens}


def _listed(vectors: Any, *, as_base64: bool) -> Any:
    """Vectors as a JSON response holds them: lists of numbers, or base64 strings."""
    if as_base64:
        return [base64.b64encode(row).decode() for row in np.ascontiguousarray(vectors, "<f4")]
    return np.ascontiguousarray(vectors)


def _json(document: Any) -> Response:
    body = orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)
    _check_response_size(len(body))
    return Response(body)
