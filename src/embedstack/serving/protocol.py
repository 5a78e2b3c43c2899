"""How a model server speaks, apart from HTTP.

:class:`WireProtocol` is what a server needs of a protocol; :class:`EmbedProtocol` is the product's own: a superset of
Text Embeddings Inference's ``/embed``, so that a client of either is a client of both.
"""

import base64
import io
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import orjson

from embedstack.serving.requests import EmbedRequest, RequestError, RerankRequest, parse_request
from embedstack.serving.spans import span_vectors
from embedstack.serving.token_heads import TokenHeads, colbert_score

if TYPE_CHECKING:
    from embedstack.models import ModelIdentity
    from embedstack.serving.encoder import Encoded, Encoder

__all__ = ["Answer", "EmbedProtocol", "Invocation", "WireProtocol"]

JSON = "application/json"
NPY = "application/x-npy"

# SageMaker's own limit on a real-time request; nothing larger can arrive through InvokeEndpoint.
_PAYLOAD_LIMIT_BYTES = 25 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer's body with its media type.

    Attributes:
        body: The body.
        media_type: Its media type.
        status: The HTTP status.
        custom_attributes: Value of ``X-Amzn-SageMaker-Custom-Attributes``, which SageMaker passes on; None for none.
    """

    body: bytes
    media_type: str = JSON
    status: int = 200
    custom_attributes: str | None = None


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


class EmbedProtocol:
    """The product's own protocol."""

    payload_limit = _PAYLOAD_LIMIT_BYTES

    def __init__(self, identity: "ModelIdentity | None" = None) -> None:
        """Make the protocol.

        Args:
            identity: The model to name in each answer, by which clients see that it is the one that they expect.
        """
        self._attributes = identity.attributes() if identity else None

    async def answer(self, encoder: "Encoder", invocation: Invocation) -> Answer:
        """Embed the request's inputs, or order its texts; see :class:`WireProtocol`."""
        return replace(await self._answer(encoder, invocation), custom_attributes=self._attributes)

    async def _answer(self, encoder: "Encoder", invocation: Invocation) -> Answer:
        match parse_request(invocation.body):
            case RerankRequest() as request:
                return await _rerank(encoder, request)
            case EmbedRequest() as request:
                _check(encoder, request)
                needs_hidden = request.spans is not None or bool({"sparse", "colbert"} & set(request.outputs or ()))
                encoded = await encoder.aencode(
                    request.inputs,
                    truncate=request.truncate,
                    prompt_name=request.prompt_name,
                    prompt=request.prompt,
                    hidden=needs_hidden,
                )
                if request.outputs is None and request.spans is None:
                    vectors = encoded.vectors(request.dimensions, normalize=request.normalize)
                    return _rows(vectors, invocation.accept, as_base64=request.base64)
                return _json(_document(encoder, request, encoded))

    def render_error(self, error: RequestError) -> Answer:
        """``{"error", "error_type", "index"?}``."""
        document: dict[str, Any] = {"error": error.message, "error_type": error.error_type}
        if error.index is not None:
            document["index"] = error.index
        return Answer(orjson.dumps(document), status=error.status)


def _check(encoder: "Encoder", request: EmbedRequest) -> None:
    """Refuse what the model does not do, before it does anything."""
    encoder.check_dimensions(request.dimensions)
    if request.pooling not in (None, encoder.folder.pooling):
        raise RequestError(
            422,
            "unsupported_pooling",
            f"The model was trained with {encoder.folder.pooling} pooling, not {request.pooling}: leave out `pooling`.",
        )
    known = ["dense", *(["sparse", "colbert"] if encoder.folder.heads else [])]
    if unknown := sorted(set(request.outputs or ()) - set(known)):
        raise RequestError(
            422,
            "unsupported_output",
            f"The model has no output {', '.join(unknown)}; it has: {', '.join(known)}.",
        )


def _document(encoder: "Encoder", request: EmbedRequest, encoded: "Encoded") -> dict[str, Any]:
    """The answer by kind of output, with the tokens that it took."""
    document: dict[str, Any] = {}
    heads = encoder.folder.heads
    for output in request.outputs or ():
        if output == "dense":
            vectors = encoded.vectors(request.dimensions, normalize=request.normalize)
            document[output] = _listed(vectors, as_base64=request.base64)
        elif heads is not None and output == "colbert":
            document[output] = [_listed(heads.colbert(hidden), as_base64=request.base64) for hidden in encoded.hidden]
        elif heads is not None:
            document[output] = [_sparse(heads, *row) for row in zip(encoded.hidden, encoded.ids, strict=True)]
    if request.spans is not None:
        document["spans"] = [
            _listed(vectors, as_base64=request.base64) for vectors in span_vectors(encoder, request, encoded)
        ]
    document["usage"] = {"prompt_tokens": encoded.tokens, "total_tokens": encoded.tokens}
    return document


def _sparse(heads: TokenHeads, hidden: Any, ids: list[int]) -> dict[str, float]:
    return {str(token): weight for token, weight in heads.sparse(hidden, ids).items()}


async def _rerank(encoder: "Encoder", request: RerankRequest) -> Answer:
    heads = encoder.folder.heads
    if heads is None:
        raise RequestError(
            422, "unsupported_output", "The model cannot rerank: it has no ColBERT output. Compare its vectors instead."
        )
    encoded = await encoder.aencode([request.query, *request.texts], truncate=request.truncate, prompt="", hidden=True)
    query, *texts = (heads.colbert(hidden) for hidden in encoded.hidden)
    scores = [{"index": index, "score": colbert_score(query, text)} for index, text in enumerate(texts)]
    return _json(sorted(scores, key=lambda entry: -entry["score"]))


def _rows(vectors: Any, accept: str | None, *, as_base64: bool) -> Answer:
    if accept is not None and accept.split(";", 1)[0].strip().lower() == NPY:
        buffer = io.BytesIO()
        np.save(buffer, np.ascontiguousarray(vectors), allow_pickle=False)
        return Answer(buffer.getvalue(), NPY)
    return _json(_listed(vectors, as_base64=as_base64))


def _listed(vectors: Any, *, as_base64: bool) -> Any:
    """Vectors as they stand in a JSON answer: lists of numbers, or strings that hold them."""
    if as_base64:
        return [base64.b64encode(row).decode() for row in np.ascontiguousarray(vectors, "<f4")]
    return np.ascontiguousarray(vectors)


def _json(document: Any) -> Answer:
    return Answer(orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY))
