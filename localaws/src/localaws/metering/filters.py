"""Filters of Cost Explorer and Budgets: expressions of dimensions and tags, which a line of the bill matches or not."""

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

from moto.core.exceptions import JsonRESTError

from localaws.metering.usage import UsageLine

__all__ = ["DIMENSIONS", "InvalidQuery", "dimension_of", "expression_filter", "group_key", "tag_of"]

LineFilter = Callable[[UsageLine], bool]


class InvalidQuery(JsonRESTError):  # type: ignore[misc]  # moto is untyped
    """An invalid query; the message is the service's."""

    code = 400

    def __init__(self, message: str) -> None:
        super().__init__("ValidationException", message)


#: The dimensions that lines have.
DIMENSIONS: Mapping[str, Callable[[UsageLine], str]] = {
    "LINKED_ACCOUNT": lambda line: line.account_id,
    "RECORD_TYPE": lambda _: "Usage",
    "REGION": lambda line: line.region,
    "SERVICE": lambda line: line.service,
    "USAGE_TYPE": lambda line: line.usage_type,
    "INSTANCE_TYPE": lambda line: (re.search(r":(ml\..+)", line.usage_type) or ["", "NoInstanceType"])[1],
}
_OPERATORS = frozenset({"And", "Or", "Not", "Dimensions", "Tags", "CostCategories"})
_COMPARISONS: Mapping[str, Callable[[str, str], bool]] = {
    "EQUALS": lambda value, expected: value == expected,
    "STARTS_WITH": lambda value, expected: value.startswith(expected),
    "ENDS_WITH": lambda value, expected: value.endswith(expected),
    "CONTAINS": lambda value, expected: expected in value,
}


def dimension_of(name: str, line: UsageLine) -> str:
    """A line's value of a dimension.

    Raises:
        NotImplementedError: The local AWS does not meter by this dimension.
    """
    if name not in DIMENSIONS:
        raise NotImplementedError(f"the dimension {name}")
    return DIMENSIONS[name](line)


def tag_of(key: str, line: UsageLine, active: Collection[str]) -> str:
    """A line's value of a tag; empty without it, or while the tag is not activated as a cost allocation tag."""
    return dict(line.tags).get(key, "") if key in active else ""


def group_key(group: Mapping[str, str], line: UsageLine, active: Collection[str]) -> str:
    """The key of a line in a group of GetCostAndUsage: a dimension's value, or ``Project$alex`` for a tag."""
    if group["Type"] == "DIMENSION":
        return dimension_of(group["Key"], line)
    if group["Type"] == "TAG":
        return f"{group['Key']}${tag_of(group['Key'], line, active)}"
    raise NotImplementedError("groups by cost category")


def expression_filter(expression: Mapping[str, Any] | None, active: Collection[str]) -> LineFilter:
    """The filter that an expression describes.

    Args:
        expression: The API's Expression; None for all lines.
        active: The activated cost allocation tags.

    Raises:
        InvalidQuery: The expression is invalid.
        NotImplementedError: It has a dimension or an option that is not implemented.
    """
    if not expression:
        return lambda _: True
    operators = [name for name in expression if name in _OPERATORS]
    if len(operators) != 1:
        raise InvalidQuery(
            "Expression can only have one root operator: And, Or, Not, Dimensions, Tags or CostCategories"
        )
    (name,) = operators
    value = expression[name]
    match name:
        case "And" | "Or":
            parts = [expression_filter(part, active) for part in value]
            combine = all if name == "And" else any
            return lambda line: combine(part(line) for part in parts)
        case "Not":
            part = expression_filter(value, active)
            return lambda line: not part(line)
        case "Dimensions":
            dimension_of(value["Key"], UsageLine("", "", "", "", "", ""))
            return _values_filter(lambda line: dimension_of(value["Key"], line), value)
        case "Tags":
            return _values_filter(lambda line: tag_of(value["Key"], line, active), value)
        case _:
            raise NotImplementedError("cost categories")


def _values_filter(value_of: Callable[[UsageLine], str], values: Mapping[str, Any]) -> LineFilter:
    options = set(values.get("MatchOptions") or ()) - {"CASE_SENSITIVE"}
    ignores_case = "CASE_INSENSITIVE" in options
    options.discard("CASE_INSENSITIVE")
    option = options.pop() if options else "EQUALS"
    if option == "ABSENT":
        return lambda line: not value_of(line)
    if options or option not in _COMPARISONS:
        raise NotImplementedError(f"the match option {option}")
    expected = [str(each) for each in values.get("Values") or ()]
    if not expected:
        raise InvalidQuery("Values must not be empty")

    def is_match(line: UsageLine) -> bool:
        value = value_of(line)
        if ignores_case:
            return any(_COMPARISONS[option](value.lower(), each.lower()) for each in expected)
        return any(_COMPARISONS[option](value, each) for each in expected)

    return is_match
