"""Checks requests against the API models of their services, with AWS's messages.

botocore checks types and required members in the client, but not patterns, lengths and enums. AWS checks these on
arrival and lists all violations in one ValidationException. Older services word them like ``Value 'x' at 'a.b' failed
to satisfy constraint: …``, services built with Smithy like ``Value at '/a/b' failed to satisfy constraint: …``.
"""

import re
import unicodedata
from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

from botocore.model import ListShape, MapShape, Shape, StringShape, StructureShape

__all__ = ["RequestTypeError", "Violation", "check_request", "summarize", "violations"]

#: The pattern of tags, whose Unicode categories Python's ``re`` cannot express.
_TAG_PATTERN = r"[\p{L}\p{Z}\p{N}_.:/=+\-@]*"
_TAG_CHARACTERS = "_.:/=+-@"
_NUMBERS = ("integer", "long", "float", "double")
_PYTHON_TYPES: dict[str, type | tuple[type, ...]] = {
    "boolean": bool,
    "double": (int, float),
    "float": (int, float),
    "integer": int,
    "list": list,
    "map": dict,
    "string": str,
    "structure": dict,
}


class Violation(NamedTuple):
    """A violated constraint: the path of the member, and the message."""

    path: str
    message: str


class RequestTypeError(TypeError):
    """A member has a wrong JSON type."""


def check_request(shape: Shape, request: dict[str, Any]) -> str | None:
    """The message for a request that violates constraints of its shape; None for a valid request."""
    messages = [violation.message for violation in _Walk(smithy=False).violations(shape, request, "")]
    if not messages:
        return None
    return f"{len(messages)} validation error{'s' if len(messages) > 1 else ''} detected: " + "; ".join(messages)


def violations(shape: Shape, request: dict[str, Any]) -> list[Violation]:
    """The violations of a request to a service built with Smithy.

    Raises:
        RequestTypeError: A member has a wrong JSON type.
    """
    return list(_Walk(smithy=True).violations(shape, request, ""))


def summarize(violated: list[Violation]) -> str:
    """The message of an exception for the violations of a request to a service built with Smithy."""
    count = f"{len(violated)} validation error{'s' if len(violated) > 1 else ''} detected. "
    return count + "; ".join(violation.message for violation in violated)


class _Walk:
    """Walks a request along its shape, with one of the two wordings."""

    def __init__(self, *, smithy: bool) -> None:
        self._smithy = smithy

    def violations(self, shape: Shape, value: Any, path: str) -> Iterator[Violation]:
        if value is None or getattr(shape, "is_document_type", False):
            return
        if self._smithy:
            _check_type(shape, value, path)
        if isinstance(shape, StructureShape):
            yield from self._structure(shape, value, path)
        elif isinstance(shape, ListShape):
            yield from self._range(shape, value, path, len(value))
            # The numbers of vectors have no constraints, and there are many of them.
            is_unconstrained = shape.member.type_name in _NUMBERS and not shape.member.metadata
            for index, item in enumerate(() if is_unconstrained else value):
                item_path = f"{path}/{index}" if self._smithy else f"{path}.{index + 1}.member"
                yield from self.violations(shape.member, item, item_path)
        elif isinstance(shape, MapShape):
            yield from self._map(shape, value, path)
        elif isinstance(shape, StringShape):
            yield from self._string(shape, value, path)
        elif shape.type_name in _NUMBERS:
            yield from self._range(shape, value, path)

    def _structure(self, shape: StructureShape, value: dict[str, Any], path: str) -> Iterator[Violation]:
        for name, member in shape.members.items():
            member_path = self._member_path(path, name)
            if value.get(name) is not None:
                yield from self.violations(member, value[name], member_path)
            elif name in shape.required_members:
                subject = "Value" if self._smithy else "Value null"
                yield _violation(subject, member_path, "Member must not be null")

    def _map(self, shape: MapShape, value: dict[str, Any], path: str) -> Iterator[Violation]:
        yield from self._range(shape, value, path, len(value))
        for key, item in value.items():
            key_path = f"{path}/{key}" if self._smithy else f"{path}.{key}.key"
            value_path = f"{path}/{key}" if self._smithy else f"{path}.{key}.member"
            yield from self.violations(shape.key, key, key_path)
            yield from self.violations(shape.value, item, value_path)

    def _string(self, shape: StringShape, value: str, path: str) -> Iterator[Violation]:
        if shape.enum and value not in shape.enum:
            constraint = f"Member must satisfy enum value set: [{', '.join(shape.enum)}]"
            yield _violation(self._subject(value), path, constraint)
            return
        yield from self._range(shape, value, path, len(value))
        pattern = shape.metadata.get("pattern")
        if pattern and not _matches(pattern, value):
            constraint = f"Member must satisfy regular expression pattern: {pattern}"
            yield _violation(self._subject(value), path, constraint)

    def _range(self, shape: Shape, value: Any, path: str, length: int | None = None) -> Iterator[Violation]:
        """Check the length of a value, or the value itself if ``length`` is None."""
        low, high = shape.metadata.get("min"), shape.metadata.get("max")
        measured = value if length is None else length
        too_low, too_high = low is not None and measured < low, high is not None and measured > high
        if not too_low and not too_high:
            return
        bound = f"greater than or equal to {low}" if too_low else f"less than or equal to {high}"
        if not self._smithy:
            kind = "value" if length is None else "length"
            yield _violation(self._subject(value), path, f"Member must have {kind} {bound}")
            return
        if low is not None and high is not None:
            bound = f"between {low} and {high}, inclusive"
        if length is None:
            yield _violation("Value", path, f"Member must be {bound}")
        else:
            yield _violation(f"Value with length {length}", path, f"Member must have length {bound}")

    def _member_path(self, path: str, name: str) -> str:
        if self._smithy:
            return f"{path}/{name}"
        wire_name = name[0].lower() + name[1:]
        return f"{path}.{wire_name}" if path else wire_name

    def _subject(self, value: Any) -> str:
        return "Value" if self._smithy else f"Value '{value}'"


def _violation(subject: str, path: str, constraint: str) -> Violation:
    return Violation(path, f"{subject} at '{path}' failed to satisfy constraint: {constraint}")


def _check_type(shape: Shape, value: Any, path: str) -> None:
    expected = _PYTHON_TYPES.get(shape.type_name, object)
    if not isinstance(value, expected) or (isinstance(value, bool) and shape.type_name != "boolean"):
        raise RequestTypeError(f"Expected {shape.type_name} at '{path}'")


def _matches(pattern: str, value: str) -> bool:
    """Whether a value matches a Java pattern; a pattern that Python cannot express matches everything."""
    if pattern.strip("^()$") == _TAG_PATTERN:
        return all(character in _TAG_CHARACTERS or unicodedata.category(character)[0] in "LZN" for character in value)
    compiled = _compile(pattern)
    return compiled is None or compiled.fullmatch(value) is not None


@cache
def _compile(pattern: str) -> re.Pattern[str] | None:
    try:
        return re.compile(pattern)
    except re.error:
        return None
