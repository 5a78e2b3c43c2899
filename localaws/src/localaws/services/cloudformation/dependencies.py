"""The order in which a template's resources are created."""

import re
from collections.abc import Container, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from typing import Any

from moto.cloudformation.exceptions import ValidationError

__all__ = ["in_dependency_order"]

_IN_SUB = re.compile(r"\$\{(?!!)([^.}]+)")


def in_dependency_order(resources: Mapping[str, Any], parameters: Container[str]) -> list[str]:
    """The logical ids of a template's resources, each after its dependencies and references.

    Args:
        resources: The template's resources.
        parameters: Parameters and pseudo parameters, which can be referenced too.

    Raises:
        ValidationError: Dependencies are circular or unresolved.
    """
    sorter: TopologicalSorter[str] = TopologicalSorter()
    for logical_id, resource in resources.items():
        depends_on = resource.get("DependsOn") or []
        explicit = [depends_on] if isinstance(depends_on, str) else list(depends_on)
        referenced = list(_references(resource.get("Properties")))
        unknown = [name for name in (*explicit, *referenced) if name not in resources and name not in parameters]
        if unknown:
            raise ValidationError(
                message=f"Template format error: Unresolved resource dependencies [{', '.join(unknown)}] in the "
                "Resources block of the template"
            )
        sorter.add(logical_id, *(name for name in (*explicit, *referenced) if name in resources))
    try:
        return list(sorter.static_order())
    except CycleError as error:
        circle = ", ".join(error.args[1][:-1])
        raise ValidationError(message=f"Circular dependency between resources: [{circle}]") from error


def _references(node: Any) -> Iterator[str]:
    """The names in Ref, Fn::GetAtt and Fn::Sub."""
    if isinstance(node, list):
        for item in node:
            yield from _references(item)
        return
    if not isinstance(node, dict):
        return
    for key, value in node.items():
        if key == "Ref":
            yield str(value)
        elif key == "Fn::GetAtt":
            yield str(value[0] if isinstance(value, list) else str(value).partition(".")[0])
        elif key == "Fn::Sub":
            text, variables = value if isinstance(value, list) else (value, {})
            yield from (name for name in _IN_SUB.findall(str(text)) if name not in variables)
            yield from _references(variables)
        else:
            yield from _references(value)
