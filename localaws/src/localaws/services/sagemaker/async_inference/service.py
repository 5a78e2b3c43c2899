"""All queues of a local AWS: dispatches requests to instances, and records the backlog in CloudWatch."""

import logging
import threading
import time
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

from localaws.core.threads import Ticker
from localaws.services.sagemaker.async_inference.api import RequestRefused, accepted, read_request
from localaws.services.sagemaker.async_inference.processing import NotNow, RequestProcessor
from localaws.services.sagemaker.async_inference.queue import AsyncRequest, RequestQueue
from localaws.services.sagemaker.endpoints.settings import AsyncSettings
from localaws.services.sagemaker.telemetry.identities import EndpointId

if TYPE_CHECKING:
    from collections.abc import Mapping

    from localaws.services.sagemaker.endpoints.endpoint import Endpoint
    from localaws.services.sagemaker.endpoints.variants import Variant
    from localaws.services.sagemaker.host import EndpointHost

__all__ = ["AsyncInference"]

_logger = logging.getLogger(__name__)
#: Real seconds that a queue pauses after a request without a container.
_PAUSE_SECONDS = 0.2


class AsyncInference:
    """Processes the queues of all asynchronous endpoints, from :meth:`start` to :meth:`close`."""

    #: Real seconds between two checks of waiting and expired requests.
    _TICK_SECONDS = 0.05

    def __init__(self, host: "EndpointHost", queues: "dict[Endpoint, RequestQueue] | None" = None) -> None:
        """Serve the endpoints of a host.

        Args:
            host: The host.
            queues: The requests so far; none by default.
        """
        self._host = host
        self.queues = {} if queues is None else queues
        self._lock = threading.Lock()
        self._processor = RequestProcessor(host.metrics, host.time, host.config.async_payload_bytes)
        self._clock = Ticker("async-inference-clock", self._TICK_SECONDS, self._tick)

    def start(self) -> None:
        """Start processing."""
        self._clock.start()

    def close(self) -> None:
        """Stop taking requests from the queues. Those in progress end with their containers."""
        self._clock.close()

    def invoke(
        self, endpoint: "Endpoint", headers: "Mapping[str, str]", body: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        """InvokeEndpointAsync: queue the request, and start processing it if there is capacity.

        Args:
            endpoint: The endpoint.
            headers: The call's headers.
            body: The call's body.

        Returns:
            Status, headers and body of the response.

        Raises:
            RequestRefused: The endpoint is not asynchronous, or the call is invalid.
        """
        name, settings = endpoint.endpoint_name, endpoint.settings.async_inference
        if settings is None:
            raise RequestRefused(
                f"Endpoint {name} has no AsyncInferenceConfig and can only receive synchronous invocations."
            )
        request = read_request(name, headers, body, settings, self._host.time.now())
        self._queue(endpoint).add(request)
        self._dispatch(endpoint)
        return accepted(request)

    def sample(self, moment: datetime) -> None:
        """Record the backlog of the minute that ends at a moment, also if it is zero."""
        within = moment - timedelta(seconds=1)
        for endpoint in self._endpoints():
            queue = self._queue(endpoint)
            backlog, instances = queue.size, sum(variant.group.current for variant in _variants(endpoint))
            samples: list[tuple[str, float]] = [
                ("ApproximateBacklogSize", backlog),
                ("ApproximateBacklogSizePerInstance", backlog / max(instances, 1)),
                ("ApproximateAgeOfOldestRequest", queue.oldest_age(within)),
                ("HasBacklogWithoutCapacity", float(backlog > 0 and instances == 0)),
            ]
            self._host.metrics.record(_identity(endpoint), samples, at=within)

    def _endpoints(self) -> "list[Endpoint]":
        """The asynchronous endpoints. The queues of deleted ones are dropped."""
        endpoints = [endpoint for endpoint in self._host.endpoints() if endpoint.settings.async_inference is not None]
        with self._lock:
            for endpoint in set(self.queues) - set(endpoints):
                del self.queues[endpoint]
                self._host.metrics.forget(_identity(endpoint))
        return endpoints

    def _queue(self, endpoint: "Endpoint") -> RequestQueue:
        with self._lock:
            return self.queues.setdefault(endpoint, RequestQueue())

    def _dispatch(self, endpoint: "Endpoint") -> None:
        """Start processing as many requests as there is capacity for."""
        settings, queue = endpoint.settings.async_inference, self._queue(endpoint)
        while settings is not None and not self._clock.closed and time.monotonic() >= queue.paused_until:
            variants = {variant.name: variant for variant in _variants(endpoint)}
            for variant in variants.values():
                # No instance exceeds its concurrency.
                variant.group.least_outstanding = True
            capacity = {name: variant.group.current * settings.concurrency for name, variant in variants.items()}
            taken = queue.take(capacity)
            if taken is None:
                return
            request, name = taken
            self._host.run(partial(self._work, endpoint, queue, settings, request, variants[name]))

    def _work(
        self,
        endpoint: "Endpoint",
        queue: RequestQueue,
        settings: AsyncSettings,
        request: AsyncRequest,
        variant: "Variant",
    ) -> None:
        requeue = False
        try:
            self._processor.run(request, variant, settings)
        except NotNow:
            queue.paused_until = time.monotonic() + _PAUSE_SECONDS
            requeue = True
        except Exception:
            _logger.exception("asynchronous request %s failed", request.inference_id)
        finally:
            queue.end(request, variant.name, requeue=requeue)
        self._dispatch(endpoint)

    def _tick(self) -> None:
        now = self._host.time.now()
        for endpoint in self._endpoints():
            settings, queue = endpoint.settings.async_inference, self._queue(endpoint)
            for request in queue.take_expired(now):
                if settings is not None:
                    self._processor.expire(request, settings, endpoint.settings.specs[0].identity)
            self._dispatch(endpoint)


def _variants(endpoint: "Endpoint") -> "list[Variant]":
    """The variants that accept requests."""
    deployment = endpoint.route()
    return deployment.variants if deployment is not None else []


def _identity(endpoint: "Endpoint") -> EndpointId:
    identity = endpoint.settings.specs[0].identity
    return EndpointId(identity.account_id, identity.region, identity.endpoint)
