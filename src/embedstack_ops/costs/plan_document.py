"""The managed resources of what ``terraform show -json`` prints of a plan or a state.

The format: https://developer.hashicorp.com/terraform/internals/json-format. Attributes that are known only after the
apply are missing in the planned values, so that resources are linked by names where they are known, and otherwise by
the references in the configuration.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from embedstack.errors import ConfigurationError

__all__ = ["PlanDocument", "PlannedResource", "read_document"]

_INDEX = re.compile(r'\[(?:"[^"]*"|\d+)\]')
_ARN_REGION = re.compile(r"arn:[a-z-]+:[a-z0-9-]+:([a-z]{2,}(?:-[a-z]+)+-\d+):")
_AWS_HOST_REGION = re.compile(r"\.([a-z]{2,}(?:-[a-z]+)+-\d+)\.")


@dataclass(frozen=True, slots=True)
class PlannedResource:
    """A managed resource of a plan or a state.

    Attributes:
        address: Its address.
        module: Address of its module, with indices; empty for the root.
        type: Its type.
        name: Its name in the configuration.
        values: Its known attributes.
        unknown: Attributes that are known only after the apply, in the form of ``after_unknown``.
        references: References in the configuration, by attribute.
        region: Its region; None if the document does not tell.
    """

    address: str
    module: str
    type: str
    name: str
    values: Mapping[str, Any]
    unknown: Mapping[str, Any] = field(default_factory=dict)
    references: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    region: str | None = None

    @property
    def index(self) -> str:
        """The index in its address, such as ``["wake"]``; empty without one."""
        match = re.search(r"\[(?:\"[^\"]*\"|\d+)\]$", self.address)
        return match[0] if match else ""


@dataclass(frozen=True, slots=True)
class PlanDocument:
    """The managed resources of a plan or a state."""

    resources: tuple[PlannedResource, ...]

    def of_type(self, *types: str) -> Iterator[PlannedResource]:
        """The resources of some types."""
        return (resource for resource in self.resources if resource.type in types)

    def referenced(self, resource: PlannedResource, attribute: str, of_type: str) -> PlannedResource | None:
        """The resource of a type in the same module that an attribute refers to; None if there is not exactly one."""
        names = {
            reference.split(".")[1].split("[")[0]
            for reference in resource.references.get(attribute, ())
            if reference.startswith(f"{of_type}.")
        }
        candidates = [
            other for other in self.of_type(of_type) if other.module == resource.module and other.name in names
        ]
        same_index = [other for other in candidates if other.index == resource.index]
        matching = same_index or candidates
        return matching[0] if len(matching) == 1 else None


def read_document(path: Path, default_region: str | None = None) -> PlanDocument:
    """Read a plan or a state.

    Args:
        path: What ``terraform show -json`` printed.
        default_region: Region of resources whose region the document does not tell.

    Raises:
        ConfigurationError: The file is not a plan or a state.
    """
    remedy = "Write it with: terraform show -json FILE.tfplan > plan.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"The plan {path} cannot be read: {error}. {remedy}") from error
    if not isinstance(content, dict) or not content.keys() & {"planned_values", "values"}:
        raise ConfigurationError(f"{path} is neither a plan nor a state. {remedy}")
    if content.get("errored"):
        raise ConfigurationError(f"The plan {path} is incomplete, because planning failed. Plan again. {remedy}")
    return _document(content, default_region)


def _document(content: Mapping[str, Any], default: str | None) -> PlanDocument:
    values = content.get("planned_values") or content["values"]
    unknown = {
        change["address"]: change["change"].get("after_unknown") or {} for change in content.get("resource_changes", [])
    }
    configuration = _Configuration(content)
    resources = []
    for module, resource in _resources(values.get("root_module", {})):
        if resource["mode"] != "managed":
            continue
        attributes = resource.get("values") or {}
        region = configuration.region(module, resource) or default
        resources.append(
            PlannedResource(
                address=resource["address"],
                module=module,
                type=resource["type"],
                name=resource["name"],
                values=attributes,
                unknown=unknown.get(resource["address"], {}),
                references=configuration.references(module, resource),
                region=region,
            )
        )
    return PlanDocument(tuple(resources))


def _resources(module: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for resource in module.get("resources", []):
        yield module.get("address", ""), resource
    for child in module.get("child_modules", []):
        yield from _resources(child)


class _Configuration:
    """The configuration part of a plan: providers, their regions, and references. A state has none."""

    def __init__(self, content: Mapping[str, Any]) -> None:
        configuration = content.get("configuration", {})
        self._variables = {name: item.get("value") for name, item in content.get("variables", {}).items()}
        self._providers = configuration.get("provider_config", {})
        self._resources = dict(_configured(configuration.get("root_module", {}), ""))
        self._regions_read = dict(self._regions_of_data_sources(content))

    def region(self, module: str, resource: Mapping[str, Any]) -> str | None:
        """The region of a resource: its own attribute, its ARN, its provider's region, or what its provider reads."""
        values = resource.get("values") or {}
        if isinstance(values.get("region"), str):  # an attribute of all resources since version 6 of the provider
            return str(values["region"])
        match = _ARN_REGION.match(str(values.get("arn") or ""))
        if match:
            return match[1]
        key = self._provider_key(module, resource)
        return self._provider_region(key) or self._regions_read.get(key)

    def references(self, module: str, resource: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
        """The references of a resource's attributes, by attribute."""
        configured = self._configured(module, resource)
        return {
            name: tuple(expression["references"])
            for name, expression in configured.get("expressions", {}).items()
            if isinstance(expression, dict) and "references" in expression
        }

    def _configured(self, module: str, resource: Mapping[str, Any]) -> Mapping[str, Any]:
        mode = "data." if resource["mode"] == "data" else ""
        return self._resources.get((_INDEX.sub("", module), f"{mode}{resource['type']}.{resource['name']}"), {})

    def _provider_key(self, module: str, resource: Mapping[str, Any]) -> str:
        return str(self._configured(module, resource).get("provider_config_key", ""))

    def _provider_region(self, key: str) -> str | None:
        expression = self._providers.get(key, {}).get("expressions", {}).get("region", {})
        if "constant_value" in expression:
            return str(expression["constant_value"])
        for reference in expression.get("references", []):
            value = self._variables.get(reference.removeprefix("var."))
            if isinstance(value, str):
                return value
        return None

    def _regions_of_data_sources(self, content: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """The region of each provider whose region comes from the environment, as data.aws_region has read it."""
        for state in (content.get("prior_state", {}).get("values", {}), content.get("planned_values", {})):
            for module, resource in _resources(state.get("root_module", {})):
                if resource["mode"] == "data" and resource["type"] == "aws_region":
                    match = _AWS_HOST_REGION.search(str((resource.get("values") or {}).get("endpoint") or ""))
                    if match:
                        yield self._provider_key(module, resource), match[1]


def _configured(module: Mapping[str, Any], path: str) -> Iterator[tuple[tuple[str, str], Mapping[str, Any]]]:
    for resource in module.get("resources", []):
        yield (path, resource["address"]), resource
    for name, call in module.get("module_calls", {}).items():
        yield from _configured(call.get("module", {}), f"{path}.module.{name}".lstrip("."))
