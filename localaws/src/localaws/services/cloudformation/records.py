"""A stack whose resources are made one by one in the background, never as a side effect of being looked at."""

import json
import threading
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from moto.cloudformation.exceptions import UnsupportedAttribute
from moto.cloudformation.models import Event, Stack
from moto.cloudformation.parsing import NULL_MODELS, OutputMap, ResourceMap, clean_json, get_model_map

from localaws.core.timestamps import utc_now
from localaws.services.cloudformation.dependencies import in_dependency_order
from localaws.services.cloudformation.resource_types import RESOURCE_TYPES

__all__ = ["BackgroundStack", "Resources", "StackResource"]


class Resources(ResourceMap):  # type: ignore[misc]  # moto is untyped
    """A template's resources. moto makes one whenever it is looked up; here they are put in."""

    def __getitem__(self, key: str) -> Any:
        """A parameter, a mapping, or a resource that is there."""
        return self._parsed_resources[key]

    def validate_outputs(self) -> None:
        """Check the attributes that outputs refer to, by our resource types; moto checks its own.

        Raises:
            UnsupportedAttribute: A resource type does not have one.
        """
        for output in (self._template.get("Outputs") or {}).values():
            value = output.get("Value")
            path = value.get("Fn::GetAtt") if isinstance(value, dict) else None
            if not path or path[0] not in self._resource_json_map:
                continue
            type_name = self._resource_json_map[path[0]]["Type"]
            kind, model = RESOURCE_TYPES.get(type_name), get_model_map().get(type_name)
            known = path[1] in kind.attribute_names if kind else model is None or model.has_cfn_attr(path[1])
            if not known:
                raise UnsupportedAttribute(resource=type_name.rpartition(":")[2], attr=path[1])

    @property
    def logical_ids(self) -> list[str]:
        """The resources that the conditions let be, each after those it depends on.

        Raises:
            ValidationError: They depend on each other, or on something that is not there.
        """
        return [
            logical_id
            for logical_id in in_dependency_order(self._resource_json_map, known=self._parsed_resources)
            if self._is_wanted(self._resource_json_map[logical_id])
        ]

    def type_of(self, logical_id: str) -> str:
        """A resource's type."""
        return str(self._resource_json_map[logical_id]["Type"])

    def definition(self, logical_id: str) -> dict[str, Any]:
        """A resource as the template has it."""
        definition: dict[str, Any] = self._resource_json_map[logical_id]
        return definition

    def deletion_policy(self, logical_id: str) -> str:
        """A resource's DeletionPolicy; that of one which the template does not have (any more) is Delete."""
        return str(self._resource_json_map.get(logical_id, {}).get("DeletionPolicy", "Delete"))

    def properties(self, logical_id: str) -> dict[str, Any]:
        """A resource's properties, with references and functions resolved and the stack's tags on them."""
        properties: dict[str, Any] = dict(clean_json(self.definition(logical_id).get("Properties") or {}, self))
        kind = RESOURCE_TYPES.get(self.type_of(logical_id))
        if kind is None or not kind.taggable:
            return properties
        system = {
            "aws:cloudformation:stack-name": self["AWS::StackName"],
            "aws:cloudformation:stack-id": self["AWS::StackId"],
            "aws:cloudformation:logical-id": logical_id,
        }
        own = {tag["Key"]: tag["Value"] for tag in properties.get("Tags", [])}
        tags = {**self.tags, **own, **(system if kind.tag_with_stack else {})}
        if tags:
            properties["Tags"] = [{"Key": key, "Value": value} for key, value in tags.items()]
        return properties

    def put(self, logical_id: str, resource: Any) -> None:
        """Say that a resource is there."""
        self._parsed_resources[logical_id] = resource

    def unsupported_types(self) -> list[str]:
        """The resource types that the local AWS does not have."""
        known = {*RESOURCE_TYPES, *NULL_MODELS, *get_model_map()} - {"AWS::CloudFormation::Stack"}
        types = {str(resource["Type"]) for resource in self._resource_json_map.values()}
        return sorted(name for name in types - known if not name.startswith("Custom::"))

    def _is_wanted(self, definition: dict[str, Any]) -> bool:
        condition = definition.get("Condition")
        return not condition or bool(self.lazy_condition_map[condition])


