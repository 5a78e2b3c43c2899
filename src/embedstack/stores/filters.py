"""Filters, which all stores support: conditions on context and metadata, joined by AND.

A filter is JSON in the syntax of S3 Vectors: ``{"context": "code", "year": {"$gte": 2020, "$lt": 2024}, "language":
{"$in": ["de", "fr"]}, "source": {"$prefix": "reports/"}, "published": {"$gte": "2026-01-31"}}``. ``context`` is the
record's context; every other name is a name in its metadata. If a metadata value is a list, one of its elements has to
match.
"""

import math
import operator
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import TYPE_CHECKING, Any, Literal

from embedstack.errors import FilterRefused

if TYPE_CHECKING:
    from collections.abc import Callable

    from embedstack.stores.records import Record

__all__ = [
    "CONTEXT",
    "MAX_FILTER_VALUES",
    "Condition",
    "Filter",
    "is_number",
    "matches",
    "parse_filter",
    "parse_instant",
]

Filter = Mapping[str, Any]
Operator = Literal["$eq", "$ne", "$in", "$gt", "$gte", "$lt", "$lte", "$prefix", "$contains"]

#: The name of the record's context in filters. Metadata of that name cannot be filtered.
CONTEXT = "context"
#: Values of one filter, at most; each value of ``$in`` counts.
MAX_FILTER_VALUES = 1000
#: Characters of a name or a string in a filter, at most.
_MAX_CHARACTERS = 10_000
_QUOTED_CHARACTERS = 80

