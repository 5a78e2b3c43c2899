"""Creates, updates and deletes a stack's resources, by a service's handlers or by moto."""

from typing import TYPE_CHECKING, Any

from moto.cloudformation.parsing import (
    NULL_MODELS,
    generate_resource_name,
    parse_and_create_resource,
    parse_and_delete_resource,
    parse_and_update_resource,
)
from moto.core.exceptions import ServiceException

from localaws.services.cloudformation.resource_types import RESOURCE_TYPES, service_of
from localaws.services.cloudformation.service_resources import ResourceFailed, ServiceResource

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from localaws.services.cloudformation.records import BackgroundStack, Resources, StackResource
    from localaws.services.cloudformation.service_resources import ResourceType, ServiceResources

__all__ = ["ResourceHandlers"]

#: Maximum length of the names of SageMaker's and S3 Vectors' resources.
_MAX_NAME = 63


class ResourceHandlers:
    """Handlers for the resources of one stack."""

    def __init__(
        self,
        stack: "BackgroundStack",
        services: "Mapping[str, ServiceResources[Any]]",
        wait_until: "Callable[[Callable[[], bool]], None]",
    ) -> None:
        """Prepare handlers.

        Args:
            stack: The stack.
            services: Handlers of the types that are not moto's, by the service (``AWS::SageMaker``).
            wait_until: Blocks until a condition holds.
        """
        self._stack = stack
        self._services = services
        self._wait_until = wait_until

    def create(self, record: "StackResource", resources: "Resources") -> None:
        """Create a resource and wait until it is stable; the record refers to it as soon as it exists.

        Raises:
            ResourceFailed: The creation failed.
        """
        logical_id = record.logical_resource_id
        if record.resource_type in RESOURCE_TYPES:
            kind, service = RESOURCE_TYPES[record.resource_type], self._services[service_of(record.resource_type)]
            name = record.properties.get(kind.name_property or "") or _generated_name(record, kind)
            record.resource = service.create(record.resource_type, name, record.properties)
            service.stabilize(record.resource)
        elif record.resource_type not in NULL_MODELS:
            record.resource = self._by_moto(
                lambda: parse_and_create_resource(
                    logical_id,
                    resources.definition(logical_id),
                    resources,
                    account_id=self._stack.account_id,
                    region_name=self._stack.region_name,
                )
            )
            if record.resource_type.startswith("Custom::"):
                self._wait_until(record.resource.is_created)

    def update(self, record: "StackResource", properties: dict[str, Any], resources: "Resources") -> None:
        """Update a resource in place and wait until it is stable.

        Raises:
            ResourceFailed: The update failed.
        """
        logical_id = record.logical_resource_id
        if isinstance(record.resource, ServiceResource):
            self._services[service_of(record.resource_type)].update(record.resource, record.properties, properties)
        elif record.resource_type not in NULL_MODELS:
            changed = self._by_moto(
                lambda: parse_and_update_resource(
                    logical_id,
                    resources.definition(logical_id),
                    resources,
                    account_id=self._stack.account_id,
                    region_name=self._stack.region_name,
                )
            )
            record.resource = changed or record.resource
        record.properties = properties

    def delete(self, record: "StackResource") -> None:
        """Delete a resource and wait until it is deleted.

        Raises:
            ResourceFailed: The deletion failed.
        """
        if isinstance(record.resource, ServiceResource):
            self._services[service_of(record.resource_type)].delete(record.resource)
        elif record.resource is not None:
            self._by_moto(lambda: self._delete_by_moto(record))

    def replaces(self, record: "StackResource", properties: dict[str, Any], type_name: str) -> bool:
        """Whether a change replaces the resource.

        Raises:
            ResourceFailed: The replacement would have the same custom name.
        """
        if type_name != record.resource_type:
            return True
        if not isinstance(record.resource, ServiceResource):
            return False
        kind = record.resource.kind
        if all(_property(record.properties, path) == _property(properties, path) for path in kind.create_only):
            return False
        if kind.name_property and properties.get(kind.name_property) == record.resource.name:
            raise ResourceFailed(
                "CloudFormation cannot update a stack when a custom-named resource requires replacing. Rename "
                f"{record.resource.name} and update the stack again."
            )
        return True

    def _delete_by_moto(self, record: "StackResource") -> None:
        account_id, region = self._stack.account_id, self._stack.region_name
        try:
            record.resource.delete(account_id, region)
        except (TypeError, AttributeError):
            definition = {"Type": record.resource_type, "Properties": record.properties}
            parse_and_delete_resource(record.physical_resource_id, definition, account_id, region)

    @staticmethod
    def _by_moto(operation: "Callable[[], Any]") -> Any:
        """Run one of moto's handlers; every exception fails the resource."""
        try:
            return operation()
        except ServiceException as error:
            raise ResourceFailed.by_handler(str(error), "InvalidRequest") from error
        except Exception as error:
            raise ResourceFailed.by_handler(f"{type(error).__name__}: {error}", "InternalFailure") from error


def _property(properties: Any, path: str) -> Any:
    """The property at a path such as ``MetadataConfiguration/NonFilterableMetadataKeys``; None if it is not set."""
    for name in path.split("/"):
        properties = properties.get(name) if isinstance(properties, dict) else None
    return properties


def _generated_name(record: "StackResource", kind: "ResourceType") -> str:
    """A generated name in CloudFormation's format: stack name, logical id and a random suffix."""
    name: str = generate_resource_name(record.resource_type, record.stack_name, record.logical_resource_id)
    name = name[-_MAX_NAME:].lstrip("-")
    return name.lower() if kind.lowercase_name else name
