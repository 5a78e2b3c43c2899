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

__all__ = ["answer", "failed", "status_of"]

#: Lambda takes no larger answer (6 MB, "Lambda quotas"); some of it is the envelope's.
MAX_ANSWER_BYTES = 5_900_000
_PASSING = (CircuitOpen, DeadlineExceeded, EndpointAsleep, EndpointUnavailable, StoreUnavailable)
_RETRY_AFTER_SECONDS = 5.0


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
    """What a caller is told of an error: its sentence where the caller can do something about it."""
    status = status_of(error)
    headers = {"Content-Type": "application/json"}
    if status in (429, 503):
        retry_after = getattr(error, "retry_after", None) or _RETRY_AFTER_SECONDS
        headers["Retry-After"] = str(math.ceil(retry_after))
    if status == 405:
        headers["Allow"] = "GET, POST"
    said = str(error) if status != 500 else "The search failed; the function's log says why."
    body = json.dumps({"error": said, "error_type": type(error).__name__ if status != 500 else "InternalError"})
    return {"statusCode": status, "headers": headers, "body": body}


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
