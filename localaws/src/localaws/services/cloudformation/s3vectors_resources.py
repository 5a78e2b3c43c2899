"""Creates, updates and deletes S3 Vectors' resources for a stack, through the same operations as its API."""

import json
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from localaws.services.cloudformation.property_types import InvalidProperty, typed
from localaws.services.cloudformation.s3vectors_types import S3VECTORS_TYPES, S3VectorsType
from localaws.services.cloudformation.service_resources import Properties, ResourceFailed, ServiceResource
from localaws.services.s3vectors.refusals import Refusal
from localaws.services.s3vectors.request_checks import operation_model

if TYPE_CHECKING:
    from collections.abc import Mapping

    from localaws.services.s3vectors.buckets import Caller
    from localaws.services.s3vectors.service import S3Vectors

__all__ = ["S3VectorsResources"]

_Resource = ServiceResource[S3VectorsType]

# What CloudFormation makes of a handler's error ("HandlerErrorCode" of the resource provider's contract).
_HANDLER_CODES = {
    "AccessDeniedException": "AccessDenied",
    "NotFoundException": "NotFound",
    "ServiceQuotaExceededException": "ServiceLimitExceeded",
    "TooManyRequestsException": "Throttling",
    "ValidationException": "InvalidRequest",
}
_SYSTEM = "aws:"


class S3VectorsResources:
    """The handlers of S3 Vectors' resource types, in one account and region."""

    def __init__(self, vectors: "S3Vectors", caller: "Caller") -> None:
        """Prepare the handlers.

        Args:
            vectors: The service.
            caller: Whose stack it is, and where.
        """
        self._vectors = vectors
        self._caller = caller

    def create(self, type_name: str, name: str, properties: Properties) -> _Resource:
        """Create a resource; it is there at once.

        Raises:
            ResourceFailed: S3 Vectors refuses it.
        """
        kind = S3VECTORS_TYPES[type_name]
        named = {kind.name_property: name} if kind.name_property else {}
        request, tags = _request(kind, {**properties, **named})
        own, system = _parted(tags)
        if own:
            request["tags"] = own
        answer = self._call(kind.create, request)
        arn = answer.get(_member(kind.arn)) or self._bucket_arn(request)
        if system:
            self._vectors.control_plane.put_system_tags(self._caller, arn, system)
        return ServiceResource(kind, name if named else arn, arn, lambda: self._attributes(kind, arn))

    def stabilize(self, resource: _Resource) -> None:
        """Nothing: it is there at once."""

    def update(self, resource: _Resource, old: Properties, new: Properties) -> None:
        """Change a resource's tags, or a bucket's policy.

        Raises:
            ResourceFailed: S3 Vectors refuses it.
        """
        kind, arn = resource.kind, resource.physical_resource_id
        request, tags = _request(kind, new)
        if not kind.taggable:
            self._call(kind.create, request)
            return
        own, before = _parted(tags)[0], _parted(_tags(old))[0]
        gone = sorted(before.keys() - own.keys())
        if gone:
            self._call("UntagResource", {"resourceArn": arn, "tagKeys": gone})
        if own and own != before:
            self._call("TagResource", {"resourceArn": arn, "tags": own})

    def delete(self, resource: _Resource) -> None:
        """Delete a resource; one that is gone already is no error.

        Raises:
            ResourceFailed: S3 Vectors refuses it; so it does a vector bucket that has indexes.
        """
        if self._exists(resource):
            self._call(resource.kind.delete, {_member(resource.kind.arn): resource.physical_resource_id})

    def _exists(self, resource: _Resource) -> bool:
        try:
            self._read(resource.kind, resource.physical_resource_id)
        except Refusal:
            return False
        return True

    def _attributes(self, kind: S3VectorsType, arn: str) -> dict[str, Any]:
        if not kind.taggable:
            return {kind.arn: arn}
        (description,) = self._read(kind, arn).values()
        created = datetime.fromtimestamp(description["creationTime"], UTC)
        return {kind.arn: arn, "CreationTime": created.strftime("%Y-%m-%dT%H:%M:%SZ")}

    def _bucket_arn(self, request: dict[str, Any]) -> str:
        arn = request.get("vectorBucketArn")
        return str(arn or self._caller.bucket_arn(request["vectorBucketName"]))

    def _read(self, kind: S3VectorsType, arn: str) -> dict[str, Any]:
        return self._vectors.call(self._caller, kind.read, {_member(kind.arn): arn})

    def _call(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        """Call S3 Vectors as a request of the account would.

        Raises:
            ResourceFailed: It refuses.
        """
        try:
            return self._vectors.call(self._caller, operation, request)
        except Refusal as refusal:
            if refusal.code == "ConflictException":
                code = "AlreadyExists" if operation.startswith("Create") else "ResourceConflict"
            else:
                code = _HANDLER_CODES.get(refusal.code, "GeneralServiceException")
            said = f"(Service: S3Vectors, Status Code: {refusal.status}, Request ID: {uuid.uuid4()})"
            raise ResourceFailed.by_handler(f"{refusal} {said}", code) from refusal


def _request(kind: S3VectorsType, properties: Properties) -> tuple[dict[str, Any], dict[str, str]]:
    """The properties as the API takes them, and the tags.

    Raises:
        ResourceFailed: The resource type does not have them, or needs others.
    """
    missing = [name for name in kind.required if name not in properties]
    unknown = sorted(properties.keys() - kind.properties)
    if missing or unknown:
        problem = (
            f"required key [{missing[0]}] not found" if missing else f"extraneous key [{unknown[0]}] is not permitted"
        )
        raise ResourceFailed.by_schema(f"#: {problem}")
    members: Mapping[str, Any] = getattr(operation_model(kind.create).input_shape, "members", {})
    try:
        request = {
            _member(key): _policy(value)
            if key == "Policy"
            else typed(members[_member(key)], value, f"#/{key}", _member)
            for key, value in properties.items()
            if key != "Tags"
        }
    except InvalidProperty as error:
        raise ResourceFailed.by_schema(str(error)) from error
    return request, _tags(properties)


def _tags(properties: Properties) -> dict[str, str]:
    return {tag["Key"]: str(tag["Value"]) for tag in properties.get("Tags", [])}


def _parted(tags: dict[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """A template's own tags, and those of AWS's own."""
    system = {key: value for key, value in tags.items() if key.startswith(_SYSTEM)}
    return {key: value for key, value in tags.items() if key not in system}, system


def _policy(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _member(key: str) -> str:
    """The API's member for a property."""
    return key[0].lower() + key[1:]
