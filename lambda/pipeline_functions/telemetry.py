"""Logs, metrics and traces. They contain no content: no text, no object key, no query."""

import copy
import logging
import os
import traceback
from collections.abc import Callable
from functools import wraps
from hashlib import sha256
from pathlib import Path
from typing import Any

from aws_lambda_powertools import Logger, Metrics

from embedstack.costs.ledger import flush_ledgers
from embedstack.errors import (
    EmbedStackError,
    EndpointAsleep,
    EndpointError,
    EndpointNotFound,
    FilterRefused,
    InputError,
    RecordRefused,
    Throttled,
)

__all__ = ["create_telemetry", "document_tag", "log_failure", "redacted", "redacted_message"]

Handler = Callable[[dict[str, Any], Any], dict[str, Any]]

_NAMESPACE = "EmbedStack"
#: At DEBUG these libraries log request paths, which contain object keys.
_LIBRARIES = ("boto3", "botocore", "s3transfer", "urllib3")
# The messages of these errors may quote input: a document, an id, the names in a filter.
_INPUT_ERRORS = (FilterRefused, InputError, RecordRefused)
# The messages of these endpoint errors are written by embedstack. Other endpoint errors quote the container, which may
# repeat the texts of the request.
_OWN_MESSAGES = (EndpointAsleep, EndpointNotFound)


def create_telemetry(service: str) -> tuple[Logger, Metrics, Callable[[Handler], Handler]]:
    """A function's logger, its metrics in CloudWatch's embedded metric format, and the decorator that traces a handler.

    ``POWERTOOLS_SERVICE_NAME``, ``POWERTOOLS_METRICS_NAMESPACE`` and ``POWERTOOLS_LOG_LEVEL`` override the defaults.

    Args:
        service: The default service name.
    """
    for name in _LIBRARIES:
        logging.getLogger(name).setLevel(logging.WARNING)
    service = os.environ.get("POWERTOOLS_SERVICE_NAME") or service
    namespace = os.environ.get("POWERTOOLS_METRICS_NAMESPACE") or _NAMESPACE
    tracing = _tracing(service)
    return Logger(service), Metrics(namespace=namespace, service=service), lambda handler: tracing(_flushing(handler))


def _flushing(handler: Handler) -> Handler:
    """Writes the ledger of costs after each invocation: Lambda freezes the process, whose thread would write it."""

    @wraps(handler)
    def flushed(event: dict[str, Any], context: Any) -> dict[str, Any]:
        try:
            return handler(event, context)
        finally:
            flush_ledgers()

    return flushed


def _tracing(service: str) -> Callable[[Handler], Handler]:
    """Traces invocations but not AWS calls: X-Ray's botocore patch would record object keys."""
    if not os.environ.get("AWS_XRAY_DAEMON_ADDRESS"):
        # Without a daemon, importing X-Ray's SDK would only add a tenth to the cold start.
        return lambda handler: handler
    from aws_lambda_powertools import Tracer  # noqa: PLC0415 - see above

    tracer = Tracer(service, auto_patch=False)
    traced: Callable[[Handler], Handler] = tracer.capture_lambda_handler(capture_response=False, capture_error=False)
    return traced


def document_tag(source: str) -> str:
    """Identifies a document in logs without its key: the first 16 hex digits of the SHA-256 of the key."""
    return sha256(source.encode(errors="surrogatepass")).hexdigest()[:16]


def log_failure(logger: Logger, message: str, error: Exception, **fields: Any) -> None:
    """Log an error's type and traceback locations, and its message where that cannot contain input.

    The messages of other libraries and of model containers may quote input, so they are not logged.
    """
    frames = traceback.extract_tb(error.__traceback__)
    where = [f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames[-6:]]
    detail = None
    if isinstance(error, EmbedStackError) and not isinstance(error, _INPUT_ERRORS):
        detail = redacted_message(error)
    logger.error(message, error=type(error).__name__, detail=detail, where=where, **fields)


def redacted_message(error: EmbedStackError) -> str:
    """An error's message; where that quotes a model container, the request's status and id instead.

    A container's message may repeat any text of the request, including texts of other documents.
    """
    quotes_container = isinstance(error, EndpointError) and not isinstance(error, _OWN_MESSAGES)
    # An input error with a request id came from the container.
    if not quotes_container and not (isinstance(error, InputError) and error.request_id):
        return str(error)
    fields = {"status": getattr(error, "original_status", None), "request": error.request_id}
    details = ", ".join(f"{name} {value}" for name, value in fields.items() if value)
    if isinstance(error, InputError):
        event = "rejected the request"
    else:
        event = "throttled the request" if isinstance(error, Throttled) else "returned no vectors"
    return f"The endpoint {event}{f' ({details})' if details else ''}. See its log in /aws/sagemaker/Endpoints."


def redacted(error: EmbedStackError) -> EmbedStackError:
    """A copy of an error with :func:`redacted_message`, to be raised where Lambda logs it."""
    copied = copy.copy(error)
    copied.args, copied.request_id = (redacted_message(error),), None
    return copied
