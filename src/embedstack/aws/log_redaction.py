"""Keeps texts, vectors, keys and tokens out of botocore's own log.

At DEBUG, botocore logs requests with their bodies and headers, responses with their bodies, and what it signs. Records
of other clients, and of other levels, are left alone.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

__all__ = ["confidential", "make_confidential"]

_active: ContextVar[bool] = ContextVar("embedstack_confidential", default=False)

# The loggers that write contents of requests and responses: bodies (endpoint, parsers; handlers, for an S3 error with
# status 200), the session token and the signature (auth, endpoint), a role's credentials (parsers, utils).
_LOGGERS = tuple(
    logging.getLogger(f"botocore.{name}")
    for name in ("auth", "endpoint", "handlers", "httpsession", "parsers", "retryhandler", "utils")
)


def _is_allowed(record: logging.LogRecord) -> bool:
    return not (_active.get() and record.levelno <= logging.DEBUG)


@contextmanager
def confidential() -> Iterator[None]:
    """Drop the DEBUG records of these loggers during this block, in this thread or task."""
    for logger in _LOGGERS:
        logger.addFilter(_is_allowed)  # adds a filter once only
    token = _active.set(True)
    try:
        yield
    finally:
        _active.reset(token)


def make_confidential(client: Any) -> None:
    """Make every call of a boto3 client confidential: its operations, paginators and waiters.

    Data that is read from a response after the call, such as the events of a stream, must be read in a
    :func:`confidential` block.
    """
    make_api_call = client._make_api_call  # noqa: SLF001 - botocore has no public hook around a whole call

    def make_confidential_call(operation_name: str, api_params: dict[str, Any]) -> Any:
        with confidential():
            return make_api_call(operation_name, api_params)

    client._make_api_call = make_confidential_call  # noqa: SLF001 - see above
