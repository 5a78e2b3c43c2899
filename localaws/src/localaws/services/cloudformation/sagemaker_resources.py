"""Creates, updates and deletes SageMaker's resources for a stack, through the same control plane as its API."""

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
            control_plane: SageMaker's actions.
            account_id: Whose stack it is.
            region: Where it is.
            wait_until: Blocks until a condition holds; raises ResourceFailed when that is given up.
        """
        self._control_plane = control_plane
        self._account_id = account_id
        self._region = region
        self._wait_until = wait_until

    def create(self, type_name: str, name: str, properties: Properties) -> _SageMakerResource:
        """Create a resource; it may not be there yet: see :meth:`stabilize`.

        Raises:
            ResourceFailed: SageMaker refuses it.
        """
        kind = SAGEMAKER_TYPES[type_name]
        wanted = {**self._typed(kind, properties), kind.name_property: name}
        members = _members(f"Create{kind.noun}")
        answer = self._call(f"Create{kind.noun}", {key: value for key, value in wanted.items() if key in members})
        return ServiceResource(kind, name, answer[kind.arn_member], lambda: self._describe(kind, name))

    def update(self, resource: _SageMakerResource, old: Properties, new: Properties) -> None:
        """Change a resource and block until it has changed.

        Raises:
            ResourceFailed: SageMaker refuses it, cannot change that, or went back to what was.
        """
        kind = resource.kind
        before, wanted = self._typed(kind, old), self._typed(kind, new)
        self._update_tags(resource, before.pop("Tags", []), wanted.pop("Tags", []))
        changed = {key for key in kind.properties if before.get(key) != wanted.get(key)} - {"Tags"}
        if not changed:
            return
        members = _members(f"Update{kind.noun}") if kind.updatable else {}
        fixed = sorted(changed - members.keys())
        if fixed:
            raise ResourceFailed.by_handler(f"{fixed[0]} cannot be updated.", "NotUpdatable")
        sent = {key: wanted[key] for key in changed | {"DeploymentConfig"} if key in wanted}
        required = _required(f"Update{kind.noun}")
        sent |= {key: wanted[key] for key in required if key in wanted}
        self._call(f"Update{kind.noun}", {**sent, kind.name_property: resource.name})
        self.stabilize(resource)

    def stabilize(self, resource: _SageMakerResource) -> None:
        """Block until a resource is there.

        Raises:
            ResourceFailed: It does not come up, or was rolled back.
        """
        kind = resource.kind
        if kind.status is None:
            return
        self._wait_until(lambda: self._describe(kind, resource.name)[str(kind.status)] in _SETTLED)
        found = self._describe(kind, resource.name)
        if found.get("FailureReason") or found[kind.status] == "Failed":
            raise ResourceFailed.by_handler(found.get("FailureReason", "Failed"), "NotStabilized")

    def delete(self, resource: _SageMakerResource) -> None:
        """Delete a resource and block until it is gone; one that is gone already is no error.

        Raises:
            ResourceFailed: SageMaker refuses it.
        """
        kind = resource.kind
        if kind.status is not None:
            self._wait_until(lambda: self._status(resource) in (*_SETTLED, None, "Deleting"))
        if self._status(resource) not in (None, "Deleting"):
            self._call(f"Delete{kind.noun}", {kind.name_property: resource.name})
        self._wait_until(lambda: self._status(resource) is None)

    def _status(self, resource: _SageMakerResource) -> str | None:
        """Its status (``there`` for what has none); None when it is gone."""
        try:
            found = self._describe(resource.kind, resource.name)
        except ResourceFailed:
            return None
        return str(found[resource.kind.status]) if resource.kind.status else "there"

    def _describe(self, kind: SageMakerType, name: str) -> Properties:
        return self._call(f"Describe{kind.noun}", {kind.name_property: name})

    def _update_tags(self, resource: _SageMakerResource, old: list[Properties], new: list[Properties]) -> None:
        arn, kept = resource.physical_resource_id, {tag["Key"] for tag in new}
        gone = [tag["Key"] for tag in old if tag["Key"] not in kept]
        if gone:
            self._call("DeleteTags", {"ResourceArn": arn, "TagKeys": gone})
        if new and new != old:
            self._call("AddTags", {"ResourceArn": arn, "Tags": new})

    def _typed(self, kind: SageMakerType, properties: Properties) -> Properties:
        """The properties, in the types of the API.

        Raises:
            ResourceFailed: The resource type does not have them.
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
        """Call SageMaker's control plane as a request of the account would.

        Raises:
            ResourceFailed: It refuses.
        """
        plane = self._control_plane()
        plane.current_account, plane.region = self._account_id, self._region
        plane.partition = get_partition(self._region)
        plane.headers, plane.querystring = {"X-Amz-Target": f"SageMaker.{operation}"}, {}
        plane.params = request
        try:
            result: Properties = getattr(plane, xform_name(operation))().result or {}
        except SagemakerClientError as error:
            code = "AlreadyExists" if "already existing" in str(error) else "InvalidRequest"
            raise ResourceFailed.by_handler(str(error), code) from error
        except NotImplementedError as error:
            raise ResourceFailed.by_handler(
                f"The local AWS does not implement {error}.", "GeneralServiceException"
            ) from error
        return result


def _members(operation: str) -> dict[str, Any]:
    return dict(get_service_model("sagemaker").operation_model(operation).input_shape.members)


def _required(operation: str) -> list[str]:
    return list(get_service_model("sagemaker").operation_model(operation).input_shape.required_members)
