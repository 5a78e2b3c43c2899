"""InvokeEndpointAsync: the call and its response."""

import json
import re
import uuid
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from moto.core.utils import get_service_model

from localaws.core.request_validation import check_request
from localaws.services.sagemaker.async_inference.queue import DEFAULT_TIMEOUT_SECONDS, DEFAULT_TTL_SECONDS, AsyncRequest
from localaws.services.sagemaker.endpoints.settings import AsyncSettings

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["RequestRefused", "accepted", "read_request"]

#: Largest body that comes with the call (API reference of InvokeEndpointAsync).
_BODY_BYTES = 128_000
#: Headers that the container receives, by member of the call.
_FORWARDED = {
    "ContentType": "Content-Type",
    "Accept": "Accept",
    "CustomAttributes": "X-Amzn-SageMaker-Custom-Attributes",
}


class RequestRefused(Exception):
    """A call is invalid; the message is the ValidationError's."""


def accepted(request: AsyncRequest) -> tuple[int, dict[str, str], bytes]:
    """The response to a call whose request is in the queue: status, headers and body."""
    locations = {
        "X-Amzn-SageMaker-OutputLocation": request.output_location,
        "X-Amzn-SageMaker-FailureLocation": request.failure_location,
    }
    headers = {"Content-Type": "application/json", **{name: value for name, value in locations.items() if value}}
    return 202, headers, json.dumps({"InferenceId": request.inference_id}).encode()


def read_request(
    endpoint: str, headers: "Mapping[str, str]", body: bytes, settings: AsyncSettings, now: datetime
) -> AsyncRequest:
    """Read one call.

    Args:
        endpoint: The endpoint's name.
        headers: The call's headers.
        body: The call's body; empty if the request is in S3.
        settings: The endpoint's AsyncInferenceConfig.
        now: Time of the call.

    Raises:
        RequestRefused: The call is invalid; the message is the ValidationError's.
    """
    members = _members(endpoint, headers)
    location = members.get("InputLocation")
    if bool(location) == bool(body):
        raise RequestRefused("Exactly one of Body and InputLocation must be provided.")
    if len(body) > _BODY_BYTES:
        raise RequestRefused(f"The inline payload must be no more than {_BODY_BYTES} bytes.")
    inference_id = members.get("InferenceId") or str(uuid.uuid4())
    folder = members.get("S3OutputPathExtension", "").strip("/")
    name = members.get("Filename") or f"{inference_id}.out"
    forwarded = {header: members[member] for member, header in _FORWARDED.items() if member in members}
    return AsyncRequest(
        inference_id=inference_id,
        headers={**forwarded, "X-Amzn-SageMaker-Inference-Id": inference_id},
        received=now,
        input_location=location,
        body=body,
        output_location=_location(settings.output_path, folder, name),
        failure_location=_location(settings.failure_path, folder, f"{inference_id}-error.out"),
        ttl=timedelta(seconds=members.get("RequestTTLSeconds", DEFAULT_TTL_SECONDS)),
        timeout=members.get("InvocationTimeoutSeconds", DEFAULT_TIMEOUT_SECONDS),
    )


def _members(endpoint: str, headers: "Mapping[str, str]") -> dict[str, Any]:
    """The call's members, validated with the API's model."""
    shape = get_service_model("sagemaker-runtime").operation_model("InvokeEndpointAsync").input_shape
    members: dict[str, Any] = {"EndpointName": endpoint}
    for name, member in shape.members.items():
        value = headers.get(member.serialization.get("name", "")) if name != "EndpointName" else None
        if value is not None and member.type_name == "integer":
            if not re.fullmatch(r"-?\d+", value):
                raise RequestRefused(f"{name} must be a whole number.")
            members[name] = int(value)
        elif value is not None:
            members[name] = value
    message = check_request(shape, members)
    if message is not None:
        raise RequestRefused(message)
    return members


def _location(path: str | None, folder: str, name: str) -> str | None:
    return None if path is None else "/".join(part for part in (path.rstrip("/"), folder, name) if part)
