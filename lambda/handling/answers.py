"""What a search answers over HTTP."""

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
    StoreUnavailable,
    Throttled,
)
from handling.requests import MethodRefused
from handling.telemetry import tell

__all__ = ["answer", "described", "failed", "is_callers_fault", "status_of"]

#: Lambda takes no larger answer (6 MB, "Lambda quotas"); some of it is the envelope's.
MAX_ANSWER_BYTES = 5_900_000
_PASSING = (CircuitOpen, DeadlineExceeded, EndpointAsleep, EndpointUnavailable, StoreUnavailable)
_RETRY_AFTER_SECONDS = 5.0
_LONGEST_RETRY_AFTER_SECONDS = 300.0


def answer(document: dict[str, Any]) -> dict[str, Any]:
    """Status 200 with JSON.

    Raises:
        InputError: The answer is larger than Lambda gives.
    """
    body = json.dumps(document, ensure_ascii=False)
    if len(body.encode()) > MAX_ANSWER_BYTES:
        raise InputError("The hits are larger together than Lambda answers: ask for fewer, by k.")
    return {"statusCode": 200, "headers": {"Content-Type": "application/json"}, "body": body}


def failed(error: Exception) -> dict[str, Any]:
    """What a caller is told of an error, over HTTP."""
    status = status_of(error)
    headers = {"Content-Type": "application/json"}
    if status in (429, 503):
        retry_after = getattr(error, "retry_after", None) or _RETRY_AFTER_SECONDS
        headers["Retry-After"] = str(math.ceil(min(retry_after, _LONGEST_RETRY_AFTER_SECONDS)))
    if status == 405:
        headers["Allow"] = "GET, POST"
    return {"statusCode": status, "headers": headers, "body": json.dumps(described(error, status))}


def described(error: Exception, status: int) -> dict[str, str]:
    """An error's sentence where the caller can do something about it, and its type."""
    if status == 500 or not isinstance(error, EmbedStackError):
        return {"error": "The search failed; the function's log says why.", "error_type": "InternalError"}
    return {"error": str(error) if is_callers_fault(status) else tell(error), "error_type": type(error).__name__}


def is_callers_fault(status: int) -> bool:
    """Whether a status says that the caller has to change something: too many requests are the endpoint's shortage."""
    return status < 500 and status != 429


def status_of(error: Exception) -> int:
    """The HTTP status that says whose turn it is."""
    match error:
        case MethodRefused():
            return 405
        case InputError() | FilterRefused():
            return 400
        case CollectionNotFound():
            return 404
        case Throttled():
            return 429
        case EmbedStackError() if isinstance(error, _PASSING):
            return 503
        case _:
            return 500
