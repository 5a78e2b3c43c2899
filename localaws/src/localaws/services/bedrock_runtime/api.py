"""The Amazon Bedrock Runtime API: models with generated output and the limits of the real models.

The weights of Bedrock's models are not available. A vector is derived from a hash of its text: equal texts have equal
vectors, and different texts have different ones. Formats and limits: Amazon Bedrock user guide, "Inference request
parameters and response fields for foundation models".
"""

import hashlib
import json
import math
import re
import uuid
from collections.abc import Iterable
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import numpy as np

from localaws.config import ACCOUNT_ID
from localaws.core.event_stream import EVENT_STREAM
from localaws.metering.lines import bedrock_queries, bedrock_tokens
from localaws.services.bedrock_runtime.converse import converse, converse_stream
from localaws.services.bedrock_runtime.errors import BedrockError
from localaws.services.bedrock_runtime.invoke_model import generate, generate_stream, is_text_model
from localaws.services.bedrock_runtime.rerank import is_reranker, rerank

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

    from localaws.metering.meter import Meter

__all__ = ["ACTIONS", "SERVICE", "SIMPLIFICATIONS", "BedrockRuntime", "is_bedrock"]

SERVICE = "bedrock-runtime"
ACTIONS = ("Converse", "ConverseStream", "InvokeModel", "InvokeModelWithResponseStream")

SIMPLIFICATIONS = {
    "Converse": "The model repeats the last message; token counts are word counts.",
    "ConverseStream": "As Converse, one word per event.",
    "InvokeModel": "Titan, Nova and Cohere embeddings with random vectors; Cohere and Amazon rerankers that count "
    "common words; Claude and Llama text as in Converse.",
    "InvokeModelWithResponseStream": "Claude and Llama only, one word per event.",
}

_GEOGRAPHY = re.compile(r"^(us|eu|apac|us-gov|global)\.")
_CREDENTIAL_REGION = re.compile(r"Credential=[^/]+/\d+/(?P<region>[^/]+)/")
_PATH = re.compile(r"^/model/(?P<model>[^/]+)/(?P<operation>[a-z-]+)$")
_TITAN_CHARACTERS = 50_000
_TITAN_TOKENS = 8192
_NOVA_CHARACTERS = 8192
_NOVA_TOKENS = 8192
_NOVA_DIMENSIONS = (256, 384, 1024, 3072)
_NOVA_PURPOSES = (
    "GENERIC_INDEX", "GENERIC_RETRIEVAL", "TEXT_RETRIEVAL", "IMAGE_RETRIEVAL", "VIDEO_RETRIEVAL", "DOCUMENT_RETRIEVAL",
    "AUDIO_RETRIEVAL", "CLASSIFICATION", "CLUSTERING",
)  # fmt: skip
_COHERE_TEXTS = 96
_STATUSES = {400: "400 Bad Request", 404: "404 Not Found", 501: "501 Not Implemented"}


def is_bedrock(environ: "WSGIEnvironment") -> bool:
    """Whether the request was signed for Bedrock's runtime API."""
    signed = "/bedrock/aws4_request" in environ.get("HTTP_AUTHORIZATION", "")
    return signed and environ.get("PATH_INFO", "").startswith("/model/")


