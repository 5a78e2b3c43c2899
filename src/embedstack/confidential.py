"""Keeps texts out of botocore's own log: at DEBUG it writes every request's and many answers' bodies."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

__all__ = ["confidential"]

_active: ContextVar[bool] = ContextVar("embedstack_confidential", default=False)

#: The loggers that write bodies.
_LOGGERS = ("botocore.endpoint", "botocore.parsers")


def _has_no_body(record: logging.LogRecord) -> bool:
    return not (_active.get() and record.levelno <= logging.DEBUG)


@contextmanager
def confidential() -> Iterator[None]:
    """Drop what these loggers would write at DEBUG from this block; the rest of the program's is left alone."""
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(_has_no_body)  # adds a filter once only
    token = _active.set(True)
    try:
        yield
    finally:
        _active.reset(token)
