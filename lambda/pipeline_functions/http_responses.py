"""HTTP responses of the search function."""

import json
import math
from typing import Any

from embedstack.errors import (
    CircuitOpen,
    CollectionNotFound,
    DeadlineExceeded,
    EmbedStackError,
    EndpointAsleep,
    EndpointUnavailable,
    FilterRefused,
    InputError,
    ServiceUnavailable,
    StoreUnavailable,
    Throttled,
)
from pipeline_functions.search_requests import MethodRefused
from pipeline_functions.telemetry import redacted_message

__all__ = ["error_body", "error_response", "http_status", "is_client_error", "success_response"]

#: Lambda's response limit is 6 MB ("Lambda quotas"); the rest is left for the response envelope.
MAX_RESPONSE_BYTES = 5_900_000
_TRANSIENT = (CircuitOpen, DeadlineExceeded, EndpointAsleep, EndpointUnavailable, ServiceUnavailable, StoreUnavailable)
_RETRY_AFTER_SECONDS = 5.0
_MAX_RETRY_AFTER_SECONDS = 300.0


def success_response(content: dict[str, Any]) -> dict[str, Any]:
    """A response with status 200 and a JSON body.

    Raises:
        InputError: The body exceeds Lambda's response limit.
    """
    body = json.dumps(content, ensure_ascii=False)
    if len(body.encode()) > MAX_RESPONSE_BYTES:
        raise InputError("The response exceeds Lambda's 6 MB limit. Request fewer hits (k).")
    return {"statusCode": 200, "headers": {"Content-Type": "application/json"}, "body": body}


def error_response(error: Exception) -> dict[str, Any]:
    """A response with an error's status and :func:`error_body`."""
    status = http_status(error)
    headers = {"Content-Type": "application/json"}
    if status in (429, 503):
        retry_after = getattr(error, "retry_after", None) or _RETRY_AFTER_SECONDS
        headers["Retry-After"] = str(math.ceil(min(retry_after, _MAX_RETRY_AFTER_SECONDS)))
    if status == 405:
        headers["Allow"] = "GET, POST"
    return {"statusCode": status, "headers": headers, "body": json.dumps(error_body(error, status))}


def error_body(error: Exception, status: int) -> dict[str, str]:
    """``{"error", "error_type"}``. Internal errors are not described: their messages may quote data."""
    if status == 500 or not isinstance(error, EmbedStackError):
        return {"error": "The search failed. See the function's log.", "error_type": "InternalError"}
    message = str(error) if is_client_error(status) else redacted_message(error)
    return {"error": message, "error_type": type(error).__name__}


def is_client_error(status: int) -> bool:
    """Whether the caller must change the request. A 429 is not the caller's error: the endpoint lacks capacity."""
    return status < 500 and status != 429


def http_status(error: Exception) -> int:
    """The HTTP status of an error; 500 for errors that are not of this library."""
    match error:
        case MethodRefused():
            return 405
        case InputError() | FilterRefused():
            return 400
        case CollectionNotFound():
            return 404
        case Throttled():
            return 429
        case EmbedStackError() if isinstance(error, _TRANSIENT):
            return 503
        case _:
            return 500
