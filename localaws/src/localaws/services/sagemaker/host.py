"""All endpoints of a local AWS, with their life cycles in the background."""

import logging
import re
import threading
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from moto.sagemaker.models import sagemaker_backends

from localaws.core.threads import Ticker, at_the_same_time
from localaws.services.sagemaker.endpoints.capacity import added_instances, check_changes
from localaws.services.sagemaker.endpoints.deployment import Deployment
from localaws.services.sagemaker.endpoints.endpoint import Endpoint, EndpointFailedError, EndpointInProgressError
from localaws.services.sagemaker.endpoints.launch_faults import LaunchFault
from localaws.services.sagemaker.endpoints.scaling import (
    INSTANCE_COUNT,
    PROVISIONED_CONCURRENCY,
    CapacityRefused,
    InstanceCount,
    ProvisionedConcurrency,
    ScalableResource,
)
from localaws.services.sagemaker.endpoints.settings import EndpointSettings
from localaws.services.sagemaker.inference_components.endpoint import ComponentEndpoint
from localaws.services.sagemaker.inference_components.host import COPY_COUNT, ComponentHost
from localaws.services.sagemaker.quotas import ServiceQuotas
from localaws.services.sagemaker.telemetry.data_capture import DataCapture
from localaws.services.sagemaker.usage_meter import endpoint_rates
from localaws.services.sagemaker.usage_metrics import UsageMetrics

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from localaws.config import LocalAwsConfig
    from localaws.core.clock import SimulatedTime
    from localaws.metering.meter import Meter
    from localaws.process.pid_files import PidFiles
    from localaws.services.sagemaker.endpoints.capacity import VariantChange
    from localaws.services.sagemaker.endpoints.variants import Variant
    from localaws.services.sagemaker.inference_components.component import InferenceComponent
    from localaws.services.sagemaker.telemetry.metrics import MetricRecorder

_logger = logging.getLogger(__name__)

#: Finds a scalable resource by account, region and resource id.
ScalableFinder = Callable[[str, str, str], ScalableResource | None]

_VARIANT_RESOURCE = re.compile(r"endpoint/([^/]+)/variant/([^/]+)")


