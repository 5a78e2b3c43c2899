"""What the handlers of every service's resource types have in common."""

import uuid
from collections.abc import Callable, Mapping
from typing import Any, Generic, Protocol, TypeVar

__all__ = ["Properties", "ResourceFailed", "ResourceType", "ServiceResource", "ServiceResources"]

Properties = dict[str, Any]


class ResourceFailed(Exception):
    """A resource that could not be created, updated or deleted; the message is a ResourceStatusReason."""

    @classmethod
    def by_handler(cls, message: str, code: str) -> "ResourceFailed":
        """As CloudFormation words what a resource type's handler says."""
        token = uuid.uuid4()
        return cls(f'Resource handler returned message: "{message}" (RequestToken: {token}, HandlerErrorCode: {code})')

    @classmethod
    def by_schema(cls, message: str) -> "ResourceFailed":
        """As CloudFormation words what breaks a resource type's schema."""
        return cls(f"Properties validation failed for resource with message: {message}")


class ResourceType(Protocol):
    """A resource type: what its published schema says."""

    @property
    def properties(self) -> frozenset[str]:
        """What a template may set."""

    @property
    def create_only(self) -> frozenset[str]:
        """Properties whose change makes CloudFormation replace the resource."""

    @property
    def name_property(self) -> str | None:
        """The property that names the resource; None for what has no name."""

    @property
    def lowercase_name(self) -> bool:
        """Whether names have no capitals."""

    @property
    def taggable(self) -> bool:
        """Whether it has tags."""

    @property
    def tag_with_stack(self) -> bool:
        """Whether the tags aws:cloudformation:* are put on it."""

    @property
    def attribute_names(self) -> frozenset[str]:
        """What Fn::GetAtt takes."""


Kind = TypeVar("Kind", bound=ResourceType)


class ServiceResource(Generic[Kind]):
    """One resource of a stack, for Ref and Fn::GetAtt.

    Attributes:
        kind: Its type.
        name: Its name; its ARN where it has none.
        physical_resource_id: Its ARN: what Ref gives.
    """

    def __init__(self, kind: Kind, name: str, arn: str, describe: Callable[[], Mapping[str, Any]]) -> None:
        """Refer to a resource.

        Args:
            kind: Its type.
            name: Its name.
            arn: Its ARN.
            describe: Asks its service about it: attributes by their names in the template.
        """
        self.kind = kind
        self.name = name
        self.physical_resource_id = arn
        self._describe = describe

    def get_cfn_attribute(self, attribute: str) -> str:
        """What Fn::GetAtt gives."""
        value: Any = self._describe()
        for part in attribute.split("."):
            value = value.get(part, "")
        return str(value)


class ServiceResources(Protocol[Kind]):
    """The handlers of a service's resource types."""

    def create(self, type_name: str, name: str, properties: Properties) -> ServiceResource[Kind]:
        """Create a resource; it may not be there yet: see :meth:`stabilize`.

        Raises:
            ResourceFailed: The service refuses it.
        """

    def stabilize(self, resource: ServiceResource[Kind]) -> None:
        """Block until a resource is there.

        Raises:
            ResourceFailed: It does not come up, or was rolled back.
        """

    def update(self, resource: ServiceResource[Kind], old: Properties, new: Properties) -> None:
        """Change a resource and block until it has changed.

        Raises:
            ResourceFailed: The service refuses it, cannot change that, or went back to what was.
        """

    def delete(self, resource: ServiceResource[Kind]) -> None:
        """Delete a resource and block until it is gone; one that is gone already is no error.

        Raises:
            ResourceFailed: The service refuses it.
        """