#: ISO 8601 dates and datetimes in the extended format. Offsets beyond 14 hours are not in use.
_INSTANT = re.compile(
    r"(?!0000)\d{4}-\d\d-\d\d"
    r"(?:[T ](?:[01]\d|2[0-3]):[0-5]\d(?::[0-5]\d(?:[.,]\d{1,9})?)?(?:Z|[+-](?:0\d|1[0-4])(?::?[0-5]\d)?)?)?",
    re.ASCII,
)
_RANGES: "dict[str, Callable[[Any, Any], bool]]" = {
    "$gt": operator.gt,
    "$gte": operator.ge,
    "$lt": operator.lt,
    "$lte": operator.le,
}
_STRINGS: "dict[str, Callable[[str, str], bool]]" = {"$prefix": str.startswith, "$contains": str.__contains__}


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition on one name.

    Attributes:
        name: ``context``, or a top-level name in the metadata.
        operator: The comparison. ``$ne`` matches if the name exists and no value of it equals ``value``.
        value: A string, number or boolean; a tuple of these for ``$in``; a number or a datetime with time zone for
            range operators; a non-empty string for ``$prefix`` and ``$contains``, which are case-sensitive.
    """

    name: str
    operator: Operator
    value: Any


def parse_filter(filter_: Filter | None) -> tuple[Condition, ...]:
    """Parse a filter.

    Raises:
        FilterRefused: The filter is invalid. The message names the invalid part and quotes no value.
    """
    if filter_ is None:
        return ()
    if not isinstance(filter_, Mapping):
        raise FilterRefused(f"The filter is a {type(filter_).__name__}. Pass an object: {{name: {{operator: value}}}}.")
    conditions = []
    for name, value in filter_.items():
        if not isinstance(name, str) or not name or name.startswith("$"):
            raise FilterRefused(
                f"{_quoted(name)} is not a metadata name. Write conditions as {{name: {{operator: value}}}}."
            )
        _check_text(name, "A name in the filter")
        operators = value if isinstance(value, Mapping) else {"$eq": value}
        if not operators:
            raise FilterRefused(f"The filter has no condition for {_quoted(name)}.")
        conditions += [_parse_condition(name, symbol, operand) for symbol, operand in operators.items()]
    values = sum(len(condition.value) if condition.operator == "$in" else 1 for condition in conditions)
    if values > MAX_FILTER_VALUES:
        raise FilterRefused(
            f"The filter has {values} values; the limit is {MAX_FILTER_VALUES}. Split the search, or add metadata that "
            "the records have in common."
        )
    return tuple(conditions)


def _parse_condition(name: str, symbol: Any, value: Any) -> Condition:
    condition = _condition(name, symbol, value)
    if condition is None:
        raise FilterRefused(
            f"Invalid condition {_quoted(symbol)} for {_quoted(name)}. $eq and $ne take a string, number or boolean; "
            "$in takes a non-empty list of these; $gt, $gte, $lt and $lte take a number or an ISO 8601 date or "
            "datetime; $prefix and $contains take a non-empty string. Numbers are within the range of float64."
        )
    for operand in condition.value if condition.operator == "$in" else (condition.value,):
        if isinstance(operand, str):
            _check_text(operand, f"The value of {_quoted(name)} in the filter")
    return condition


def _condition(name: str, symbol: Any, value: Any) -> Condition | None:
    """The condition; None if operator and value are no valid combination."""
    if not isinstance(symbol, str):
        return None
    if symbol in ("$eq", "$ne") and _is_scalar(value):
        return Condition(name, symbol, value)  # type: ignore[arg-type]
    if symbol == "$in" and isinstance(value, (list, tuple)) and value and all(map(_is_scalar, value)):
        return Condition(name, "$in", tuple(value))
    if symbol in _RANGES and (bound := _bound(value)) is not None:
        return Condition(name, symbol, bound)  # type: ignore[arg-type]
    if symbol in _STRINGS and isinstance(value, str) and value:
        return Condition(name, symbol, value)  # type: ignore[arg-type]
    return None


def _bound(value: Any) -> int | float | datetime | None:
    """The bound of a range; None if the value cannot be one."""
    if is_number(value):
        return value  # type: ignore[no-any-return]
    if isinstance(value, datetime):
        return value if value.utcoffset() is not None else value.replace(tzinfo=UTC)
    if isinstance(value, date):
        return datetime.combine(value, time(), UTC)
    return parse_instant(value) if isinstance(value, str) else None


def parse_instant(text: str) -> datetime | None:
    """The datetime, with time zone, of an ISO 8601 date or datetime such as ``2026-01-31T12:00:00Z``; None for others.

    A date is its first instant. Without an offset, the time zone is UTC. Digits beyond microseconds are ignored.
    """
    if not _INSTANT.fullmatch(text):
        return None
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:  # such as February 30
        return None
    return instant if instant.tzinfo is not None else instant.replace(tzinfo=UTC)


def matches(record: "Record", conditions: tuple[Condition, ...]) -> bool:
    """Whether a record matches all conditions, for stores that filter on the client."""
    return all(_matches_condition(record, condition) for condition in conditions)


def _matches_condition(record: "Record", condition: Condition) -> bool:
    is_context = condition.name == CONTEXT
    value = record.context if is_context else record.metadata.get(condition.name)
    if condition.operator == "$ne":
        exists = record.context is not None if is_context else condition.name in record.metadata
        return exists and not _matches_value(Condition(condition.name, "$eq", condition.value), value)
    return _matches_value(condition, value)


def _matches_value(condition: Condition, value: Any) -> bool:
    if isinstance(value, list):
        return any(_matches_value(condition, element) for element in value if not isinstance(element, list))
    operand = condition.value
    if condition.operator in _STRINGS:
        return isinstance(value, str) and _STRINGS[condition.operator](value, operand)
    if condition.operator in _RANGES:
        if isinstance(operand, datetime):
            value = parse_instant(value) if isinstance(value, str) else None
            return value is not None and _RANGES[condition.operator](value, operand)
        return _is_number(value) and _RANGES[condition.operator](value, operand)
    operands = operand if condition.operator == "$in" else (operand,)
    return any(_equal(value, one) for one in operands)


def _equal(value: Any, operand: Any) -> bool:
    # True equals 1 in Python, but not in JSON.
    return isinstance(value, bool) == isinstance(operand, bool) and bool(value == operand)


def _is_number(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: Any) -> bool:
    """Whether a value is a number that every store can compare with: finite, and within the range of float64."""
    return _is_number(value) and abs(value) <= sys.float_info.max


def _is_scalar(value: Any) -> bool:
    """Whether a filter may compare with a value."""
    return isinstance(value, (str, bool)) or is_number(value)


def _check_text(text: str, subject: str) -> None:
    """Check that every store can compare with a string.

    Raises:
        FilterRefused: It cannot.
    """
    if "\0" in text:
        raise FilterRefused(f"{subject} contains the character NUL, which no store holds. Remove it.")
    if len(text) > _MAX_CHARACTERS:
        raise FilterRefused(f"{subject} has {len(text)} characters; the limit is {_MAX_CHARACTERS}. Shorten it.")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise FilterRefused(f"{subject} is not valid Unicode: it contains a lone surrogate. Remove it.") from None


def _quoted(name: Any) -> str:
    """A name or an operator for a message, shortened and printable."""
    return ascii(name[:_QUOTED_CHARACTERS]) if isinstance(name, str) else f"<{type(name).__name__}>"
