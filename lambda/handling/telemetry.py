"""Logs, metrics and traces without content: no text, no name of a document, no query is part of them."""

import copy
import logging
import os
import traceback
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

from aws_lambda_powertools import Logger, Metrics

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

__all__ = ["create_telemetry", "document_tag", "log_failure", "tell", "without_quotes"]

Handler = Callable[[dict[str, Any], Any], dict[str, Any]]

_NAMESPACE = "EmbedStack"
#: At DEBUG they write the paths of requests, and so objects' keys.
_LIBRARIES = ("boto3", "botocore", "s3transfer", "urllib3")
# Their messages name what the caller gave: a document, an id, a filter's names.
_OF_INPUT = (FilterRefused, InputError, RecordRefused)
# Of the errors about an endpoint, those in this product's words alone. The others quote the container, which may
# repeat the texts that it was sent.
_IN_OWN_WORDS = (EndpointAsleep, EndpointNotFound)


def create_telemetry(service: str) -> tuple[Logger, Metrics, Callable[[Handler], Handler]]:
    """A function's logger, its metrics in CloudWatch's embedded format, and what traces its handler.

    ``POWERTOOLS_SERVICE_NAME``, ``POWERTOOLS_METRICS_NAMESPACE`` and ``POWERTOOLS_LOG_LEVEL`` beat the defaults.

    Args:
        service: The function's name, where the environment names none.
    """
    for name in _LIBRARIES:
        logging.getLogger(name).setLevel(logging.WARNING)
    service = os.environ.get("POWERTOOLS_SERVICE_NAME") or service
    namespace = os.environ.get("POWERTOOLS_METRICS_NAMESPACE") or _NAMESPACE
    return Logger(service), Metrics(namespace=namespace, service=service), _tracing(service)


def _tracing(service: str) -> Callable[[Handler], Handler]:
    """Traces an invocation and none of its calls: X-Ray's patch of botocore would record objects' keys."""
    if not os.environ.get("AWS_XRAY_DAEMON_ADDRESS"):
        # Nobody listens, and X-Ray's SDK is a tenth of a cold start.
        return lambda handler: handler
    from aws_lambda_powertools import Tracer  # noqa: PLC0415 - see above

    tracer = Tracer(service, auto_patch=False)
    traced: Callable[[Handler], Handler] = tracer.capture_lambda_handler(capture_response=False, capture_error=False)
    return traced


def document_tag(source: str) -> str:
    """Tells documents apart in a log without naming them: the first 16 digits of the SHA-256 of a document's source."""
    return sha256(source.encode(errors="surrogatepass")).hexdigest()[:16]


def log_failure(logger: Logger, message: str, error: Exception, **fields: Any) -> None:
    """Log an error by what it is and where it came from.

    The sentence is logged of this product's own errors only, and of those that concern no caller's input: another
    library's may quote what it was given, and so may a model's container.
    """
    frames = traceback.extract_tb(error.__traceback__)
    where = [f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames[-6:]]
    said = tell(error) if isinstance(error, EmbedStackError) and not isinstance(error, _OF_INPUT) else None
    logger.error(message, error=type(error).__name__, said=said, where=where, **fields)


def tell(error: EmbedStackError) -> str:
    """An error's sentence; where that quotes a model's container, what is known of the request instead.

    A container's own words may repeat any text of the request, and not only that of who is told.
    """
    quotes = isinstance(error, EndpointError) and not isinstance(error, _IN_OWN_WORDS)
    # Of an input's errors, those that came back from a request are the container's.
    if not quotes and not (isinstance(error, InputError) and error.request_id):
        return str(error)
    facts = {"status": getattr(error, "original_status", None), "request": error.request_id}
    known = ", ".join(f"{name} {fact}" for name, fact in facts.items() if fact)
    if isinstance(error, InputError):
        did = "refused the request"
    else:
        did = "takes no more requests at once" if isinstance(error, Throttled) else "gave no vectors"
    return f"The endpoint {did}{f' ({known})' if known else ''}: its log in /aws/sagemaker/Endpoints says more."


def without_quotes(error: EmbedStackError) -> EmbedStackError:
    """The same error with :func:`tell`'s sentence, to be raised where Lambda logs it."""
    told = copy.copy(error)
    told.args, told.request_id = (tell(error),), None
    return told