@dataclass(slots=True)
class StackResource:
    """What DescribeStackResources tells of a resource, and what an update compares with."""

    stack_id: str
    stack_name: str
    logical_resource_id: str
    resource_type: str
    resource: Any = None
    properties: dict[str, Any] = field(default_factory=dict)
    resource_status: str = "CREATE_IN_PROGRESS"
    resource_status_reason: str | None = None
    timestamp: datetime = field(default_factory=utc_now)

    @property
    def physical_resource_id(self) -> str | None:
        """Its ARN or name, once it has one."""
        found = getattr(self.resource, "physical_resource_id", None)
        return None if found is None else str(found)

    @property
    def last_updated_timestamp(self) -> datetime:
        """What some answers call the timestamp."""
        return self.timestamp


class BackgroundStack(Stack):  # type: ignore[misc]  # moto is untyped
    """A stack, and what its operations have done so far.

    Attributes:
        records: Its resources, by logical id, in the order in which they were made.
        busy: Held while an operation runs.
        cancelled: Set when the stack shall be deleted while it is being created.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Read the template and the parameters; nothing is made yet.

        Raises:
            ServiceException: They are not valid.
        """
        self.records: dict[str, StackResource] = {}
        super().__init__(*args, **kwargs)
        self.busy = threading.Lock()
        self.cancelled = threading.Event()
        self.stack_status_reason: str | None = None
        self.last_updated_time: datetime | None = None
        self.deletion_time: datetime | None = None

    @property
    def stack_name(self) -> str:
        """Its name, as ListStacks calls it."""
        return str(self.name)

    @property
    def stack_status(self) -> str:
        """Its status, as ListStacks calls it."""
        return str(self.status)

    @property
    def outputs(self) -> list[dict[str, Any]] | None:
        """The outputs, once everything that they refer to is there."""
        if not self.status.endswith("_COMPLETE") or self.status in ("ROLLBACK_COMPLETE", "DELETE_COMPLETE"):
            return None
        found: list[dict[str, Any]] | None = super().outputs
        return found

    @property
    def stack_resources(self) -> Any:
        """What DescribeStackResources lists."""
        return list(self.records.values())

    def verify_readiness(self) -> None:
        """A custom resource has answered; the operation that made it waits for that itself."""

    def resources_of(self, template: str, parameters: dict[str, Any], tags: dict[str, str]) -> Resources:
        """The resources of a template in this stack, with those put in that are there.

        Raises:
            ServiceException: Template or parameters are not valid.
        """
        resources = Resources(
            self.stack_id,
            self.name,
            parameters,
            tags,
            account_id=self.account_id,
            region_name=self.region_name,
            template=self.parse_template(template),
            cross_stack_resources=self.cross_stack_resources,
        )
        resources.load()
        for logical_id, record in self.records.items():
            resources.put(logical_id, record.resource)
        return resources

    def adopt(self, template: str, parameters: dict[str, Any], tags: dict[str, str], resources: Resources) -> None:
        """Be what a template describes from now on."""
        self.template, self.parameters, self.tags = template, parameters, tags
        self.template_dict = self.parse_template(template)
        self.description = self.template_dict.get("Description")
        self.resource_map = resources
        self.output_map = OutputMap(resources, self.template_dict, self.stack_id)

    def enter(self, status: str, reason: str | None = None) -> None:
        """Take on a status of the stack, with its event."""
        self.status, self.stack_status_reason = status, reason
        self._add_stack_event(status, resource_status_reason=reason)

    def note(self, record: StackResource, status: str, reason: str | None = None) -> None:
        """Take on a status of a resource, with its event."""
        record.resource_status, record.resource_status_reason, record.timestamp = status, reason, utc_now()
        event = Event(
            stack_id=self.stack_id,
            stack_name=self.name,
            logical_resource_id=record.logical_resource_id,
            physical_resource_id=record.physical_resource_id or "",
            resource_type=record.resource_type,
            resource_status=status,
            resource_status_reason=reason,
            resource_properties=json.dumps(record.properties, default=str),
        )
        self.events.append(event)

    def _create_resource_map(self) -> Resources:
        return self.resources_of(self.template, self.parameters, self.tags)
