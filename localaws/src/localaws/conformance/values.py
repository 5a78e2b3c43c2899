"""Checks single values from JSON, CBOR or text against their shapes."""

import base64
import binascii
import re
from collections.abc import Iterator
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

from botocore.model import Shape, StringShape

from localaws.conformance.known_deviations import undeclared_values

__all__ = ["check_text", "check_value"]

_INTEGERS = ("integer", "long", "short", "byte", "bigInteger")
_FLOATS = ("float", "double", "bigDecimal")
#: Strings for values that are not JSON numbers.
_NO_NUMBERS = ("NaN", "Infinity", "-Infinity")


def check_value(shape: Shape, value: Any, path: str, timestamp_format: str) -> Iterator[str]:
    """The violations in a scalar from JSON or CBOR.

    Args:
        shape: The expected shape.
        value: The value.
        path: Its name in messages.
        timestamp_format: The protocol's timestamp format, if the shape names none.
    """
    kind = shape.type_name
    if kind == "timestamp":
        yield from _check_timestamp(value, shape.serialization.get("timestampFormat", timestamp_format), path)
    elif kind == "blob":
        yield from _check_blob(value, path)
    elif not isinstance(value, _python_types(kind)) or (kind != "boolean" and isinstance(value, bool)):
        if not (kind in _FLOATS and value in _NO_NUMBERS):
            yield f"{path} must be of type {kind}, not {value!r}"
    else:
        yield from _check_constraints(shape, value, path)


def check_text(shape: Shape, text: str, path: str, timestamp_format: str) -> Iterator[str]:
    """The violations in a scalar from XML or an HTTP header; arguments as for ``check_value``."""
    kind = shape.type_name
    if kind == "timestamp":
        written_as = shape.serialization.get("timestampFormat", timestamp_format)
        number = written_as == "unixTimestamp" and re.fullmatch(r"\d+(\.\d+)?", text)
        yield from _check_timestamp(float(text) if number else text, written_as, path)
    elif kind == "boolean":
        if text not in ("true", "false"):
            yield f"{path} must be of type boolean, not {text!r}"
    elif kind in _INTEGERS or kind in _FLOATS:
        try:
            yield from _check_constraints(shape, int(text) if kind in _INTEGERS else float(text), path)
        except ValueError:
            yield f"{path} must be of type {kind}, not {text!r}"
    else:
        yield from check_value(shape, text, path, timestamp_format)


def _python_types(kind: str) -> tuple[type, ...]:
    if kind in _INTEGERS:
        return (int,)
    if kind in _FLOATS:
        return (int, float)
    return {"boolean": (bool,), "string": (str,), "character": (str,)}.get(kind, (object,))


def _check_constraints(shape: Shape, value: Any, path: str) -> Iterator[str]:
    """Check enums and minima. Maxima grow with the service, and patterns are Java's."""
    if isinstance(shape, StringShape) and shape.enum and value not in {*shape.enum, *undeclared_values(shape.name)}:
        yield f"{path} must be one of {', '.join(shape.enum)}, not {value!r}"
    least = shape.metadata.get("min")
    if least is not None and (len(value) if isinstance(value, str) else value) < least:
        yield f"{path} must be at least {least}, not {value!r}"


def _check_timestamp(value: Any, written_as: str, path: str) -> Iterator[str]:
    try:
        if written_as == "datetime" and isinstance(value, datetime):
            return
        if written_as == "unixTimestamp" and isinstance(value, int | float) and not isinstance(value, bool):
            datetime.fromtimestamp(value)  # noqa: DTZ006 - only checks the format
            return
        if written_as == "iso8601" and "T" in value and datetime.fromisoformat(value).tzinfo is not None:
            return
        if written_as == "rfc822" and isinstance(value, str):
            parsedate_to_datetime(value)
            return
    except (TypeError, ValueError, OverflowError, OSError):
        pass
    yield f"{path} must be a timestamp ({written_as}), not {value!r}"


def _check_blob(value: Any, path: str) -> Iterator[str]:
    if isinstance(value, bytes):
        return
    try:
        base64.b64decode(value, validate=True)
    except (binascii.Error, TypeError, ValueError):
        yield f"{path} must be a blob in base64, not {value!r}"
