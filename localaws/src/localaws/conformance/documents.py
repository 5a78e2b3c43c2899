"""Checks a JSON, CBOR or XML body against its shape, without botocore's leniency."""

import re
from collections.abc import Iterator
from typing import Any
from xml.etree.ElementTree import Element

from botocore.model import ListShape, MapShape, Shape, StructureShape

from localaws.conformance.values import check_text, check_value

__all__ = ["check_document", "check_element"]

_NAMESPACE = re.compile(r"\{.*\}")


def check_document(shape: Shape, value: Any, path: str, timestamp_format: str = "unixTimestamp") -> Iterator[str]:
    """The violations in a decoded JSON or CBOR document.

    Args:
        shape: The document's shape; members that travel in headers are left out.
        value: The document.
        path: Its name in messages.
        timestamp_format: The protocol's timestamp format, if the shape names none.
    """
    if getattr(shape, "is_document_type", False):
        return
    container = list if isinstance(shape, ListShape) else dict
    if isinstance(shape, StructureShape | ListShape | MapShape) and not isinstance(value, container):
        yield f"{path} is a {shape.type_name}, not {value!r}"
    elif isinstance(shape, StructureShape):
        members = _body_members(shape)
        yield from _check_names(shape, members, value.keys() - {"__type"}, path)
        for name in members.keys() & value.keys():
            yield from check_document(members[name], value[name], f"{path}.{name}", timestamp_format)
    elif isinstance(shape, ListShape):
        for index, item in enumerate(value):
            yield from check_document(shape.member, item, f"{path}[{index}]", timestamp_format)
    elif isinstance(shape, MapShape):
        for key, item in value.items():
            yield from check_value(shape.key, key, f"{path} (key)", timestamp_format)
            yield from check_document(shape.value, item, f"{path}.{key}", timestamp_format)
    else:
        yield from check_value(shape, value, path, timestamp_format)


def check_element(shape: Shape, element: Element, path: str) -> Iterator[str]:
    """The violations in an XML element.

    Args:
        shape: The element's shape; members that travel in headers are left out.
        element: The element.
        path: Its name in messages.
    """
    if isinstance(shape, StructureShape):
        yield from _check_structure_element(shape, element, path)
    elif isinstance(shape, ListShape):
        expected = shape.member.serialization.get("name", "member")
        for index, item in enumerate(element):
            if _tag(item) != expected:
                yield f"{path} has <{_tag(item)}> instead of <{expected}>"
            yield from check_element(shape.member, item, f"{path}[{index}]")
    elif isinstance(shape, MapShape):
        for entry in element:
            yield from _check_entry(shape, entry, path)
    else:
        yield from check_text(shape, element.text or "", path, "iso8601")


def _check_structure_element(shape: StructureShape, element: Element, path: str) -> Iterator[str]:
    members = {
        name: member for name, member in _body_members(shape).items() if not member.serialization.get("xmlAttribute")
    }
    children: dict[str, list[Element]] = {}
    for item in element:
        children.setdefault(_tag(item), []).append(item)
    yield from _check_names(shape, members, children.keys(), path)
    for name, member in members.items():
        items = children.get(name, [])
        if member.serialization.get("flattened") and isinstance(member, ListShape):
            for index, item in enumerate(items):
                yield from check_element(member.member, item, f"{path}.{name}[{index}]")
        elif member.serialization.get("flattened") and isinstance(member, MapShape):
            for item in items:
                yield from _check_entry(member, item, f"{path}.{name}")
        else:
            if len(items) > 1:
                yield f"{path}.{name} occurs {len(items)} times"
            for item in items[:1]:
                yield from check_element(member, item, f"{path}.{name}")


def _check_entry(shape: MapShape, entry: Element, path: str) -> Iterator[str]:
    key, value = shape.key.serialization.get("name", "key"), shape.value.serialization.get("name", "value")
    parts = {_tag(part): part for part in entry}
    if parts.keys() != {key, value}:
        yield f"{path} has an entry with {sorted(parts)} instead of {key} and {value}"
        return
    yield from check_element(shape.key, parts[key], f"{path} (key)")
    yield from check_element(shape.value, parts[value], f"{path}.{parts[key].text}")


def _body_members(shape: StructureShape) -> dict[str, Shape]:
    """The members in the body, by their names on the wire."""
    return {
        _wire_name(name, member): member
        for name, member in shape.members.items()
        if "location" not in member.serialization
    }


def _wire_name(name: str, member: Shape) -> str:
    if isinstance(member, ListShape) and member.serialization.get("flattened"):
        name = member.member.serialization.get("name", name)
    return str(member.serialization.get("name", name))


def _check_names(shape: StructureShape, members: dict[str, Shape], names: Any, path: str) -> Iterator[str]:
    for name in sorted(set(names) - members.keys()):
        yield f"{path}.{name} is not a member of {shape.name}"
    for name in shape.required_members:
        member = shape.members[name]
        is_elsewhere = "location" in member.serialization or member.serialization.get("xmlAttribute")
        if not is_elsewhere and _wire_name(name, member) not in names:
            yield f"{path}.{name} is required, and missing"
    if getattr(shape, "is_tagged_union", False) and len(set(names) & members.keys()) != 1:
        yield f"{path} is a union of {', '.join(members)} and has {len(set(names))} of them"


def _tag(element: Element) -> str:
    return _NAMESPACE.sub("", element.tag)
