"""Processes one asynchronous request, from the queue to its response in S3, with metrics and notifications."""

import logging
import time
from typing import TYPE_CHECKING, Any

from localaws.services.sagemaker.async_inference.notifications import message
from localaws.services.sagemaker.async_inference.objects import ObjectError, read_object, write_object
from localaws.services.sagemaker.containers.container import ContainerFailed
from localaws.services.sagemaker.containers.group import GroupRetired, GroupThrottled, NoCapacity
from localaws.services.sagemaker.containers.process import ContainerGone, InvocationTimeout
from localaws.services.sns.topic_delivery import publish

if TYPE_CHECKING:
    from localaws.core.clock import SimulatedTime
    from localaws.services.sagemaker.async_inference.queue import AsyncRequest
    from localaws.services.sagemaker.containers.process import ContainerResponse
    from localaws.services.sagemaker.endpoints.settings import AsyncSettings
    from localaws.services.sagemaker.endpoints.variants import Variant
    from localaws.services.sagemaker.telemetry.identities import VariantId
    from localaws.services.sagemaker.telemetry.metrics import MetricRecorder

__all__ = ["NotNow", "RequestProcessor"]

_logger = logging.getLogger(__name__)
#: A request fails after this many containers have died while they processed it.
_MOST_DEATHS = 3


class NotNow(Exception):
    """The request cannot be processed at the moment: there is no container, or it died."""


class _Failed(Exception):
    """The request failed for good.

    Attributes:
        body: The container's response, if any.
        samples: Metrics of the failure.
    """

    def __init__(self, reason: str, body: bytes = b"", samples: tuple[tuple[str, float], ...] = ()) -> None:
        super().__init__(reason)
        self.body = body
        self.samples = samples


