"""Converts a template's properties to the types of an API: templates may write numbers and booleans as strings."""

from collections.abc import Callable
from typing import Any

from botocore.model import ListShape, MapShape, Shape, StructureShape

__all__ = ["InvalidProperty", "typed"]


class InvalidProperty(Exception):
    """An unknown property, or a value of the wrong type."""


def typed(shape: Shape, value: Any, path: str, member: Callable[[str], str] = str) -> Any:
    """Convert a value to the type of its shape.

    Args:
        shape: The API's shape.
        value: The template's value, with functions resolved.
        path: The property's path, for the message.
        member: Converts a property's name to the shape's member.

    Raises:
        InvalidProperty: A member is unknown, or a value has the wrong type.
    """
    if isinstance(shape, StructureShape):
        if not isinstance(value, dict):
            raise _mistyped(path, "JSONObject", value)
        for name in value:
            if member(name) not in shape.members:
                raise InvalidProperty(f"{path}: extraneous key [{name}] is not permitted")
        return {
            member(name): typed(shape.members[member(name)], item, f"{path}/{name}", member)
            for name, item in value.items()
        }
    if isinstance(shape, ListShape):
        if not isinstance(value, list):
            raise _mistyped(path, "JSONArray", value)
        return [typed(shape.member, item, f"{path}/{index}", member) for index, item in enumerate(value)]
    if isinstance(shape, MapShape):
        if not isinstance(value, dict):
            raise _mistyped(path, "JSONObject", value)
        return {key: typed(shape.value, item, f"{path}/{key}", member) for key, item in value.items()}
    return _scalar(shape, value, path)


def _scalar(shape: Shape, value: Any, path: str) -> Any:
    if isinstance(value, dict | list):
        raise _mistyped(path, shape.type_name.capitalize(), value)
    text = str(value).lower() if isinstance(value, bool) else str(value)
    try:
        match shape.type_name:
            case "integer" | "long":
                return int(text)
            case "float" | "double":
                return float(text)
            case "boolean":
                return {"true": True, "false": False}[text.lower()]
            case _:
                return text
    except (ValueError, KeyError):
        raise _mistyped(path, shape.type_name.capitalize(), value) from None


def _mistyped(path: str, expected: str, value: Any) -> InvalidProperty:
    match value:
        case dict():
            actual = "JSONObject"
        case list():
            actual = "JSONArray"
        case _:
            actual = "String" if isinstance(value, str) else type(value).__name__.capitalize()
    return InvalidProperty(f"{path}: expected type: {expected}, found: {actual}")
