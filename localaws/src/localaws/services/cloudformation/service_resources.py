"""The interface of the handlers of a service's resource types."""

import uuid
from collections.abc import Callable, Mapping
from typing import Any, Generic, Protocol, TypeVar

__all__ = ["Properties", "ResourceFailed", "ResourceType", "ServiceResource", "ServiceResources"]

Properties = dict[str, Any]


class ResourceFailed(Exception):
    """The creation, update or deletion of a resource failed; the message is a ResourceStatusReason."""

    @classmethod
    def by_handler(cls, message: str, code: str) -> "ResourceFailed":
        """An error of a resource type's handler, in CloudFormation's words."""
        token = uuid.uuid4()
        return cls(f'Resource handler returned message: "{message}" (RequestToken: {token}, HandlerErrorCode: {code})')

    @classmethod
    def by_schema(cls, message: str) -> "ResourceFailed":
        """A violation of a resource type's schema, in CloudFormation's words."""
        return cls(f"Properties validation failed for resource with message: {message}")


class ResourceType(Protocol):
    """A resource type, from its published schema."""

    @property
    def properties(self) -> frozenset[str]:
        """The properties that a template may set."""

    @property
    def create_only(self) -> frozenset[str]:
        """Properties whose change makes CloudFormation replace the resource."""

    @property
    def name_property(self) -> str | None:
        """The property that names the resource; None without a name."""

    @property
    def lowercase_name(self) -> bool:
        """Whether names are lowercase."""

    @property
    def taggable(self) -> bool:
        """Whether it has tags."""

    @property
    def tag_with_stack(self) -> bool:
        """Whether the resource gets the tags aws:cloudformation:*."""

    @property
    def attribute_names(self) -> frozenset[str]:
        """The attributes for Fn::GetAtt."""


Kind = TypeVar("Kind", bound=ResourceType)


class ServiceResource(Generic[Kind]):
    """One resource of a stack, for Ref and Fn::GetAtt.

    Attributes:
        kind: Its type.
        name: Its name; its ARN if it has no name.
        physical_resource_id: Its ARN, the value of Ref.
    """

    def __init__(self, kind: Kind, name: str, arn: str, describe: Callable[[], Mapping[str, Any]]) -> None:
        """Refer to a resource.

        Args:
            kind: Its type.
            name: Its name.
            arn: Its ARN.
            describe: Returns its attributes by their names in the template.
        """
        self.kind = kind
        self.name = name
        self.physical_resource_id = arn
        self._describe = describe

    def get_cfn_attribute(self, attribute: str) -> str:
        """The value of Fn::GetAtt."""
        value: Any = self._describe()
        for part in attribute.split("."):
            value = value.get(part, "")
        return str(value)


class ServiceResources(Protocol[Kind]):
    """The handlers of a service's resource types."""

    def create(self, type_name: str, name: str, properties: Properties) -> ServiceResource[Kind]:
        """Create a resource, which may be stable only after :meth:`stabilize`.

        Raises:
            ResourceFailed: The service returns an error.
        """

    def stabilize(self, resource: ServiceResource[Kind]) -> None:
        """Wait until a resource is stable.

        Raises:
            ResourceFailed: The resource failed or was rolled back.
        """

    def update(self, resource: ServiceResource[Kind], old: Properties, new: Properties) -> None:
        """Update a resource and wait until it is stable.

        Raises:
            ResourceFailed: The service returns an error, or the resource was rolled back.
        """

    def delete(self, resource: ServiceResource[Kind]) -> None:
        """Delete a resource and wait until it is deleted; a missing resource is ignored.

        Raises:
            ResourceFailed: The service returns an error.
        """
