"""Creates, updates and deletes the SageMaker resources of a stack through the service's API."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from botocore import xform_name
from moto.core.utils import get_service_model
from moto.sagemaker.exceptions import SagemakerClientError
from moto.utilities.utils import get_partition

from localaws.services.cloudformation.property_types import InvalidProperty, typed
from localaws.services.cloudformation.sagemaker_types import SAGEMAKER_TYPES, SageMakerType
from localaws.services.cloudformation.service_resources import Properties, ResourceFailed, ServiceResource

if TYPE_CHECKING:
    from localaws.services.sagemaker.api import SageMaker

__all__ = ["SageMakerResources"]

_SageMakerResource = ServiceResource[SageMakerType]
_SETTLED = ("InService", "Failed")


class SageMakerResources:
    """The handlers of SageMaker's resource types, in one account and region."""

    def __init__(
        self,
        control_plane: "type[SageMaker]",
        account_id: str,
        region: str,
        wait_until: Callable[[Callable[[], bool]], None],
    ) -> None:
        """Prepare the handlers.

        Args:
            control_plane: The service's API.
            account_id: The account of the stack.
            region: The region of the stack.
            wait_until: Blocks until a condition holds.
        """
        self._control_plane = control_plane
        self._account_id = account_id
        self._region = region
        self._wait_until = wait_until

    def create(self, type_name: str, name: str, properties: Properties) -> _SageMakerResource:
        """Create a resource, which may be stable only after :meth:`stabilize`.

        Raises:
            ResourceFailed: SageMaker returns an error.
        """
        kind = SAGEMAKER_TYPES[type_name]
        values = {**self._typed(kind, properties), kind.name_property: name}
        members = _members(f"Create{kind.noun}")
        response = self._call(f"Create{kind.noun}", {key: value for key, value in values.items() if key in members})
        return ServiceResource(kind, name, response[kind.arn_member], lambda: self._describe(kind, name))

    def update(self, resource: _SageMakerResource, old: Properties, new: Properties) -> None:
        """Update a resource and wait until it is stable.

        Raises:
            ResourceFailed: SageMaker returns an error, the property cannot be updated, or the update was rolled back.
        """
        kind = resource.kind
        before, after = self._typed(kind, old), self._typed(kind, new)
        self._update_tags(resource, before.pop("Tags", []), after.pop("Tags", []))
        changed = {key for key in kind.properties if before.get(key) != after.get(key)} - {"Tags"}
        if not changed:
            return
        members = _members(f"Update{kind.noun}") if kind.updatable else {}
        fixed = sorted(changed - members.keys())
        if fixed:
            raise ResourceFailed.by_handler(f"{fixed[0]} cannot be updated.", "NotUpdatable")
        request = {key: after[key] for key in changed | {"DeploymentConfig"} if key in after}
        required = _required(f"Update{kind.noun}")
        request |= {key: after[key] for key in required if key in after}
        self._call(f"Update{kind.noun}", {**request, kind.name_property: resource.name})
        self.stabilize(resource)

    def stabilize(self, resource: _SageMakerResource) -> None:
        """Wait until a resource is stable.

        Raises:
            ResourceFailed: The resource failed or was rolled back.
        """
        kind = resource.kind
        if kind.status is None:
            return
        self._wait_until(lambda: self._describe(kind, resource.name)[str(kind.status)] in _SETTLED)
        description = self._describe(kind, resource.name)
        if description.get("FailureReason") or description[kind.status] == "Failed":
            raise ResourceFailed.by_handler(description.get("FailureReason", "Failed"), "NotStabilized")

    def delete(self, resource: _SageMakerResource) -> None:
        """Delete a resource and wait until it is deleted; a missing resource is ignored.

        Raises:
            ResourceFailed: SageMaker returns an error.
        """
        kind = resource.kind
        if kind.status is not None:
            self._wait_until(lambda: self._status(resource) in (*_SETTLED, None, "Deleting"))
        if self._status(resource) not in (None, "Deleting"):
            self._call(f"Delete{kind.noun}", {kind.name_property: resource.name})
        self._wait_until(lambda: self._status(resource) is None)

    def _status(self, resource: _SageMakerResource) -> str | None:
        """The status (``Exists`` for types without one); None for a missing resource."""
        try:
            description = self._describe(resource.kind, resource.name)
        except ResourceFailed:
            return None
        return str(description[resource.kind.status]) if resource.kind.status else "Exists"

    def _describe(self, kind: SageMakerType, name: str) -> Properties:
        return self._call(f"Describe{kind.noun}", {kind.name_property: name})

    def _update_tags(self, resource: _SageMakerResource, old: list[Properties], new: list[Properties]) -> None:
        arn, remaining = resource.physical_resource_id, {tag["Key"] for tag in new}
        removed = [tag["Key"] for tag in old if tag["Key"] not in remaining]
        if removed:
            self._call("DeleteTags", {"ResourceArn": arn, "TagKeys": removed})
        if new and new != old:
            self._call("AddTags", {"ResourceArn": arn, "Tags": new})

    def _typed(self, kind: SageMakerType, properties: Properties) -> Properties:
        """The properties in the types of the API.

        Raises:
            ResourceFailed: A property is unknown or has the wrong type.
        """
        members = _members(f"Create{kind.noun}")
        if kind.updatable:
            members = {**_members(f"Update{kind.noun}"), **members}
        unknown = sorted(properties.keys() - kind.properties)
        if unknown:
            raise ResourceFailed.by_schema(f"#: extraneous key [{unknown[0]}] is not permitted")
        try:
            return {key: typed(members[key], value, f"#/{key}") for key, value in properties.items() if key in members}
        except InvalidProperty as error:
            raise ResourceFailed.by_schema(str(error)) from error

    def _call(self, operation: str, request: Properties) -> Properties:
        """Call SageMaker.

        Raises:
            ResourceFailed: SageMaker returns an error.
        """
        api = self._control_plane()
        api.current_account, api.region = self._account_id, self._region
        api.partition = get_partition(self._region)
        api.headers, api.querystring = {"X-Amz-Target": f"SageMaker.{operation}"}, {}
        api.params = request
        try:
            result: Properties = getattr(api, xform_name(operation))().result or {}
        except SagemakerClientError as error:
            code = _handler_code(error)
            raise ResourceFailed.by_handler(str(error), code) from error
        except NotImplementedError as error:
            raise ResourceFailed.by_handler(
                f"The local AWS does not implement {error}.", "GeneralServiceException"
            ) from error
        return result


def _handler_code(error: SagemakerClientError) -> str:
    """CloudFormation's handler error code for an error of SageMaker."""
    if error.code == "ResourceLimitExceeded":
        return "ServiceLimitExceeded"
    return "AlreadyExists" if "already existing" in str(error) else "InvalidRequest"


def _members(operation: str) -> dict[str, Any]:
    return dict(get_service_model("sagemaker").operation_model(operation).input_shape.members)


def _required(operation: str) -> list[str]:
    return list(get_service_model("sagemaker").operation_model(operation).input_shape.required_members)
