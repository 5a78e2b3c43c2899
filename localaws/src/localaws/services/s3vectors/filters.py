"""The filters of QueryVectors: which metadata they let through.

Operators and their operands: the user guide, "Metadata filtering". That an object holds one key only, and the
messages, are what users of the service measured (langchain.js' S3 Vectors integration, 2026-09). AWS says of ``$eq``
alone that one element of an array is enough; here that holds for every operator. It does not say what ``$ne`` and
``$nin`` do without a value; here they hold.
"""

import operator
from collections.abc import Callable, Collection, Mapping
from typing import Any

from localaws.services.s3vectors.refusals import Refusal, invalid

__all__ = ["Predicate", "parse_filter"]

Predicate = Callable[[Mapping[str, Any]], bool]
_Test = Callable[[Any], bool]

#: Of an index in ENHANCED mode; every value that a filter compares with counts.
_MAX_CONSTRAINTS = 100
_ABSENT = object()
_RANGES: dict[str, Callable[[Any, Any], bool]] = {
    "$gt": operator.gt,
    "$gte": operator.ge,
    "$lt": operator.lt,
    "$lte": operator.le,
}


def parse_filter(document: Any, not_filterable: Collection[str]) -> Predicate:
    """Read a filter.

    Args:
        document: The filter.
        not_filterable: The index's keys that no filter may ask for.

    Raises:
        Refusal: It is not one, or asks for such a key, or for more than 100 values.
    """
    reader = _Reader(not_filterable)
    predicate = reader.read(document)
    if reader.constraints > _MAX_CONSTRAINTS:
        raise _invalid()
    return predicate


class _Reader:
    """Reads one filter, and counts what it compares with."""

    def __init__(self, not_filterable: Collection[str]) -> None:
        self.constraints = 0
        self._not_filterable = not_filterable

    def read(self, document: Any) -> Predicate:
        if not isinstance(document, dict) or len(document) != 1:
            raise _invalid()
        ((name, wanted),) = document.items()
        if name in ("$and", "$or"):
            return self._read_several(name, wanted)
        if name.startswith("$"):
            raise _invalid()
        if name in self._not_filterable:
            raise invalid("Invalid use of non-filterable metadata in filter", "filter")
        operators = wanted if isinstance(wanted, dict) else {"$eq": wanted}
        if not operators:
            raise _invalid()
        tests = [self._read_operator(symbol, operand) for symbol, operand in operators.items()]
        return lambda metadata: all(test(metadata.get(name, _ABSENT)) for test in tests)

    def _read_several(self, name: str, wanted: Any) -> Predicate:
        if not isinstance(wanted, list) or not wanted:
            raise _invalid()
        parts, combine = [self.read(part) for part in wanted], all if name == "$and" else any
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


def _one_of(wanted: list[Any]) -> _Test:
    # With the type, since True is 1 in Python and neither in JSON.
    known = {_typed(value) for value in wanted}
    return _any_element(lambda value: value is not _ABSENT and _typed(value) in known)


def _none_of(wanted: list[Any]) -> _Test:
    one_of = _one_of(wanted)
    return lambda value: not one_of(value)


def _any_element(test: _Test) -> _Test:
    return lambda value: any(map(test, value)) if isinstance(value, list) else test(value)


def _typed(value: Any) -> tuple[bool, Any]:
    return isinstance(value, bool), value


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_scalar(value: Any) -> bool:
    return isinstance(value, (str, int, float))


def _invalid() -> Refusal:
    return invalid("Invalid filter", "filter")
