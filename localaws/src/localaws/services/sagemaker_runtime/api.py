"""InvokeEndpoint, InvokeEndpointWithResponseStream and InvokeEndpointAsync, with the service's limits and errors."""

import json
import time
import uuid
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import unquote

from moto.sagemaker.models import sagemaker_backends
from moto.sagemakerruntime.responses import SageMakerRuntimeResponse

from localaws.core.event_stream import EVENT_STREAM, encode_blob, encode_exception
from localaws.services.sagemaker.async_inference.api import RequestRefused
from localaws.services.sagemaker.containers.container import ContainerFailed
from localaws.services.sagemaker.containers.group import GroupRetired, GroupThrottled, NoCapacity
from localaws.services.sagemaker.containers.process import ContainerGone, InvocationTimeout
from localaws.services.sagemaker.endpoints.deployment import Deployment, UnknownVariant
from localaws.services.sagemaker.endpoints.endpoint import Endpoint
from localaws.services.sagemaker.telemetry.data_capture import CapturedRequest
from localaws.services.sagemaker.telemetry.identities import ComponentId
from localaws.services.sagemaker.telemetry.logs import console_link, log_group_arn
from localaws.services.sagemaker.usage_meter import meter_request
from localaws.services.sagemaker_runtime.component_copies import (
    COMPONENT_HEADER,
    Copies,
    find_copies,
    no_capacity,
)
from localaws.services.sagemaker_runtime.errors import InvocationError
from localaws.services.sagemaker_runtime.metrics import capacity_samples, error_samples

if TYPE_CHECKING:
    from collections.abc import Mapping

    from localaws.services.sagemaker.async_inference.service import AsyncInference
    from localaws.services.sagemaker.containers.group import Lease
    from localaws.services.sagemaker.containers.process import ContainerResponse
    from localaws.services.sagemaker.endpoints.variants import Variant
    from localaws.services.sagemaker.host import EndpointHost
    from localaws.services.sagemaker.telemetry.data_capture import DataCapture

    #: What a request is sent to.
    _Target = Variant | Copies

__all__ = ["ACTIONS", "SERVICE", "SIMPLIFICATIONS", "STREAM_PATH", "SageMakerRuntime"]

SERVICE = "sagemaker-runtime"
ACTIONS = ("InvokeEndpoint", "InvokeEndpointAsync", "InvokeEndpointWithResponseStream")
SIMPLIFICATIONS = {
    "InvokeEndpoint": "No sessions, explanations or multi-container endpoints.",
    "InvokeEndpointAsync": "Notifications do not include the response.",
    "InvokeEndpointWithResponseStream": "The stream starts when the container's response is complete.",
}

#: Headers that SageMaker passes on to the container, and the one that it returns.
_FORWARDED = ("Content-Type", "Accept", "X-Amzn-SageMaker-Custom-Attributes", "X-Amzn-SageMaker-Inference-Id")
_CUSTOM_ATTRIBUTES = "X-Amzn-SageMaker-Custom-Attributes"
#: The path of InvokeEndpointWithResponseStream ends with this; the operation has its own header for Accept.
STREAM_PATH = "/invocations-response-stream"
_STREAM_ACCEPT = "X-Amzn-SageMaker-Accept"
#: Bytes of a payload part, at most.
_PART_BYTES = 64 * 1024
_TARGET_VARIANT = "X-Amzn-SageMaker-Target-Variant"
#: Request headers of unsupported features.
_UNSUPPORTED = {
    "X-Amzn-SageMaker-Target-Container-Hostname": "InvokeEndpoint of a multi-container endpoint",
    "X-Amzn-SageMaker-Enable-Explanations": "InvokeEndpoint with explanations",
    "X-Amzn-SageMaker-Session-Id": "InvokeEndpoint with a session",
}
#: Attempts to send a request if the container dies before it receives it, or the deployment is replaced.
_MAX_ATTEMPTS = 5

_Response = tuple[int, dict[str, str], bytes]


class _StreamTimeout(Exception):
    """A streamed response takes too long; the message is the container's name."""


