"""Search requests from a function URL, API Gateway or a direct invocation."""

import base64
import binascii
import json
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from embedstack.errors import InputError
from embedstack.stores import Mode

__all__ = ["MethodRefused", "SearchQuery", "is_http", "read_request"]

#: The limit of S3 Vectors.
MAX_HITS = 100
#: The documents of one query of Bedrock's rerankers.
MAX_CANDIDATES = 1000
#: More than any supported model reads.
MAX_QUERY_CHARACTERS = 10_000


class MethodRefused(InputError):
    """An HTTP method other than GET and POST."""


class SearchQuery(BaseModel):
    """A search query.

    Attributes:
        query: The text to search for.
        k: Maximum number of hits.
        filter: Conditions on metadata.
        threshold: Minimum similarity.
        mode: The store's search mode.
        rerank: Order the nearest chunks with the configured reranker.
        candidates: Chunks to rerank.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    query: str = Field(min_length=1, max_length=MAX_QUERY_CHARACTERS)
    k: int = Field(default=10, ge=1, le=MAX_HITS)
    filter: dict[str, Any] | None = None
    threshold: float | None = Field(default=None, ge=-1, le=1, allow_inf_nan=False)
    mode: Mode = "approximate"
    rerank: bool = False
    candidates: int | None = Field(default=None, ge=1, le=MAX_CANDIDATES)


@dataclass(frozen=True, slots=True)
class _HttpRequest:
    method: str
    parameters: dict[str, str]
    body: bytes


def is_http(event: Any) -> bool:
    """Whether an event is an HTTP request of a function URL or API Gateway (payload format 1.0 or 2.0)."""
    return isinstance(event, dict) and ("httpMethod" in event or "http" in (event.get("requestContext") or {}))


def read_request(event: Any) -> SearchQuery:
    """The search query in an event.

    ``GET ?q=…&k=…`` takes query parameters, with ``filter`` as JSON; ``POST`` and a direct invocation take JSON.

    Raises:
        InputError: The query is invalid. The message names the invalid fields and quotes no values.
        MethodRefused: The HTTP method is neither GET nor POST.
    """
    if not is_http(event):
        return _validated(event, strict=True)
    request = _http_request(event)
    if request.method == "GET":
        return _from_parameters(request.parameters)
    if request.method == "POST":
        return _validated(_json(request.body, "The body"), strict=True)
    raise MethodRefused("Method not allowed. Send POST with JSON, or GET with ?q=.")


def _http_request(event: dict[str, Any]) -> _HttpRequest:
    method = event.get("httpMethod") or event["requestContext"]["http"]["method"]
    body = event.get("body") or ""
    try:
        content = base64.b64decode(body, validate=True) if event.get("isBase64Encoded") else body.encode()
    except (binascii.Error, UnicodeEncodeError) as error:
        raise InputError("The body is not UTF-8, or isBase64Encoded is set and it is not base64.") from error
    return _HttpRequest(method, dict(event.get("queryStringParameters") or {}), content)


def _from_parameters(parameters: dict[str, str]) -> SearchQuery:
    fields: dict[str, Any] = dict(parameters)
    if "q" in fields:
        fields["query"] = fields.pop("q")
    if "filter" in fields:
        fields["filter"] = _json(fields["filter"], "The parameter filter")
    return _validated(fields, strict=False)


def _json(content: bytes | str, name: str) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{name} is not JSON.") from error


def _validated(fields: Any, *, strict: bool) -> SearchQuery:
    if not isinstance(fields, dict):
        raise InputError('Send a JSON object: {"query": "…", "k": 10}.')
    try:
        query = SearchQuery.model_validate(fields, strict=strict)
        query.query.encode()
    except ValidationError as error:
        problems = error.errors(include_input=False, include_url=False, include_context=False)
        listed = "; ".join(
            f"{'.'.join(str(part) for part in problem['loc'])[:80]}: {problem['msg']}" for problem in problems[:5]
        )
        raise InputError(f"Invalid search request: {listed}.") from None
    except UnicodeEncodeError:
        raise InputError("Invalid search request: query: not valid Unicode.") from None
    if not query.query.strip():
        raise InputError("Invalid search request: query: must not be blank.")
    return query