class BedrockRuntime:
    """A WSGI application for InvokeModel in the models' own formats, and for Converse."""

    def __init__(self, meter: "Meter") -> None:
        """Count tokens and queries with a meter."""
        self._meter = meter

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Handle one request."""
        headers = [("Content-Type", "application/json"), ("x-amzn-RequestId", str(uuid.uuid4()))]
        try:
            body, status = self._response_body(environ, headers), "200 OK"
        except BedrockError as error:
            body, status = json.dumps({"message": str(error)}).encode(), _STATUSES[error.status]
            headers.append(("x-amzn-errortype", error.code))
        start_response(status, [*headers, ("Content-Length", str(len(body)))])
        return [body]

    def _response_body(self, environ: "WSGIEnvironment", headers: list[tuple[str, str]]) -> bytes:
        match = _PATH.match(environ.get("PATH_INFO", ""))
        model_id, operation = (unquote(match["model"]), match["operation"]) if match else ("", "")
        model = _GEOGRAPHY.sub("", model_id)
        is_profile = model != model_id
        content = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        try:
            request = json.loads(content)
        except ValueError:
            raise _invalid("Malformed input request, please reformat your input and try again.") from None
        count = partial(self._count, environ, model)
        match operation:
            case "invoke":
                response, tokens = _invoke(model, request, _region(environ), is_profile=is_profile)
                headers.append(("X-Amzn-Bedrock-Input-Token-Count", str(tokens)))
                count(tokens, _output_tokens(response), _queries(model, request, _region(environ)))
                return json.dumps(response).encode()
            case "invoke-with-response-stream" if is_text_model(model):
                headers[0] = ("Content-Type", EVENT_STREAM)
                headers.append(("X-Amzn-Bedrock-Content-Type", "application/json"))  # of the chunks
                response, tokens = generate(model, request, is_profile=is_profile)
                count(tokens, _output_tokens(response))
                return b"".join(generate_stream(model, request, is_profile=is_profile))
            case "converse" | "converse-stream":
                response = converse(model, request, is_profile=is_profile)
                count(response["usage"]["inputTokens"], response["usage"]["outputTokens"])
                if operation == "converse":
                    return json.dumps(response).encode()
                headers[0] = ("Content-Type", EVENT_STREAM)
                return b"".join(converse_stream(model, request, is_profile=is_profile))
            case _:
                message = f"The local AWS does not implement bedrock-runtime: {environ.get('PATH_INFO', '')}."
                raise BedrockError(501, "NotImplementedException", message)

    def _count(
        self, environ: "WSGIEnvironment", model: str, input_tokens: int, output_tokens: int = 0, queries: int = 0
    ) -> None:
        """Count a request for the bill: rerankers by query, other models by token."""
        account_id, region = environ.get("HTTP_X_MOTO_ACCOUNT_ID", ACCOUNT_ID), _region(environ)
        if queries:
            self._meter.add(bedrock_queries(account_id, region, model), queries)
            return
        self._meter.add(bedrock_tokens(account_id, region, model, "input"), Decimal(input_tokens) / 1000)
        if output_tokens:
            self._meter.add(bedrock_tokens(account_id, region, model, "output"), Decimal(output_tokens) / 1000)


def _output_tokens(response: dict[str, Any]) -> int:
    """The generated tokens in a response of InvokeModel; embeddings have none."""
    usage = response.get("usage") or {}
    return int(usage.get("output_tokens") or response.get("generation_token_count") or 0)


def _queries(model: str, request: dict[str, Any], region: str) -> int:
    """The billed queries of a reranker, each with up to 100 documents; other models have none."""
    return math.ceil(len(request["documents"]) / 100) if is_reranker(model, region) else 0


def _invoke(model: str, request: dict[str, Any], region: str, *, is_profile: bool) -> tuple[dict[str, Any], int]:
    if is_text_model(model):
        return generate(model, request, is_profile=is_profile)
    if is_reranker(model, region):
        return rerank(model, request)
    return _embed(model, request)


def _region(environ: "WSGIEnvironment") -> str:
    """The region that the request was signed for."""
    match = _CREDENTIAL_REGION.search(environ.get("HTTP_AUTHORIZATION", ""))
    return match["region"] if match else ""


def _embed(model: str, request: dict[str, Any]) -> tuple[dict[str, Any], int]:
    if model.startswith("amazon.titan-embed-text-v"):
        return _titan(model, request)
    if model.startswith("amazon.nova-2-multimodal-embeddings-v"):
        return _nova(model, request)
    if model.startswith("cohere.embed-"):
        return _cohere(model, request)
    raise _invalid("The provided model identifier is invalid.")


def _titan(model: str, request: dict[str, Any]) -> tuple[dict[str, Any], int]:
    text = request.get("inputText")
    if not isinstance(text, str) or not text:
        raise _invalid("Malformed input request: #/inputText: expected minLength: 1, actual: 0.")
    tokens = _count_tokens(text)
    if len(text) > _TITAN_CHARACTERS or tokens > _TITAN_TOKENS:
        raise _invalid(
            f"400 Bad Request: Too many input tokens. Max input tokens: {_TITAN_TOKENS}, request input token count: "
            f"{tokens}"
        )
    if model.startswith("amazon.titan-embed-text-v1"):
        if set(request) != {"inputText"}:
            raise _invalid("Malformed input request: #: extraneous key is not permitted.")
        return {"embedding": _vector(model, text, 1536, normalize=False), "inputTextTokenCount": tokens}, tokens
    dimensions = request.get("dimensions", 1024)
    if dimensions not in (256, 512, 1024):
        raise _invalid(f"Malformed input request: #/dimensions: {dimensions} is not a valid enum value.")
    vector = _vector(model, text, dimensions, normalize=request.get("normalize", True))
    return {"embedding": vector, "embeddingsByType": {"float": vector}, "inputTextTokenCount": tokens}, tokens


def _nova(model: str, request: dict[str, Any]) -> tuple[dict[str, Any], int]:
    parameters = request.get("singleEmbeddingParams")
    if request.get("taskType") != "SINGLE_EMBEDDING" or not isinstance(parameters, dict):
        raise _invalid("Malformed input request: #: required key [singleEmbeddingParams] not found.")
    purpose, dimensions = parameters.get("embeddingPurpose"), parameters.get("embeddingDimension", 3072)
    if purpose not in _NOVA_PURPOSES:
        raise _invalid("Malformed input request: #/singleEmbeddingParams/embeddingPurpose is not a valid enum value.")
    if dimensions not in _NOVA_DIMENSIONS:
        raise _invalid("Malformed input request: #/singleEmbeddingParams/embeddingDimension is not a valid enum value.")
    text = parameters.get("text")
    if not isinstance(text, dict) or text.get("truncationMode") not in ("START", "END", "NONE"):
        raise _invalid(
            "Malformed input request: #/singleEmbeddingParams/text: required key [truncationMode] not found."
        )
    value = text.get("value")
    if not isinstance(value, str) or not 1 <= len(value) <= _NOVA_CHARACTERS:
        raise _invalid(f"Malformed input request: #/singleEmbeddingParams/text/value: maxLength: {_NOVA_CHARACTERS}.")
    tokens = _count_tokens(value)
    if tokens > _NOVA_TOKENS and text["truncationMode"] == "NONE":
        raise _invalid(f"Too many input tokens. Max input tokens: {_NOVA_TOKENS}, request input token count: {tokens}")
    vector = _vector(model, purpose + value, dimensions, normalize=True)
    return {"embeddings": [{"embeddingType": "TEXT", "embedding": vector}]}, tokens


def _cohere(model: str, request: dict[str, Any]) -> tuple[dict[str, Any], int]:
    texts = request.get("texts")
    if not isinstance(texts, list) or not 1 <= len(texts) <= _COHERE_TEXTS:
        raise _invalid(f"Malformed input request: #/texts: expected 1 to {_COHERE_TEXTS} items.")
    if request.get("input_type") not in ("search_document", "search_query", "classification", "clustering"):
        raise _invalid("Malformed input request: #: required key [input_type] not found.")
    is_v4 = model.startswith("cohere.embed-v4")
    dimensions = request.get("output_dimension", 1536) if is_v4 else 1024
    # A query and a document with the same text have different vectors.
    vectors = [_vector(model, request["input_type"] + text, dimensions, normalize=False) for text in texts]
    by_type = "embedding_types" in request
    response = {
        "id": str(uuid.uuid4()),
        "response_type": "embeddings_by_type" if by_type else "embeddings_floats",
        "embeddings": {"float": vectors} if by_type else vectors,
        "texts": texts,
    }
    return response, sum(_count_tokens(text) for text in texts)


def _vector(model: str, text: str, dimensions: int, *, normalize: bool) -> list[float]:
    seed = int.from_bytes(hashlib.sha256(f"{model}\n{text}".encode()).digest()[:8], "little")
    vector = np.random.default_rng(seed).normal(size=dimensions)
    if normalize:
        vector /= np.linalg.norm(vector)
    return [float(component) for component in vector.astype(np.float32)]


def _count_tokens(text: str) -> int:
    return len(text.split()) + 1


def _invalid(message: str) -> BedrockError:
    return BedrockError(400, "ValidationException", message)