class SageMakerRuntime(SageMakerRuntimeResponse):  # type: ignore[misc]  # moto is untyped
    """InvokeEndpoint, InvokeEndpointWithResponseStream and InvokeEndpointAsync."""

    host: ClassVar["EndpointHost"]
    async_inference: ClassVar["AsyncInference"]

    def _dispatch(self, request: Any, full_url: str | None = None, headers: Any = None) -> _Response:
        """Handle one HTTP request.

        moto's own method decodes bodies, parses them as forms and inspects the class on every call. Invocations need
        none of this, and it would add to the measured latency of an endpoint.
        """
        del headers
        queued = request.path.endswith("/async-invocations")
        streamed = request.path.endswith(STREAM_PATH)
        for header, feature in _UNSUPPORTED.items():
            if header in request.headers:
                raise NotImplementedError(feature)
        began = time.perf_counter()
        request_id = str(uuid.uuid4())
        self.headers = request.headers
        self.querystring: dict[str, list[str]] = {}
        region = self.get_region_from_url(request, full_url or request.raw_url)
        name = unquote(request.path.split("/")[2])
        try:
            if queued:
                status, response_headers, body = self._enqueue(region, name, request)
            elif streamed:
                status, response_headers, body = self._stream(region, name, request, request_id, began)
            else:
                status, response_headers, body = self._invoke(region, name, request, request_id, began)
        except InvocationError as error:
            status = error.status
            response_headers = {"Content-Type": "application/json", "x-amzn-errortype": error.code}
            body = json.dumps(error.members).encode()
        return status, {**response_headers, "x-amzn-RequestId": request_id}, body

    def _enqueue(self, region: str, name: str, request: Any) -> _Response:
        """InvokeEndpointAsync: responds before the request is processed."""
        account_id = self.get_current_account()
        endpoint = sagemaker_backends[account_id][region].endpoints.get(name)
        if not isinstance(endpoint, Endpoint) or not endpoint.invocable:
            raise _not_found(name, account_id)
        try:
            return self.async_inference.invoke(endpoint, request.headers, request.get_data(cache=False))
        except RequestRefused as error:
            raise InvocationError(400, "ValidationError", {"message": str(error)}) from error

    def _stream(self, region: str, name: str, request: Any, request_id: str, began: float) -> _Response:
        """InvokeEndpointWithResponseStream: the container's response in parts."""
        try:
            status, headers, body = self._invoke(region, name, request, request_id, began, streamed=True)
        except _StreamTimeout as error:
            # A user's report: aws/sagemaker-python-sdk#1119.
            message = f"Your model {error} did not complete sending the inference response in the allotted time."
            event = {"Message": message, "ErrorCode": "ModelInvocationTimeExceeded"}
            return 200, {"Content-Type": EVENT_STREAM}, encode_exception("ModelStreamError", event)
        parts = [body[start : start + _PART_BYTES] for start in range(0, len(body), _PART_BYTES)]
        headers["X-Amzn-SageMaker-Content-Type"] = headers.pop("Content-Type")
        return status, {**headers, "Content-Type": EVENT_STREAM}, b"".join(encode_blob("PayloadPart", p) for p in parts)

    def _invoke(
        self, region: str, name: str, request: Any, request_id: str, began: float, *, streamed: bool = False
    ) -> _Response:
        body = request.get_data(cache=False)
        forwarded = {header: request.headers[header] for header in _FORWARDED if header in request.headers}
        if streamed and _STREAM_ACCEPT in request.headers:
            forwarded["Accept"] = request.headers[_STREAM_ACCEPT]
        account_id = self.get_current_account()
        for _ in range(_MAX_ATTEMPTS):
            variant, capture = self._target(account_id, region, name, request.headers)
            if "X-Amzn-SageMaker-Target-Model" in request.headers:
                message = f"Endpoint {name} is not a multi-model endpoint and does not support target model header."
                raise InvocationError(400, "ValidationError", {"message": message})
            self._check_size(variant, len(body), request_id)
            try:
                status, headers, content = self._send(variant, body, forwarded, began, streamed=streamed)
            except GroupRetired:
                continue  # the endpoint was updated meanwhile
            except ContainerGone as gone:
                if gone.request_sent:
                    raise _process_exited(variant) from gone
            else:
                if capture is not None and not isinstance(variant, Copies):
                    capture.record(_captured(variant, forwarded, body, headers, content))
                return status, headers, content
        raise _process_exited(variant)

    def _target(
        self, account_id: str, region: str, name: str, headers: "Mapping[str, str]"
    ) -> "tuple[_Target, DataCapture | None]":
        """The variant or the copies for a request, and the data capture, if any.

        Raises:
            InvocationError: The endpoint, variant or component does not exist, or has no capacity.
        """
        endpoint = sagemaker_backends[account_id][region].endpoints.get(name)
        if not isinstance(endpoint, Endpoint) or not endpoint.invocable:
            raise _not_found(name, account_id)
        if endpoint.settings.async_inference is not None:
            # "The endpoint can only receive asynchronous invocations" (developer guide, "Asynchronous inference").
            message = f"Endpoint {name} has an AsyncInferenceConfig and can only receive asynchronous invocations."
            raise InvocationError(400, "ValidationError", {"message": message})
        copies = find_copies(self.host, account_id, region, endpoint, headers.get(COMPONENT_HEADER))
        if copies is not None:
            return copies, None
        deployment = endpoint.route()
        if deployment is None:  # the endpoint was deleted meanwhile
            raise _not_found(name, account_id)
        return _choose(deployment, headers.get(_TARGET_VARIANT), name), deployment.capture

    def _send(
        self, variant: "_Target", body: bytes, headers: "Mapping[str, str]", began: float, *, streamed: bool
    ) -> _Response:
        """Send one request to the variant, and record it in CloudWatch.

        Raises:
            _StreamTimeout: A streamed response takes too long.
            InvocationError: The service responds with an error.
            GroupRetired: Nothing was sent: the variant accepts no more requests.
            ContainerGone: The container died; nothing was recorded if the request was not sent.
        """
        try:
            with variant.group.lease() as lease:
                sent = time.perf_counter()
                try:
                    timeout = self.host.config.stream_timeout if streamed else None
                    response = lease.container.invoke(body, headers, self._payload_limit(variant), timeout=timeout)
                except InvocationTimeout as error:
                    self._record(variant, lease, began, sent, status=0)
                    if streamed:
                        raise _StreamTimeout(variant.spec.container.hostname) from error
                    raise _model_error(variant, 0, _timeout_message(variant)) from error
                except ContainerGone as error:
                    if error.request_sent:
                        self._record(variant, lease, began, sent, status=0)
                    raise
                self._record(variant, lease, began, sent, response.status)
                self._meter(variant, len(body), len(response.body or b""), time.perf_counter() - sent)
        except GroupThrottled as error:
            # SageMaker leaves the message of this one empty.
            raise InvocationError(400, "ThrottlingException", {"message": None}) from error
        except NoCapacity as error:
            if not isinstance(variant, Copies):
                raise
            raise no_capacity(self.host, variant.spec) from error
        except ContainerFailed as error:
            self._record_samples(variant, [("Invocations", 1), *error_samples(0)])
            raise _model_error(variant, 0, str(error)) from error
        return _response(variant, response, self._payload_limit(variant))

    def _record(self, variant: "_Target", lease: "Lease", began: float, sent: float, status: int) -> None:
        """Record one invocation. Latencies are in microseconds, as in SageMaker's metrics."""
        now = time.perf_counter()
        samples = [
            ("Invocations", 1.0),
            ("ModelLatency", (now - sent) * 1e6),
            ("OverheadLatency", (sent - began) * 1e6),
            *error_samples(status),
        ]
        if lease.setup_seconds is not None and variant.spec.serverless:
            samples.append(("ModelSetupTime", lease.setup_seconds * 1e6))
        self._record_samples(variant, samples)
        self.host.metrics.record(variant.spec.identity, capacity_samples(variant, lease))

    def _meter(self, variant: "_Target", sent: int, received: int, seconds: float) -> None:
        """Count the request for the bill."""
        identity = variant.spec.identity
        hosted_by = identity.hosted_by if isinstance(identity, ComponentId) else identity
        endpoint = self.host.endpoint(hosted_by.account_id, hosted_by.region, hosted_by.endpoint)
        if endpoint is None:
            return
        serverless = variant.spec.serverless
        memory_mb = serverless["MemorySizeInMB"] if serverless else None
        meter_request(self.host.meter, endpoint, sent=sent, received=received, memory_mb=memory_mb, seconds=seconds)

    def _record_samples(self, variant: "_Target", samples: list[tuple[str, float]]) -> None:
        """Record for the variant and, if there is one, for the component."""
        identity = variant.spec.identity
        if isinstance(identity, ComponentId):
            self.host.metrics.record(identity.hosted_by, samples)
        self.host.metrics.record(identity, samples)

    def _payload_limit(self, variant: "_Target") -> int:
        config = self.host.config
        return config.serverless_payload_bytes if variant.spec.serverless else config.instance_payload_bytes

    def _check_size(self, variant: "_Target", size: int, request_id: str) -> None:
        if size > self._payload_limit(variant):
            raise InvocationError(400, "ValidationError", {"message": f"Request {request_id} has oversize body."})


