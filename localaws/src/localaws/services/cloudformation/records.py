"""Stacks and their resources, which moto would create as a side effect of reading them."""

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
    """A template's resources. moto creates a resource when it is read; here :meth:`put` adds it."""

    def __getitem__(self, key: str) -> Any:
        """A parameter, a mapping, or a created resource."""
        return self._parsed_resources[key]

    def validate_outputs(self) -> None:
        """Check the attributes in outputs, also for SageMaker's and S3 Vectors' resource types.

        Raises:
            UnsupportedAttribute: A resource type does not have the attribute.
        """
        for output in (self._template.get("Outputs") or {}).values():
            value = output.get("Value")
            path = value.get("Fn::GetAtt") if isinstance(value, dict) else None
            if not path or path[0] not in self._resource_json_map:
                continue
            type_name = self._resource_json_map[path[0]]["Type"]
            kind, model = RESOURCE_TYPES.get(type_name), get_model_map().get(type_name)
            is_supported = path[1] in kind.attribute_names if kind else model is None or model.has_cfn_attr(path[1])
            if not is_supported:
                raise UnsupportedAttribute(resource=type_name.rpartition(":")[2], attr=path[1])

    @property
    def logical_ids(self) -> list[str]:
        """The resources whose conditions hold, each after its dependencies.

        Raises:
            ValidationError: Dependencies are circular or unresolved.
        """
        return [
            logical_id
            for logical_id in in_dependency_order(self._resource_json_map, parameters=self._parsed_resources)
            if self._condition_holds(self._resource_json_map[logical_id])
        ]

    def type_of(self, logical_id: str) -> str:
        """A resource's type."""
        return str(self._resource_json_map[logical_id]["Type"])

    def definition(self, logical_id: str) -> dict[str, Any]:
        """A resource in the template."""
        definition: dict[str, Any] = self._resource_json_map[logical_id]
        return definition

    def deletion_policy(self, logical_id: str) -> str:
        """A resource's DeletionPolicy; Delete for a resource that is not in the template."""
        return str(self._resource_json_map.get(logical_id, {}).get("DeletionPolicy", "Delete"))

    def properties(self, logical_id: str) -> dict[str, Any]:
        """A resource's properties, with functions resolved and the stack's tags added."""
        properties: dict[str, Any] = dict(clean_json(self.definition(logical_id).get("Properties") or {}, self))
        kind = RESOURCE_TYPES.get(self.type_of(logical_id))
        if kind is None or not kind.taggable:
            return properties
        system = {
            "aws:cloudformation:stack-name": self["AWS::StackName"],
            "aws:cloudformation:stack-id": self["AWS::StackId"],
            "aws:cloudformation:logical-id": logical_id,
        }
        resource_tags = {tag["Key"]: tag["Value"] for tag in properties.get("Tags", [])}
        tags = {**self.tags, **resource_tags, **(system if kind.tag_with_stack else {})}
        if tags:
            properties["Tags"] = [{"Key": key, "Value": value} for key, value in tags.items()]
        return properties

    def put(self, logical_id: str, resource: Any) -> None:
        """Add a created resource."""
        self._parsed_resources[logical_id] = resource

    def unsupported_types(self) -> list[str]:
        """The resource types that are not supported."""
        supported = {*RESOURCE_TYPES, *NULL_MODELS, *get_model_map()} - {"AWS::CloudFormation::Stack"}
        types = {str(resource["Type"]) for resource in self._resource_json_map.values()}
        return sorted(name for name in types - supported if not name.startswith("Custom::"))

    def _condition_holds(self, definition: dict[str, Any]) -> bool:
        condition = definition.get("Condition")
        return not condition or bool(self.lazy_condition_map[condition])


@dataclass(slots=True)
class StackResource:
    """A resource of a stack, for DescribeStackResources and for comparison with an update."""

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
        """Its ARN or name; None before it is created."""
        physical_id = getattr(self.resource, "physical_resource_id", None)
        return None if physical_id is None else str(physical_id)

    @property
    def last_updated_timestamp(self) -> datetime:
        """The timestamp, by its name in some responses."""
        return self.timestamp


class BackgroundStack(Stack):  # type: ignore[misc]  # moto is untyped
    """A stack whose operations run in the background.

    Attributes:
        records: Its resources by logical id, in the order of creation.
        busy: Held while an operation runs.
        cancelled: Set when the stack is deleted during its creation.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Parse the template and the parameters without creating resources.

        Raises:
            ServiceException: They are invalid.
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
        """The name, for ListStacks."""
        return str(self.name)

    @property
    def stack_status(self) -> str:
        """The status, for ListStacks."""
        return str(self.status)

    @property
    def outputs(self) -> list[dict[str, Any]] | None:
        """The outputs; None until all resources are created."""
        if not self.status.endswith("_COMPLETE") or self.status in ("ROLLBACK_COMPLETE", "DELETE_COMPLETE"):
            return None
        outputs: list[dict[str, Any]] | None = super().outputs
        return outputs

    @property
    def stack_resources(self) -> Any:
        """The records of the resources."""
        return list(self.records.values())

    def verify_readiness(self) -> None:
        """Do nothing: the operation that creates a custom resource waits for its response."""

    def resources_of(self, template: str, parameters: dict[str, Any], tags: dict[str, str]) -> Resources:
        """The resources of a template in this stack, including those that are already created.

        Raises:
            ServiceException: The template or the parameters are invalid.
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
        """Switch to a new template."""
        self.template, self.parameters, self.tags = template, parameters, tags
        self.template_dict = self.parse_template(template)
        self.description = self.template_dict.get("Description")
        self.resource_map = resources
        self.output_map = OutputMap(resources, self.template_dict, self.stack_id)

    def enter(self, status: str, reason: str | None = None) -> None:
        """Set the status of the stack, and record the event."""
        self.status, self.stack_status_reason = status, reason
        self._add_stack_event(status, resource_status_reason=reason)

    def enter_resource(self, record: StackResource, status: str, reason: str | None = None) -> None:
        """Set the status of a resource, and record the event."""
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
