"""Creates, updates and deletes the S3 Vectors resources of a stack through the service's API."""

import json
import uuid
from typing import TYPE_CHECKING, Any

from moto.core.exceptions import ServiceException
from moto.core.utils import get_service_model
from moto.s3vectors.utils import create_vector_bucket_arn

from localaws.services.cloudformation.property_types import InvalidProperty, typed
from localaws.services.cloudformation.s3vectors_types import S3VECTORS_TYPES, S3VectorsType
from localaws.services.cloudformation.service_resources import Properties, ResourceFailed, ServiceResource

if TYPE_CHECKING:
    from collections.abc import Mapping

    from localaws.services.s3vectors.api import S3VectorsApi

__all__ = ["S3VectorsResources"]

_Resource = ServiceResource[S3VectorsType]

# CloudFormation's HandlerErrorCode for an error code (contract of resource providers).
_HANDLER_CODES = {
    "AccessDeniedException": "AccessDenied",
    "NotFoundException": "NotFound",
    "ServiceQuotaExceededException": "ServiceLimitExceeded",
    "TooManyRequestsException": "Throttling",
    "ValidationException": "InvalidRequest",
}
_STATUSES = {"AccessDeniedException": 403, "ConflictException": 409, "NotFoundException": 404}


class S3VectorsResources:
    """The handlers of S3 Vectors' resource types, in one account and region."""

    def __init__(self, api: "type[S3VectorsApi]", account_id: str, region: str) -> None:
        """Prepare the handlers.

        Args:
            api: The service's API.
            account_id: The account of the stack.
            region: The region of the stack.
        """
        self._api = api
        self._account_id = account_id
        self._region = region

    def create(self, type_name: str, name: str, properties: Properties) -> _Resource:
        """Create a resource.

        Raises:
            ResourceFailed: S3 Vectors returns an error.
        """
        kind = S3VECTORS_TYPES[type_name]
        named = {kind.name_property: name} if kind.name_property else {}
        request, tags = _request(kind, {**properties, **named})
        user_tags, system_tags = _split_tags(tags)
        if user_tags:
            request["tags"] = user_tags
        response = self._call(kind.create, request)
        arn = response.get(_member(kind.arn)) or self._bucket_arn(request)
        if system_tags:
            self._api.service.backend(self._account_id, self._region).add_system_tags(arn, system_tags)
        return ServiceResource(kind, name if named else arn, arn, lambda: self._attributes(kind, arn))

    def stabilize(self, resource: _Resource) -> None:
        """Return immediately: resources are created synchronously."""

    def update(self, resource: _Resource, old: Properties, new: Properties) -> None:
        """Change a resource's tags, an index's text search configurations, or a bucket's policy.

        Raises:
            ResourceFailed: S3 Vectors returns an error.
        """
        kind, arn = resource.kind, resource.physical_resource_id
        request, tags = _request(kind, new)
        if not kind.taggable:
            self._call(kind.create, request)
            return
        self._update_text_search(arn, _text_search(_request(kind, old)[0]), _text_search(request))
        tags, old_tags = _split_tags(tags)[0], _split_tags(_tags(old))[0]
        removed = sorted(old_tags.keys() - tags.keys())
        if removed:
            self._call("UntagResource", {"resourceArn": arn, "tagKeys": removed})
        if tags and tags != old_tags:
            self._call("TagResource", {"resourceArn": arn, "tags": tags})

    def _update_text_search(self, arn: str, old: dict[str, Any], new: dict[str, Any]) -> None:
        """Delete and add text search configurations, by metadata key; another language is both."""
        deleted = [{"metadataKey": key} for key in old if old[key] != new.get(key)]
        added = [new[key] for key in new if new[key] != old.get(key)]
        for member, configurations in (("delete", deleted), ("add", added)):
            if configurations:
                request = {"indexArn": arn, member: {"textSearchConfigurations": configurations}}
                self._call("UpdateMetadataConfiguration", request)

    def delete(self, resource: _Resource) -> None:
        """Delete a resource; a missing resource is ignored.

        Raises:
            ResourceFailed: S3 Vectors returns an error, as for a vector bucket with indexes.
        """
        if self._exists(resource):
            self._call(resource.kind.delete, {_member(resource.kind.arn): resource.physical_resource_id})

    def _exists(self, resource: _Resource) -> bool:
        try:
            self._read(resource.kind, resource.physical_resource_id)
        except ServiceException:
            return False
        return True

    def _attributes(self, kind: S3VectorsType, arn: str) -> dict[str, Any]:
        if not kind.taggable:
            return {kind.arn: arn}
        (description,) = self._read(kind, arn).values()
        return {kind.arn: arn, "CreationTime": f"{description.creation_time:%Y-%m-%dT%H:%M:%SZ}"}

    def _bucket_arn(self, request: dict[str, Any]) -> str:
        arn = request.get("vectorBucketArn")
        return str(arn or create_vector_bucket_arn(self._account_id, self._region, request["vectorBucketName"]))

    def _read(self, kind: S3VectorsType, arn: str) -> dict[str, Any]:
        return self._api.call(self._account_id, self._region, kind.read, {_member(kind.arn): arn})

    def _call(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        """Call S3 Vectors.

        Raises:
            ResourceFailed: S3 Vectors returns an error.
        """
        try:
            return self._api.call(self._account_id, self._region, operation, request)
        except ServiceException as error:
            if error.code == "ConflictException":
                code = "AlreadyExists" if operation.startswith("Create") else "ResourceConflict"
            else:
                code = _HANDLER_CODES.get(error.code, "GeneralServiceException")
            status = _STATUSES.get(error.code, 400)
            origin = f"(Service: S3Vectors, Status Code: {status}, Request ID: {uuid.uuid4()})"
            raise ResourceFailed.by_handler(f"{error.message} {origin}", code) from error


def _request(kind: S3VectorsType, properties: Properties) -> tuple[dict[str, Any], dict[str, str]]:
    """The members of the API request, and the tags.

    Raises:
        ResourceFailed: A property is unknown or missing, or has the wrong type.
    """
    missing = [name for name in kind.required if name not in properties]
    unknown = sorted(properties.keys() - kind.properties)
    if missing or unknown:
        problem = (
            f"required key [{missing[0]}] not found" if missing else f"extraneous key [{unknown[0]}] is not permitted"
        )
        raise ResourceFailed.by_schema(f"#: {problem}")
    members: Mapping[str, Any] = getattr(
        get_service_model("s3vectors").operation_model(kind.create).input_shape, "members", {}
    )
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
    if any("status" in configuration for configuration in _text_search(request).values()):
        # A member of the API's responses only.
        raise ResourceFailed.by_schema("#/MetadataConfiguration: extraneous key [Status] is not permitted")
    return request, _tags(properties)


def _text_search(request: dict[str, Any]) -> dict[str, Any]:
    """The text search configurations of CreateIndex, by metadata key."""
    configurations = (request.get("metadataConfiguration") or {}).get("textSearchConfigurations") or []
    return {configuration.get("metadataKey"): configuration for configuration in configurations}


def _tags(properties: Properties) -> dict[str, str]:
    return {tag["Key"]: str(tag["Value"]) for tag in properties.get("Tags", [])}


def _split_tags(tags: dict[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """A template's tags and AWS's tags."""
    system = {key: value for key, value in tags.items() if key.startswith("aws:")}
    return {key: value for key, value in tags.items() if key not in system}, system


def _policy(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _member(key: str) -> str:
    """The API's name of a property."""
    return key[0].lower() + key[1:]
