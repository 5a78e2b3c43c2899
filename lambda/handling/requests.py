"""What a search asks for, however it came: by function URL, API Gateway, or direct invocation."""

import base64
import binascii
import json
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from embedstack.errors import InputError

__all__ = ["MethodRefused", "SearchQuery", "is_http", "read_request"]

#: S3 Vectors' own limit of a search, and enough for a person.
MAX_HITS = 100
#: More than any model reads of a question; a longer one is a document.
MAX_QUERY_CHARACTERS = 10_000


class MethodRefused(InputError):
    """An HTTP method that is not for searching."""


class SearchQuery(BaseModel):
    """A search.

    Attributes:
        query: What is looked for.
        k: Hits at most.
        filter: Conditions on metadata.
        threshold: The least similarity.
        mode: How the store searches.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    query: str = Field(min_length=1, max_length=MAX_QUERY_CHARACTERS)
    k: int = Field(default=10, ge=1, le=MAX_HITS)
    filter: dict[str, Any] | None = None
    threshold: float | None = Field(default=None, ge=-1, le=1, allow_inf_nan=False)
    mode: Literal["approximate", "exact", "hybrid"] = "approximate"


@dataclass(frozen=True, slots=True)
class _HttpRequest:
    method: str
    parameters: dict[str, str]
    body: bytes


def is_http(event: Any) -> bool:
    """Whether an event is an HTTP request: of a function URL or API Gateway, in either of its formats."""
    return isinstance(event, dict) and ("httpMethod" in event or "http" in (event.get("requestContext") or {}))


def read_request(event: Any) -> SearchQuery:
    """The search that an event asks for.

    ``GET ?q=…&k=…`` takes all as text, and ``filter`` as JSON; ``POST`` and a direct invocation take JSON.

    Raises:
        InputError: It asks for none; the message names what is wrong and quotes nothing.
        MethodRefused: By a method other than GET and POST.
    """
    if not is_http(event):
        return _validated(event, strict=True)
    request = _http_request(event)
    if request.method == "GET":
        return _from_parameters(request.parameters)
    if request.method == "POST":
        return _validated(_json(request.body, "The body"), strict=True)
    raise MethodRefused("Search by POST with JSON, or by GET with ?q=.")


def _http_request(event: dict[str, Any]) -> _HttpRequest:
    method = event.get("httpMethod") or event["requestContext"]["http"]["method"]
    body = event.get("body") or ""
    try:
        content = base64.b64decode(body, validate=True) if event.get("isBase64Encoded") else body.encode()
    except (binascii.Error, UnicodeEncodeError) as error:
        raise InputError("The body is not UTF-8, or not base64 where it says so.") from error
    return _HttpRequest(method, dict(event.get("queryStringParameters") or {}), content)


def _from_parameters(parameters: dict[str, str]) -> SearchQuery:
    given: dict[str, Any] = dict(parameters)
    if "q" in given:
        given["query"] = given.pop("q")
    if "filter" in given:
        given["filter"] = _json(given["filter"], "The parameter filter")
    return _validated(given, strict=False)


def _json(content: bytes | str, what: str) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{what} is not JSON.") from error


def _validated(document: Any, *, strict: bool) -> SearchQuery:
    if not isinstance(document, dict):
        raise InputError('Send a JSON object: {"query": "…", "k": 10}.')
    try:
        query = SearchQuery.model_validate(document, strict=strict)
        query.query.encode()
    except ValidationError as error:
        problems = error.errors(include_input=False, include_url=False, include_context=False)
        listed = "; ".join(f"{'.'.join(str(part) for part in one['loc'])[:80]}: {one['msg']}" for one in problems[:5])
        raise InputError(f"The search cannot be read. {listed}.") from None
    except UnicodeEncodeError:
        raise InputError("The search cannot be read. query: it is not Unicode text.") from None
    if not query.query.strip():
        raise InputError("The search cannot be read. query: it is blank.")
    return query
