"""Filters, which all stores support: conditions on context and metadata, joined by AND.

A filter is JSON in the syntax of S3 Vectors: ``{"context": "code", "year": {"$gte": 2020, "$lt": 2024}, "language":
{"$in": ["de", "fr"]}}``. ``context`` is the record's context; every other name is a name in its metadata. If
a metadata value is a list, one of its elements has to match.
"""

import math
import operator
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from embedstack.errors import FilterRefused

if TYPE_CHECKING:
    from collections.abc import Callable

    from embedstack.stores.records import Record

__all__ = ["CONTEXT", "Condition", "Filter", "matches", "parse_filter"]

Filter = Mapping[str, Any]
Operator = Literal["$eq", "$ne", "$in", "$gt", "$gte", "$lt", "$lte"]

#: The name of the record's context in filters. Metadata of that name cannot be filtered.
CONTEXT = "context"

_RANGES: "dict[str, Callable[[Any, Any], bool]]" = {
    "$gt": operator.gt,
    "$gte": operator.ge,
    "$lt": operator.lt,
    "$lte": operator.le,
}


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition on one name.

    Attributes:
        name: ``context``, or a top-level name in the metadata.
        operator: The comparison. ``$ne`` matches if the name exists and no value of it equals ``value``.
        value: A string, number or boolean; a tuple of these for ``$in``; a number for range operators.
    """

    name: str
    operator: Operator
    value: Any


def parse_filter(filter_: Filter | None) -> tuple[Condition, ...]:
    """Parse a filter.

    Raises:
        FilterRefused: The filter is invalid. The message names the invalid part.
    """
    conditions = []
    for name, value in (filter_ or {}).items():
        if not isinstance(name, str) or not name or name.startswith("$"):
            raise FilterRefused(f"{name!r} is not a metadata name. Write conditions as {{name: {{operator: value}}}}.")
        operators = value if isinstance(value, Mapping) else {"$eq": value}
        if not operators:
            raise FilterRefused(f"The filter has no condition for {name!r}.")
        conditions += [_parse_condition(name, symbol, operand) for symbol, operand in operators.items()]
    return tuple(conditions)


def _parse_condition(name: str, symbol: Any, value: Any) -> Condition:
    if symbol in ("$eq", "$ne") and _is_scalar(value):
        return Condition(name, symbol, value)
    if symbol == "$in" and isinstance(value, (list, tuple)) and value and all(_is_scalar(element) for element in value):
        return Condition(name, "$in", tuple(value))
    if symbol in _RANGES and _is_number(value):
        return Condition(name, symbol, value)
    raise FilterRefused(
        f"Invalid condition {str(symbol)[:40]!r} for {name!r}. $eq and $ne take a string, number or boolean; $in takes "
        "a non-empty list of these; $gt, $gte, $lt and $lte take a number (write dates as seconds since the epoch)."
    )


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
    if condition.operator in _RANGES:
        return _is_number(value) and _RANGES[condition.operator](value, condition.value)
    operands = condition.value if condition.operator == "$in" else (condition.value,)
    return any(_equal(value, operand) for operand in operands)


def _equal(value: Any, operand: Any) -> bool:
    # True equals 1 in Python, but not in JSON.
    return isinstance(value, bool) == isinstance(operand, bool) and bool(value == operand)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _is_scalar(value: Any) -> bool:
    return isinstance(value, (str, bool)) or _is_number(value)
