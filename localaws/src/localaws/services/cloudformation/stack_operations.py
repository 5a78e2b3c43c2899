"""Creation, update and deletion of stacks, with events and rollback."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from moto.core.exceptions import ServiceException

from localaws.core.timestamps import utc_now
from localaws.services.cloudformation.records import StackResource
from localaws.services.cloudformation.resource_handlers import ResourceHandlers
from localaws.services.cloudformation.s3vectors_resources import S3VectorsResources
from localaws.services.cloudformation.sagemaker_resources import SageMakerResources
from localaws.services.cloudformation.service_resources import ResourceFailed, ServiceResources

if TYPE_CHECKING:
    from localaws.services.cloudformation.records import BackgroundStack, Resources
    from localaws.services.s3vectors.api import S3VectorsApi
    from localaws.services.sagemaker.api import SageMaker
    from localaws.services.sagemaker.host import EndpointHost

__all__ = ["StackOperations"]

_POLL_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class _Before:
    """A resource with its properties before an update."""

    record: StackResource
    properties: dict[str, Any]


class _Stopped(Exception):
    """The local AWS is shutting down, or the stack is deleted during its creation."""


class StackOperations:
    """The operations on one stack. Each blocks until it has ended."""

    def __init__(
        self,
        stack: "BackgroundStack",
        control_plane: "type[SageMaker]",
        vectors: "type[S3VectorsApi]",
        host: "EndpointHost",
    ) -> None:
        """Prepare operations.

        Args:
            stack: The stack.
            control_plane: The API of SageMaker.
            vectors: The API of S3 Vectors.
            host: Its state tells when the local AWS is shutting down.
        """
        self._stack = stack
        self._host = host
        self._cancellable = False
        account_id, region = stack.account_id, stack.region_name
        services: dict[str, ServiceResources[Any]] = {
            "AWS::S3Vectors": S3VectorsResources(vectors, account_id, region),
            "AWS::SageMaker": SageMakerResources(control_plane, account_id, region, self._wait_until),
        }
        self._handlers = ResourceHandlers(stack, services, self._wait_until)

    def create(self, on_failure: str, on_success: Callable[[], None]) -> None:
        """Create all resources: CREATE_COMPLETE, or the outcome of ``on_failure``.

        Args:
            on_failure: ROLLBACK, DO_NOTHING or DELETE.
            on_success: Called before the stack is complete.
        """
        stack, resources = self._stack, self._stack.resource_map
        self._cancellable = True
        try:
            for logical_id in resources.logical_ids:
                self._create(logical_id, resources)
            on_success()
        except ResourceFailed as failure:
            self._cancellable = False
            self._end_failed_creation(str(failure), on_failure)
        except _Stopped:
            return
        else:
            stack.enter("CREATE_COMPLETE")

    def update(self, resources: "Resources", adopt: Callable[[], None]) -> None:
        """Update to new resources: UPDATE_COMPLETE, or UPDATE_ROLLBACK_COMPLETE.

        Args:
            resources: The new template's resources, including those that are already created.
            adopt: Called when all resources are updated.
        """
        stack = self._stack
        stack.last_updated_time = utc_now()
        before = {key: _Before(record, record.properties) for key, record in stack.records.items()}
        old_resources = stack.resource_map
        try:
            replaced = self._apply(resources)
            adopt()
        except ResourceFailed as failure:
            stack.enter("UPDATE_ROLLBACK_IN_PROGRESS", str(failure))
            self._roll_back(before)
            return
        except _Stopped:
            return
        stack.enter("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS")
        removed = [record for key, record in stack.records.items() if key not in resources.logical_ids]
        for record in removed:
            del stack.records[record.logical_resource_id]
        try:
            self._delete_all([*removed, *replaced], old_resources)
        except _Stopped:
            return
        stack.enter("UPDATE_COMPLETE")

    def delete(self, forget: Callable[[], None]) -> None:
        """Delete all resources: DELETE_COMPLETE, or DELETE_FAILED.

        Args:
            forget: Called when all resources are deleted.
        """
        stack = self._stack
        try:
            failed = self._delete_all(list(stack.records.values()), stack.resource_map)
        except _Stopped:
            return
        if failed:
            names = ", ".join(failed)
            stack.enter("DELETE_FAILED", f"The following resource(s) failed to delete: [{names}]. ")
            return
        stack.deletion_time = utc_now()
        stack.enter("DELETE_COMPLETE")
        forget()

    def _create(self, logical_id: str, resources: "Resources") -> None:
        """Create one resource.

        Raises:
            ResourceFailed: The creation failed; the message names the resource.
        """
        stack = self._stack
        record = StackResource(
            stack.stack_id,
            stack.name,
            logical_id,
            resources.type_of(logical_id),
            None,
            resources.properties(logical_id),
        )
        stack.records[logical_id] = record
        stack.enter_resource(record, "CREATE_IN_PROGRESS")
        try:
            self._handlers.create(record, resources)
        except ResourceFailed as failure:
            stack.enter_resource(record, "CREATE_FAILED", str(failure))
            raise ResourceFailed(f"The following resource(s) failed to create: [{logical_id}]. ") from failure
        resources.put(logical_id, record.resource)
        stack.enter_resource(record, "CREATE_COMPLETE")

    def _end_failed_creation(self, reason: str, on_failure: str) -> None:
        stack = self._stack
        if on_failure == "DO_NOTHING":
            stack.enter("CREATE_FAILED", reason)
            return
        word = "Delete" if on_failure == "DELETE" else "Rollback"
        status = "DELETE" if on_failure == "DELETE" else "ROLLBACK"
        stack.enter(f"{status}_IN_PROGRESS", f"{reason}{word} requested by user.")
        try:
            failed = self._delete_all(list(stack.records.values()), stack.resource_map)
        except _Stopped:
            return
        stack.enter(f"{status}_FAILED" if failed else f"{status}_COMPLETE")

    def _apply(self, resources: "Resources") -> list[StackResource]:
        """Create new resources and update changed ones; returns the replaced resources.

        Raises:
            ResourceFailed: A resource failed; the message names it.
        """
        replaced = []
        for logical_id in resources.logical_ids:
            record = self._stack.records.get(logical_id)
            if record is None:
                self._create(logical_id, resources)
                continue
            properties, type_name = _resolved(logical_id, resources), resources.type_of(logical_id)
            if properties == record.properties and type_name == record.resource_type:
                continue
            if self._change(record, properties, type_name, resources):
                replaced.append(record)
                self._create(logical_id, resources)
        return replaced

    def _change(
        self, record: StackResource, properties: dict[str, Any], type_name: str, resources: "Resources"
    ) -> bool:
        """Update a resource in place, or return True if it must be replaced.

        Raises:
            ResourceFailed: The update failed; the message names the resource.
        """
        stack = self._stack
        stack.enter_resource(record, "UPDATE_IN_PROGRESS")
        try:
            if self._handlers.replaces(record, properties, type_name):
                stack.enter_resource(
                    record,
                    "UPDATE_IN_PROGRESS",
                    "Requested update requires the creation of a new physical resource; hence creating one.",
                )
                return True
            self._handlers.update(record, properties, resources)
        except ResourceFailed as failure:
            stack.enter_resource(record, "UPDATE_FAILED", str(failure))
            message = f"The following resource(s) failed to update: [{record.logical_resource_id}]. "
            raise ResourceFailed(message) from failure
        resources.put(record.logical_resource_id, record.resource)
        stack.enter_resource(record, "UPDATE_COMPLETE")
        return False

    def _roll_back(self, before: "dict[str, _Before]") -> None:
        """Roll back: restore changed resources, then delete new ones."""
        stack, created = self._stack, []
        try:
            for logical_id, record in list(stack.records.items()):
                old = before.get(logical_id)
                if old is None or old.record is not record:
                    created.append(record)
                elif old.properties != record.properties or record.resource_status == "UPDATE_FAILED":
                    self._restore(old)
            stack.records = {key: old.record for key, old in before.items()}
            stack.enter("UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS")
            self._delete_all(created, stack.resource_map)
        except ResourceFailed as failure:
            stack.enter("UPDATE_ROLLBACK_FAILED", str(failure))
        except _Stopped:
            return
        else:
            stack.enter("UPDATE_ROLLBACK_COMPLETE")

    def _restore(self, old: "_Before") -> None:
        """Restore a resource's old properties, unless it still has them because its update failed.

        Raises:
            ResourceFailed: The restoration failed.
        """
        record = old.record
        self._stack.enter_resource(record, "UPDATE_IN_PROGRESS")
        if old.properties != record.properties:
            self._handlers.update(record, old.properties, self._stack.resource_map)
        self._stack.enter_resource(record, "UPDATE_COMPLETE")

    def _delete_all(self, records: Iterable[StackResource], resources: "Resources") -> list[str]:
        """Delete resources in reverse order; returns the logical ids of those that failed."""
        stack, failed = self._stack, []
        for record in reversed(list(records)):
            if resources.deletion_policy(record.logical_resource_id) == "Retain":
                stack.enter_resource(record, "DELETE_SKIPPED")
                continue
            stack.enter_resource(record, "DELETE_IN_PROGRESS")
            try:
                self._handlers.delete(record)
            except ResourceFailed as failure:
                stack.enter_resource(record, "DELETE_FAILED", str(failure))
                failed.append(record.logical_resource_id)
            else:
                stack.enter_resource(record, "DELETE_COMPLETE")
        return failed

    def _wait_until(self, condition: Callable[[], bool]) -> None:
        """Block until a condition holds.

        Raises:
            _Stopped: The local AWS is shutting down, or the stack is deleted during its creation.
        """
        while not condition():
            if self._host.closed or (self._cancellable and self._stack.cancelled.is_set()):
                raise _Stopped
            time.sleep(_POLL_SECONDS)


def _resolved(logical_id: str, resources: "Resources") -> dict[str, Any]:
    """A resource's properties.

    Raises:
        ResourceFailed: A reference cannot be resolved, such as an export or an attribute.
    """
    try:
        return resources.properties(logical_id)
    except ServiceException as error:
        raise ResourceFailed(str(error)) from error
    except KeyError as error:
        raise ResourceFailed(f"Unresolved reference to {error} in the properties of {logical_id}.") from error
