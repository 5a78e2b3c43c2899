"""Reads HTTP responses: bounded bodies, JSON and ``Retry-After``, with this project's errors for everything else."""

import http.client
import json
import math
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Protocol

import urllib3

from embedstack.errors import EndpointUnavailable, IntegrityError

__all__ = ["parse_json", "read_body", "response_errors", "retry_after_seconds", "token_count"]

_CHUNK_BYTES = 256 * 1024
# A longer integer is read as a float: it is neither an index nor a count, and int() takes quadratic time.
_INT_DIGITS = 18
_MAX_TOKENS = 2**53

# Raised by urllib3, http.client and OpenSSL when a connection breaks while a body is read. OSError would include
# missing credential files.
_BROKEN = (urllib3.exceptions.HTTPError, http.client.HTTPException, ssl.SSLError, ConnectionError, TimeoutError)
# Raised by parsers for an unexpected document.
_UNREADABLE: tuple[type[Exception], ...] = (
    ArithmeticError, AttributeError, LookupError, MemoryError, RecursionError, TypeError, ValueError,
)  # fmt: skip


class _Stream(Protocol):
    def read(self, amt: int, /) -> bytes:
        """The next bytes; empty at the end."""

    def close(self) -> None:
        """Discard the rest of the body and the connection."""


@contextmanager
def response_errors(
    source: str, *, passing: tuple[type[Exception], ...] = (), parser_errors: tuple[type[Exception], ...] = ()
) -> Iterator[None]:
    """Translate exceptions of libraries that receive and parse a response into this project's errors.

    Args:
        source: Sender of the response, for the message: ``Endpoint x``.
        passing: Exceptions that are not translated.
        parser_errors: Further exceptions that mean an unreadable response.

    Raises:
        EndpointUnavailable: The connection broke.
        IntegrityError: The response cannot be read.
    """
    try:
        yield
    except passing:
        raise
    except _BROKEN as error:
        raise EndpointUnavailable(
            f"{source} did not complete its response ({type(error).__name__}). Send the request again."
        ) from error
    except _UNREADABLE + parser_errors as error:
        # Not chained: the error may quote the response.
        raise IntegrityError(
            f"{source} sent a response of an unexpected form ({type(error).__name__}). Check the server."
        ) from None


def read_body(stream: _Stream, limit: int, source: str) -> bytes:
    """Read the body of a response.

    Args:
        stream: The body.
        limit: Largest valid body in bytes; no more is read.
        source: Sender of the response, for messages.

    Raises:
        EndpointUnavailable: The connection broke.
        IntegrityError: The body is larger than ``limit``.
    """
    parts = []
    remaining = limit
    try:
        while remaining >= 0 and (part := stream.read(_CHUNK_BYTES)):
            remaining -= len(part)
            parts.append(part)
    except BaseException:
        stream.close()
        raise
    if remaining < 0:
        stream.close()
        raise IntegrityError(
            f"{source} sent more than the {limit:,} bytes of the largest valid response. Check the server."
        )
    return b"".join(parts)


def parse_json(content: bytes, source: str) -> Any:
    """Parse the body of a response.

    Args:
        content: The body; bounded by the caller.
        source: Sender of the response, for messages.

    Raises:
        EndpointUnavailable: It is not JSON, for example because it is truncated.
        IntegrityError: The JSON is too deep, or has the same name twice in one object.
    """
    try:
        return json.loads(content, object_pairs_hook=_object, parse_int=_integer)
    except ValueError as error:
        # Not chained: the error contains the body.
        raise EndpointUnavailable(
            f"{source} sent {len(content):,} bytes that are not JSON ({type(error).__name__}). Send the request again."
        ) from None
    except (MemoryError, RecursionError):
        raise IntegrityError(f"{source} sent JSON that is nested too deeply. Check the server.") from None
    except _DuplicateName:
        raise IntegrityError(f"{source} sent JSON with the same name twice in one object. Check the server.") from None


def retry_after_seconds(value: object) -> float | None:
    """Seconds of a ``Retry-After`` header; None if it is missing or invalid.

    Args:
        value: The header: seconds, or an HTTP date (RFC 9110, 10.2.3). A date in the past is 0.
    """
    if not isinstance(value, str):
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            date = parsedate_to_datetime(value)
            seconds = max(0.0, (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - _now())
        except (ArithmeticError, LookupError, OSError, TypeError, ValueError):
            return None
    return seconds if math.isfinite(seconds) and seconds >= 0 else None


def token_count(value: object) -> int | None:
    """Tokens that a service counted, as a number or a header; None if the value is not a count."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= _INT_DIGITS:
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MAX_TOKENS else None


class _DuplicateName(Exception):
    """An object has the same name twice."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _DuplicateName
    return members


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= _INT_DIGITS else float(digits)


def _now() -> float:
    return datetime.now(UTC).timestamp()