class EndpointHost:
    """Owns every endpoint from creation to deletion, and the threads of their operations."""

    _TICK_SECONDS = 0.25

    def __init__(
        self,
        config: "LocalAwsConfig",
        state_dir: "Path",
        pids: "PidFiles",
        metrics: "MetricRecorder",
        time: "SimulatedTime",
        meter: "Meter",
    ) -> None:
        """Prepare a host without endpoints and start its clock."""
        self.meter = meter
        self.config = config
        self.metrics = metrics
        self.time = time
        self._state_dir = state_dir
        self._pids = pids
        self._endpoints: set[Endpoint] = set()
        self._threads: set[threading.Thread] = set()
        self._lock = threading.Lock()
        self.components = ComponentHost(config, state_dir, pids, metrics, self.run)
        self._scalable_dimensions: dict[str, ScalableFinder] = {
            INSTANCE_COUNT: self._find_instances,
            PROVISIONED_CONCURRENCY: self._find_concurrency,
            COPY_COUNT: self.components.scalable,
        }
        #: Whether a resource id is registered with Application Auto Scaling, by account and region.
        self.is_scalable_target: Callable[[str, str, str], bool] = lambda _account_id, _region, _resource_id: False
        #: The kind and the seconds of the fault of the next launch of instances, or None.
        self.next_launch_fault: Callable[[], tuple[str, float | None] | None] = lambda: None
        self.quotas = ServiceQuotas(config.quotas)
        #: Held from the check of the quotas until the new endpoint counts.
        self._admission = threading.Lock()
        self._usage = UsageMetrics(metrics, time)
        meter.watch(lambda: endpoint_rates(self.endpoints()))
        self._clock = Ticker("endpoint-clock", self._TICK_SECONDS, self._tick)
        self._clock.start()

    def endpoint(self, account_id: str, region: str, name: str) -> Endpoint | None:
        """The endpoint of this name, if there is one."""
        endpoint = sagemaker_backends[account_id][region].endpoints.get(name)
        return endpoint if isinstance(endpoint, Endpoint) else None

    def create(
        self,
        name: str,
        arn: str,
        tags: list[dict[str, str]],
        settings: EndpointSettings,
        deployment_config: dict[str, Any] | None = None,
    ) -> Endpoint:
        """Create an endpoint and start it in the background. The DeploymentConfig is kept for later updates.

        Raises:
            QuotaExceeded: It would exceed a service quota.
        """
        endpoint = self._new_endpoint(name, arn, tags, settings, deployment_config)
        with self._admission:
            self._check_quotas(settings)
            with self._lock:
                self._endpoints.add(endpoint)
        fault = self._launch_fault(settings)
        self.run(lambda: endpoint.run_creation(fault))
        return endpoint

    def update(self, endpoint: Endpoint, settings: EndpointSettings, deployment_config: dict[str, Any] | None) -> None:
        """Move an endpoint to other settings; see :meth:`Endpoint.begin_update` for what else it raises.

        Raises:
            QuotaExceeded: It would exceed a service quota.
        """
        self._check_quotas(settings)
        endpoint.begin_update(deployment_config)
        fault = self._launch_fault(settings)
        self.run(lambda: endpoint.run_update(settings, fault))

    def change_capacity(self, endpoint: Endpoint, changes: "Sequence[VariantChange]") -> None:
        """Change weights and capacities of an endpoint's variants.

        Raises:
            CapacityRefused: An operation has not finished, or the changes are invalid or exceed a service quota; with
                SageMaker's message.
        """
        deployment, fault = endpoint.traffic.current, None
        if deployment is not None:
            reason = check_changes(changes, deployment, scales_to_zero=endpoint.settings.scales_to_zero)
            if reason is not None:
                raise CapacityRefused(reason)
            if added := added_instances(changes, deployment):
                identity = endpoint.settings.variants[0]
                self.quotas.check_instances(identity.account_id, identity.region, self.endpoints(), added)
                fault = self._launch_fault(endpoint.settings)
        try:
            change = endpoint.begin_capacity_change(changes)
        except EndpointInProgressError as error:
            raise CapacityRefused(f'Cannot update in-progress endpoint "{endpoint.arn}".') from error
        except EndpointFailedError as error:
            message = f'Cannot update failed endpoint "{endpoint.arn}": it can only be deleted.'
            raise CapacityRefused(message) from error
        self.run(lambda: endpoint.run_capacity_change(change, fault))

    def scalable(self, account_id: str, region: str, resource_id: str, dimension: str) -> ScalableResource | None:
        """The resource that Application Auto Scaling scales; None if it does not exist."""
        find = self._scalable_dimensions.get(dimension)
        return find(account_id, region, resource_id) if find is not None else None

    def delete(self, endpoint: Endpoint, forget: Callable[[], None]) -> None:
        """Delete an endpoint in the background.

        Args:
            endpoint: The endpoint.
            forget: Called once its containers have stopped and its log is written.

        Raises:
            EndpointInProgressError: Another operation has not finished.
        """
        endpoint.begin_deletion()

        def delete() -> None:
            endpoint.run_deletion()
            for identity in endpoint.settings.variants:
                self.metrics.forget(identity)
            with self._lock:
                self._endpoints.discard(endpoint)
            forget()

        self.run(delete)

    def resume(self, components: "list[InferenceComponent]") -> None:
        """Take over the endpoints and components of another local AWS, and start them. Blocks until then."""
        backends = [backend for _, _, backend in sagemaker_backends.iter_backends()]
        endpoints = [each for backend in backends for each in backend.endpoints.values() if isinstance(each, Endpoint)]
        at_the_same_time([partial(self._resume, endpoint) for endpoint in endpoints])
        self.components.resume(components)

    def _resume(self, endpoint: Endpoint) -> None:
        if isinstance(endpoint, ComponentEndpoint):
            endpoint.resume_empty(self.time, self._abandon(endpoint.endpoint_name, endpoint.settings))
        else:
            endpoint.resume(self._new_deployment, self.config.drain_timeout, self.time)
        with self._lock:
            self._endpoints.add(endpoint)

    @property
    def closed(self) -> bool:
        """Whether the local AWS is stopping."""
        return self._clock.closed

    def endpoints(self) -> list[Endpoint]:
        """All endpoints."""
        with self._lock:
            return list(self._endpoints)

    def close(self) -> None:
        """Stop every container and every thread."""
        self._clock.close(wait=False)
        with self._lock:
            endpoints, threads = set(self._endpoints), set(self._threads)
        stopping = [threading.Thread(target=endpoint.stop, name="stop-endpoint") for endpoint in endpoints]
        stopping.append(threading.Thread(target=self.components.stop, name="stop-components"))
        for thread in stopping:
            thread.start()
        for thread in (*stopping, *threads):
            thread.join()
        self._clock.close()

    def _check_quotas(self, settings: EndpointSettings) -> None:
        """Check a new deployment, which runs beside the old one during an update.

        Raises:
            QuotaExceeded: It would exceed a service quota.
        """
        identity = settings.variants[0]
        self.quotas.check_memory(identity.account_id, identity.region, settings)
        self.quotas.check_instances(identity.account_id, identity.region, self.endpoints(), settings.instances)

    def _launch_fault(self, settings: EndpointSettings) -> LaunchFault | None:
        """The fault of the next launch of instances; serverless endpoints have none."""
        fault = self.next_launch_fault() if settings.instances else None
        return None if fault is None else LaunchFault.of(*fault, settings.variants[0].variant)

    def _new_endpoint(
        self,
        name: str,
        arn: str,
        tags: list[dict[str, str]],
        settings: EndpointSettings,
        deployment_config: dict[str, Any] | None,
    ) -> Endpoint:
        if settings.pools:
            abandon = self._abandon(name, settings)
            return ComponentEndpoint(name, arn, tags, settings, self.time, deployment_config, abandon)
        drain_timeout = self.config.drain_timeout
        return Endpoint(name, arn, tags, settings, self._new_deployment, drain_timeout, self.time, deployment_config)

    def _abandon(self, name: str, settings: EndpointSettings) -> Callable[[], None]:
        """Stops the copies on an endpoint of inference components."""
        hosted_by = settings.pools[0].identity
        return partial(self.components.abandon, hosted_by.account_id, hosted_by.region, name)

    def _new_deployment(self, settings: EndpointSettings, *, empty: bool = False) -> Deployment:
        capture = (
            DataCapture(settings.data_capture, self.time) if settings.data_capture and settings.captures_data else None
        )
        return Deployment(
            settings.config_name,
            settings.specs,
            self.config,
            self._pids,
            self._state_dir,
            empty=empty,
            capture=capture,
        )

    def _find_variant(self, account_id: str, region: str, resource_id: str) -> "tuple[Endpoint, Variant] | None":
        """The variant with the resource id ``endpoint/<name>/variant/<name>``."""
        match = _VARIANT_RESOURCE.fullmatch(resource_id)
        endpoint = self.endpoint(account_id, region, match[1]) if match else None
        if match is None or endpoint is None or endpoint.traffic.current is None:
            return None
        variant = endpoint.traffic.current.find(match[2])
        return (endpoint, variant) if variant is not None else None

    def _find_instances(self, account_id: str, region: str, resource_id: str) -> ScalableResource | None:
        endpoint, variant = self._find_variant(account_id, region, resource_id) or (None, None)
        if endpoint is None or variant is None or variant.serverless is not None:
            return None
        return InstanceCount(endpoint, variant.name, self.change_capacity)

    def _find_concurrency(self, account_id: str, region: str, resource_id: str) -> ScalableResource | None:
        endpoint, variant = self._find_variant(account_id, region, resource_id) or (None, None)
        if endpoint is None or variant is None or variant.serverless is None:
            return None
        return ProvisionedConcurrency(endpoint, variant.name, self.change_capacity)

    def run(self, operation: Callable[[], None]) -> None:
        """Run a long operation in a thread; ``close`` waits for it."""

        def run() -> None:
            try:
                operation()
            finally:
                with self._lock:
                    self._threads.discard(thread)

        thread = threading.Thread(target=run, name="endpoint-operation", daemon=True)
        with self._lock:
            self._threads.add(thread)
        thread.start()

    def _tick(self) -> None:
        endpoints = self.endpoints()
        self.components.tick()
        for endpoint in endpoints:
            try:
                endpoint.tick()
            except Exception:
                # The other endpoints still get their tick.
                _logger.exception("updating the containers of endpoint %s failed", endpoint.endpoint_name)
        self._usage.tick(endpoints, self.components.all())
        self.meter.sample()
