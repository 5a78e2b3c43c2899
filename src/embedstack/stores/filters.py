"""The filters that every store understands: conditions on context and metadata that all have to hold.

A filter is JSON, in the manner of S3 Vectors: ``{"context": "code", "year": {"$gte": 2020, "$lt": 2024}, "language":
{"$in": ["de", "fr"]}}``. ``context`` is the record's context; every other name is one of its metadata. Where the
metadata's value is a list, one of its elements has to fulfil the condition.
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

#: The name that stands for the record's context, and so cannot be filtered by as metadata.
CONTEXT = "context"

_RANGES: "dict[str, Callable[[Any, Any], bool]]" = {
    "$gt": operator.gt,
    "$gte": operator.ge,
    "$lt": operator.lt,
    "$lte": operator.le,
}


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition on one name.

    Attributes:
        name: ``context``, or a name at the top of the metadata.
        operator: ``$eq``, ``$in`` or one of the ranges.
        value: A string, number or boolean; a tuple of such for ``$in``; a number for a range. ``$ne`` holds where the
            name is there and nothing under it is the value.
    """

    name: str
    operator: Operator
    value: Any


def parse_filter(given: Filter | None) -> tuple[Condition, ...]:
    """Read a filter.

    Raises:
        FilterRefused: It is not in the language; the message names the part that is not.
    """
    conditions = []
    for name, wanted in (given or {}).items():
        if not isinstance(name, str) or not name or name.startswith("$"):
            raise FilterRefused(
                f"{name!r} is not the name of a metadata; conditions stand under the name they are for."
            )
        operators = wanted if isinstance(wanted, Mapping) else {"$eq": wanted}
        if not operators:
            raise FilterRefused(f"The filter has no condition for {name!r}.")
        conditions += [_parse_condition(name, operator, value) for operator, value in operators.items()]
    return tuple(conditions)


def _parse_condition(name: str, symbol: Any, value: Any) -> Condition:
    if symbol in ("$eq", "$ne") and _is_scalar(value):
        return Condition(name, symbol, value)
    if symbol == "$in" and isinstance(value, (list, tuple)) and value and all(_is_scalar(one) for one in value):
        return Condition(name, "$in", tuple(value))
    if symbol in _RANGES and _is_number(value):
        return Condition(name, symbol, value)
    raise FilterRefused(
        f"The condition {str(symbol)[:40]!r} for {name!r} cannot be used: $eq and $ne take a string, a number or a "
        "boolean, $in a list of them that is not empty, and $gt, $gte, $lt and $lte take a number (a date as seconds "
        "since the epoch)."
    )


def matches(record: "Record", conditions: tuple[Condition, ...]) -> bool:
    """Whether all conditions hold for a record, for a store that cannot ask its service."""
    return all(_fulfils(record, condition) for condition in conditions)


def _fulfils(record: "Record", condition: Condition) -> bool:
    is_context = condition.name == CONTEXT
    value = record.context if is_context else record.metadata.get(condition.name)
    if condition.operator == "$ne":
        is_there = record.context is not None if is_context else condition.name in record.metadata
        return is_there and not _holds(Condition(condition.name, "$eq", condition.value), value)
    return _holds(condition, value)


def _holds(condition: Condition, value: Any) -> bool:
    if isinstance(value, list):
        return any(_holds(condition, element) for element in value if not isinstance(element, list))
    if condition.operator in _RANGES:
        return _is_number(value) and _RANGES[condition.operator](value, condition.value)
    wanted = condition.value if condition.operator == "$in" else (condition.value,)
    return any(_same(value, one) for one in wanted)


def _same(value: Any, wanted: Any) -> bool:
    # True is 1 in Python, and neither in JSON nor in a store.
    return isinstance(value, bool) == isinstance(wanted, bool) and bool(value == wanted)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _is_scalar(value: Any) -> bool:
    return isinstance(value, (str, bool)) or _is_number(value)
