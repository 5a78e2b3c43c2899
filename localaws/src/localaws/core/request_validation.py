"""Checks a request against the service's API model, with AWS's messages.

botocore checks types and required members on the client's side, but not patterns, lengths and enums; AWS checks them
on arrival and lists every violation in one ValidationException.
"""

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

from botocore.model import ListShape, MapShape, Shape, StringShape, StructureShape


def check_request(shape: Shape, request: dict[str, Any]) -> str | None:
    """AWS's message for a request that violates its shape's constraints; None for a valid request."""
    violations = list(_violations(shape, request, ""))
    if not violations:
        return None
    count = f"{len(violations)} validation error{'s' if len(violations) > 1 else ''} detected: "
    return count + "; ".join(violations)


def _violations(shape: Shape, value: Any, path: str) -> Iterator[str]:
    if value is None:
        return
    if isinstance(shape, StructureShape):
        yield from _structure_violations(shape, value, path)
    elif isinstance(shape, ListShape):
        yield from _range_violations(shape, len(value), value, path, "length")
        for index, item in enumerate(value, start=1):
            yield from _violations(shape.member, item, f"{path}.{index}.member")
    elif isinstance(shape, MapShape):
        yield from _range_violations(shape, len(value), value, path, "length")
        for key, item in value.items():
            yield from _violations(shape.key, key, f"{path}.{key}.key")
            yield from _violations(shape.value, item, f"{path}.{key}.member")
    elif isinstance(shape, StringShape):
        yield from _string_violations(shape, value, path)
    elif shape.type_name in ("integer", "long", "float", "double"):
        yield from _range_violations(shape, value, value, path, "value")


def _structure_violations(shape: StructureShape, value: dict[str, Any], path: str) -> Iterator[str]:
    for name, member in shape.members.items():
        member_path = f"{path}.{_wire_name(name)}" if path else _wire_name(name)
        if value.get(name) is None:
            if name in shape.required_members:
                yield f"Value null at '{member_path}' failed to satisfy constraint: Member must not be null"
            continue
        yield from _violations(member, value[name], member_path)


def _string_violations(shape: StringShape, value: str, path: str) -> Iterator[str]:
    if shape.enum and value not in shape.enum:
        allowed = ", ".join(shape.enum)
        yield _violation(value, path, f"Member must satisfy enum value set: [{allowed}]")
        return
    yield from _range_violations(shape, len(value), value, path, "length")
    pattern = shape.metadata.get("pattern")
    compiled = _compile(pattern) if pattern else None
    if compiled is not None and not compiled.fullmatch(value):
        yield _violation(value, path, f"Member must satisfy regular expression pattern: {pattern}")


def _range_violations(shape: Shape, measured: float, value: Any, path: str, what: str) -> Iterator[str]:
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    if low is not None and measured < low:
        yield _violation(value, path, f"Member must have {what} greater than or equal to {low}")
    if high is not None and measured > high:
        yield _violation(value, path, f"Member must have {what} less than or equal to {high}")


def _violation(value: Any, path: str, constraint: str) -> str:
    return f"Value '{value}' at '{path}' failed to satisfy constraint: {constraint}"


def _wire_name(member: str) -> str:
    return member[0].lower() + member[1:]


@cache
def _compile(pattern: str) -> re.Pattern[str] | None:
    """Compile a Java pattern; None if Python's ``re`` does not support it, such as a Unicode category."""
    try:
        return re.compile(pattern)
    except re.error:
        return None
