"""Logs, metrics and traces without content: no text, no name of a document, no query is part of them."""

import logging
import os
import traceback
from hashlib import sha256
from pathlib import Path
from typing import Any

from aws_lambda_powertools import Logger, Metrics, Tracer

from embedstack.errors import EmbedStackError, FilterRefused, InputError, RecordRefused

__all__ = ["create_telemetry", "document_tag", "log_failure"]

_NAMESPACE = "EmbedStack"
#: At DEBUG they write the paths of requests, and so objects' keys.
_LIBRARIES = ("boto3", "botocore", "s3transfer", "urllib3")
# Their messages name what the caller gave: a document, an id, a filter's names.
_OF_INPUT = (FilterRefused, InputError, RecordRefused)


def create_telemetry(service: str) -> tuple[Logger, Metrics, Tracer]:
    """A function's logger, metrics in CloudWatch's embedded format, and tracer.

    ``POWERTOOLS_SERVICE_NAME``, ``POWERTOOLS_METRICS_NAMESPACE`` and ``POWERTOOLS_LOG_LEVEL`` beat the defaults. A
    trace holds the invocation and none of its calls: X-Ray's patch of botocore would put objects' keys and services'
    error messages into it.

    Args:
        service: The function's name, where the environment names none.
    """
    for name in _LIBRARIES:
        logging.getLogger(name).setLevel(logging.INFO)
    service = os.environ.get("POWERTOOLS_SERVICE_NAME") or service
    namespace = os.environ.get("POWERTOOLS_METRICS_NAMESPACE") or _NAMESPACE
    return Logger(service), Metrics(namespace=namespace, service=service), Tracer(service, auto_patch=False)


def document_tag(source: str) -> str:
    """Tells documents apart in a log without naming them: the first 16 digits of the SHA-256 of a document's source."""
    return sha256(source.encode(errors="surrogatepass")).hexdigest()[:16]


def log_failure(logger: Logger, message: str, error: Exception, **fields: Any) -> None:
    """Log an error by what it is and where it came from.

    The sentence is logged of this product's own errors only, and of those that concern no caller's input: another
    library's may quote what it was given.
    """
    frames = traceback.extract_tb(error.__traceback__)
    where = [f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames[-6:]]
    said = str(error) if isinstance(error, EmbedStackError) and not isinstance(error, _OF_INPUT) else None
    logger.error(message, error=type(error).__name__, said=said, where=where, **fields)
