"""The metadata filters of QueryVectors.

Operators and operands: user guide, "Metadata filtering". The rule that an object has one key, and the messages, were
measured by users of the service (langchain.js' S3 Vectors integration, 2026-09). AWS documents only for ``$eq`` that
one matching element of an array is enough; here this applies to every operator. AWS does not document ``$ne`` and
``$nin`` for missing keys; here they match.
"""

import operator
from collections.abc import Callable, Collection, Mapping
from typing import Any

from localaws.services.s3vectors.errors import InvalidRequest

__all__ = ["Predicate", "parse_filter"]

Predicate = Callable[[Mapping[str, Any]], bool]
_Test = Callable[[Any], bool]

#: Maximum number of values in a filter.
_MAX_CONSTRAINTS = 100
_ABSENT = object()
_RANGES: dict[str, Callable[[Any, Any], bool]] = {
    "$gt": operator.gt,
    "$gte": operator.ge,
    "$lt": operator.lt,
    "$lte": operator.le,
}


def parse_filter(document: Any, non_filterable: Collection[str]) -> Predicate:
    """Parse a filter.

    Args:
        document: The filter.
        non_filterable: The index's non-filterable metadata keys.

    Raises:
        InvalidRequest: The filter is invalid, uses a non-filterable key, or has more than 100 values.
    """
    reader = _Reader(non_filterable)
    predicate = reader.read(document)
    if reader.constraints > _MAX_CONSTRAINTS:
        raise _invalid()
    return predicate


class _Reader:
    """Parses one filter and counts its values."""

    def __init__(self, non_filterable: Collection[str]) -> None:
        self.constraints = 0
        self._non_filterable = non_filterable

    def read(self, document: Any) -> Predicate:
        if not isinstance(document, dict) or len(document) != 1:
            raise _invalid()
        ((name, condition),) = document.items()
        if name in ("$and", "$or"):
            return self._read_several(name, condition)
        if name.startswith("$"):
            raise _invalid()
        if name in self._non_filterable:
            message = "Invalid use of non-filterable metadata in filter"
            raise InvalidRequest(message, ("filter", message))
        operators = condition if isinstance(condition, dict) else {"$eq": condition}
        if not operators:
            raise _invalid()
        tests = [self._read_operator(symbol, operand) for symbol, operand in operators.items()]
        return lambda metadata: all(test(metadata.get(name, _ABSENT)) for test in tests)

    def _read_several(self, name: str, filters: Any) -> Predicate:
        if not isinstance(filters, list) or not filters:
            raise _invalid()
        parts, combine = [self.read(part) for part in filters], all if name == "$and" else any
        return lambda metadata: combine(part(metadata) for part in parts)

    def _read_operator(self, symbol: str, operand: Any) -> _Test:
        self.constraints += len(operand) if isinstance(operand, list) else 1
        match symbol:
            case "$eq" | "$ne" if _is_scalar(operand):
                return _one_of([operand]) if symbol == "$eq" else _none_of([operand])
            case "$in" | "$nin" if isinstance(operand, list) and operand and all(map(_is_scalar, operand)):
                return _one_of(operand) if symbol == "$in" else _none_of(operand)
            case "$gt" | "$gte" | "$lt" | "$lte" if _is_number(operand):
                compare = _RANGES[symbol]
                return _any_element(lambda value: _is_number(value) and compare(value, operand))
            case "$startsWith" if isinstance(operand, str):
                return _any_element(lambda value: isinstance(value, str) and value.startswith(operand))
            case "$exists" if isinstance(operand, bool):
                return lambda value: (value is not _ABSENT) == operand
            case _:
                raise _invalid()


def _one_of(values: list[Any]) -> _Test:
    # With the type, since True == 1 in Python but not in JSON.
    accepted = {_typed(value) for value in values}
    return _any_element(lambda value: value is not _ABSENT and _typed(value) in accepted)


def _none_of(values: list[Any]) -> _Test:
    one_of = _one_of(values)
    return lambda value: not one_of(value)


def _any_element(test: _Test) -> _Test:
    return lambda value: any(map(test, value)) if isinstance(value, list) else test(value)


def _typed(value: Any) -> tuple[bool, Any]:
    return isinstance(value, bool), value


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_scalar(value: Any) -> bool:
    return isinstance(value, (str, int, float))


def _invalid() -> InvalidRequest:
    return InvalidRequest("Invalid filter", ("filter", "Invalid filter"))