class RequestProcessor:
    """Processes requests. Thread-safe."""

    def __init__(self, metrics: "MetricRecorder", simulated: "SimulatedTime", payload_bytes: int) -> None:
        """Create a processor.

        Args:
            metrics: Recorder of the metrics.
            simulated: The local AWS's clock.
            payload_bytes: Largest request and response.
        """
        self._metrics = metrics
        self._time = simulated
        self._payload_bytes = payload_bytes

    def run(self, request: "AsyncRequest", variant: "Variant", settings: "AsyncSettings") -> None:
        """Process a request until its response or its failure is in S3.

        Raises:
            NotNow: It has to wait; nothing was recorded.
        """
        source = variant.spec.identity
        waited = (self._time.now() - request.received).total_seconds()
        samples: list[tuple[str, float]] = []
        try:
            body = self._download(request, source, samples)
            response = self._invoke(request, variant, body, samples)
            content_type = response.headers.get("Content-Type", "application/octet-stream")
            self._upload(request, settings, source, response.body or b"", content_type, samples)
        except NotNow:
            raise
        except _Failed as failed:
            samples += failed.samples
            self._fail(request, settings, source, str(failed), failed.body)
        except Exception as error:
            # Even after a defect, the request must end with a failure that its sender can find.
            _logger.exception("asynchronous request %s failed", request.inference_id)
            self._fail(request, settings, source, f"InternalServerError: {type(error).__name__}", b"")
        else:
            self._metrics.record(source, [("InvocationFailures", 0)])
            text = message(source.region, source.endpoint, request, self._time.now(), content_type=content_type)
            self._notify(settings.success_topic, text, source)
        took = (self._time.now() - request.received).total_seconds()
        totals = [("InvocationsProcessed", 1), ("TimeInBacklog", waited * 1e6), ("TotalProcessingTime", took * 1e3)]
        self._metrics.record(source, [*samples, *totals])

    def expire(self, request: "AsyncRequest", settings: "AsyncSettings", source: "VariantId") -> None:
        """Fail a request that has waited for too long."""
        self._metrics.record(source, [("ExpiredRequests", 1)])
        reason = "ClientError: The request expired before it was processed."
        self._fail(request, settings, source, reason, b"", status="Expired")

    def _download(self, request: "AsyncRequest", source: "VariantId", samples: list[tuple[str, float]]) -> bytes:
        if request.input_location is None:
            return request.body
        began = time.perf_counter()
        try:
            body = read_object(request.input_location, source.account_id)
        except ObjectError as error:
            reason = f"ClientError: Failed to download the request from {request.input_location}: {error}"
            raise _Failed(reason, samples=(("RequestDownloadFailures", 1),)) from error
        samples.append(("RequestDownloadLatency", (time.perf_counter() - began) * 1e6))
        if len(body) > self._payload_bytes:
            raise _Failed(f"ClientError: The request is larger than {self._payload_bytes} bytes.")
        return body

    def _invoke(
        self, request: "AsyncRequest", variant: "Variant", body: bytes, samples: list[tuple[str, float]]
    ) -> "ContainerResponse":
        try:
            with variant.group.lease() as lease:
                sent = time.perf_counter()
                response = lease.container.invoke(body, request.headers, self._payload_bytes, timeout=request.timeout)
        except (NoCapacity, GroupRetired, GroupThrottled, ContainerFailed) as error:
            raise NotNow from error
        except InvocationTimeout as error:
            raise _Failed(_model_failure(0), samples=_error_samples(0)) from error
        except ContainerGone as error:
            request.deaths += error.request_sent
            if request.deaths < _MOST_DEATHS:
                raise NotNow from error
            raise _Failed(_model_failure(0), samples=_error_samples(0)) from error
        samples.append(("ModelLatency", (time.perf_counter() - sent) * 1e6))
        if response.body is None:
            raise _Failed(f"ClientError: The response of the model is larger than {self._payload_bytes} bytes.")
        if not 200 <= response.status < 300:
            failure, errors = _model_failure(response.status), _error_samples(response.status)
            raise _Failed(failure, response.body, errors)
        samples += _error_samples(response.status)
        return response

    def _upload(
        self,
        request: "AsyncRequest",
        settings: "AsyncSettings",
        source: "VariantId",
        body: bytes,
        content_type: str,
        samples: list[tuple[str, float]],
    ) -> None:
        if request.output_location is None:
            return
        began = time.perf_counter()
        try:
            write_object(request.output_location, source.account_id, body, content_type, settings.kms_key_id)
        except ObjectError as error:
            reason = f"ClientError: Failed to upload the response to {request.output_location}: {error}"
            raise _Failed(reason, samples=(("ResponseUploadFailures", 1),)) from error
        samples.append(("ResponseUploadLatency", (time.perf_counter() - began) * 1e6))

    def _fail(
        self,
        request: "AsyncRequest",
        settings: "AsyncSettings",
        source: "VariantId",
        reason: str,
        body: bytes,
        status: str = "",
    ) -> None:
        """Write the container's response or the reason to the failure location, and notify."""
        self._metrics.record(source, [("InvocationFailures", 1)])
        if request.failure_location is not None:
            content = body or reason.encode()
            try:
                write_object(
                    request.failure_location, source.account_id, content, "application/json", settings.kms_key_id
                )
            except ObjectError as error:
                _logger.warning("the failure of request %s could not be written: %s", request.inference_id, error)
        text = message(source.region, source.endpoint, request, self._time.now(), failure=reason, status=status)
        self._notify(settings.error_topic, text, source)

    def _notify(self, topic: str | None, text: str, source: Any) -> None:
        if topic is None:
            return
        try:
            publish(topic, text, None)
        except Exception as error:  # noqa: BLE001 - must not affect the response
            _logger.warning("notification to %s failed: %s", topic, error)
            self._metrics.record(source, [("NotificationFailures", 1)])


def _model_failure(status: int) -> str:
    blame = "client" if 400 <= status < 500 else "server"
    return (
        f"ClientError: Received {blame} error ({status}) from model. See the SageMaker Endpoint logs in your account "
        "for more information."
    )


def _error_samples(status: int) -> tuple[tuple[str, float], ...]:
    return (
        ("Invocation4XXErrors", float(400 <= status < 500)),
        ("Invocation5XXErrors", float(status == 0 or status >= 500)),
    )