def _not_found(endpoint: str, account_id: str) -> InvocationError:
    message = f"Endpoint {endpoint} of account {account_id} not found."
    return InvocationError(400, "ValidationError", {"message": message})


def _choose(deployment: Deployment, target: str | None, endpoint: str) -> "Variant":
    try:
        return deployment.choose(target)
    except UnknownVariant as error:
        message = f"Variant {target} of endpoint {endpoint} not found."
        raise InvocationError(400, "ValidationError", {"message": message}) from error


def _captured(
    variant: "Variant", headers: "Mapping[str, str]", body: bytes, response_headers: "Mapping[str, str]", content: bytes
) -> CapturedRequest:
    return CapturedRequest(
        variant.spec.identity,
        headers.get("Content-Type", "application/octet-stream"),
        body,
        response_headers["Content-Type"],
        content,
        headers.get("X-Amzn-SageMaker-Inference-Id"),
        headers.get(_CUSTOM_ATTRIBUTES),
    )


def _response(variant: "_Target", response: "ContainerResponse", limit: int) -> _Response:
    if response.body is None:
        raise _model_error(variant, 0, f"The response of the model is larger than {limit} bytes.")
    if not 200 <= response.status < 300:
        raise _model_error(variant, response.status, response.body.decode("utf-8", errors="replace"))
    headers = {
        "Content-Type": response.headers.get("Content-Type", "application/octet-stream"),
        "x-Amzn-Invoked-Production-Variant": variant.spec.identity.variant,
    }
    if _CUSTOM_ATTRIBUTES in response.headers:
        headers[_CUSTOM_ATTRIBUTES] = response.headers[_CUSTOM_ATTRIBUTES]
    return 200, headers, response.body


def _model_error(variant: "_Target", status: int, original: str, container: str | None = None) -> InvocationError:
    """ModelError: the container responded with an error (its status), or did not respond (0)."""
    side = "client" if 400 <= status < 500 else "server"
    identity = variant.spec.identity
    name = container or variant.spec.container.hostname
    members = {
        "ErrorCode": "CLIENT_ERROR_FROM_MODEL" if side == "client" else "INTERNAL_FAILURE_FROM_MODEL",
        "LogStreamArn": log_group_arn(identity),
        "Message": f'Received {side} error ({status}) from {name} with message "{original}". {console_link(identity)}',
        "OriginalMessage": original,
        "OriginalStatusCode": status,
    }
    return InvocationError(424, "ModelError", members)


def _process_exited(variant: "_Target") -> InvocationError:
    return _model_error(
        variant, 0, "An error occurred while handling request as the model process exited.", container="model"
    )


def _timeout_message(variant: "_Target") -> str:
    return (
        f"Your invocation timed out while waiting for a response from container {variant.spec.container.hostname}. "
        "Review the latency metrics for each container in Amazon CloudWatch, resolve the issue, and try again."
    )
