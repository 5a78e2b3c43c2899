"""InvokeModel for rerankers. The weights are not available: a score is the share of the query's words in a document.

Formats: Cohere's API reference, "Rerank". Regions: Amazon Bedrock user guide, "Supported Regions and models for
reranking in Amazon Bedrock".
"""

import re
import uuid
from typing import Any

from localaws.services.bedrock_runtime.errors import BedrockError

__all__ = ["is_reranker", "rerank"]

_AMAZON, _COHERE = "amazon.rerank-v1:0", "cohere.rerank-v3-5:0"
_REGIONS = {
    _AMAZON: {"ap-northeast-1", "ca-central-1", "eu-central-1", "us-west-2"},
    _COHERE: {"ap-northeast-1", "ca-central-1", "eu-central-1", "us-east-1", "us-west-2"},
}
_OPTIONAL = {_AMAZON: {"top_n"}, _COHERE: {"top_n", "max_tokens_per_doc", "return_documents"}}
_MAX_DOCUMENTS = 1000
_DOCUMENTS_PER_UNIT = 100
_WORD = re.compile(r"\w+")


def is_reranker(model: str, region: str) -> bool:
    """Whether this is a reranker that the region offers."""
    return region in _REGIONS.get(model, ())


def rerank(model: str, request: dict[str, Any]) -> tuple[dict[str, Any], int]:
    """The response to InvokeModel, and the number of input tokens.

    Raises:
        BedrockError: The request is invalid.
    """
    required = {"query", "documents"} | ({"api_version"} if model == _COHERE else set())
    for name in sorted(required - set(request)):
        raise _malformed(f"#: required key [{name}] not found")
    for name in sorted(set(request) - required - _OPTIONAL[model]):
        raise _malformed(f"#: extraneous key [{name}] is not permitted")
    version, query, documents = request.get("api_version", 2), request["query"], request["documents"]
    if version < 2:
        raise _malformed(f"#/api_version: {version} is not greater or equal to 2")
    if not isinstance(query, str) or not query:
        raise _malformed("#/query: expected minLength: 1, actual: 0")
    if not isinstance(documents, list) or not 1 <= len(documents) <= _MAX_DOCUMENTS:
        raise _malformed(f"#/documents: expected 1 to {_MAX_DOCUMENTS} items")
    if not all(isinstance(document, str) and document for document in documents):
        raise _malformed("#/documents: expected strings with minLength: 1")
    top_n = request.get("top_n", len(documents))
    if type(top_n) is not int or top_n < 1:
        raise _malformed(f"#/top_n: {top_n} is not greater or equal to 1")
    words = set(_words(query))
    scores = [len(words & set(_words(document))) / max(1, len(words)) for document in documents]
    results = [
        {"index": index, "relevance_score": scores[index]}
        for index in sorted(range(len(scores)), key=lambda index: -scores[index])[:top_n]
    ]
    tokens = sum(len(_words(text)) for text in (query, *documents))
    if model == _AMAZON:
        return {"results": results}, tokens
    units = -(-len(documents) // _DOCUMENTS_PER_UNIT)
    meta = {"api_version": {"version": str(version)}, "billed_units": {"search_units": units}}
    return {"id": str(uuid.uuid4()), "results": results, "meta": meta}, tokens


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())


def _malformed(problem: str) -> BedrockError:
    message = f"Malformed input request: {problem}, please reformat your input and try again."
    return BedrockError(400, "ValidationException", message)
