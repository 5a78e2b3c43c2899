"""Periodic metrics: concurrent requests, and the load of each instance."""

from typing import TYPE_CHECKING

from localaws.process.usage import ProcessUsage

if TYPE_CHECKING:
    from collections.abc import Iterable

    from localaws.core.clock import SimulatedTime
    from localaws.services.sagemaker.containers.group import ContainerGroup
    from localaws.services.sagemaker.endpoints.endpoint import Endpoint
    from localaws.services.sagemaker.endpoints.variants import Variant
    from localaws.services.sagemaker.inference_components.component import InferenceComponent
    from localaws.services.sagemaker.telemetry.metrics import MetricRecorder, MetricSource

__all__ = ["UsageMetrics"]

#: ConcurrentRequestsPerModel and -PerCopy come every ten seconds, others every minute ("Amazon SageMaker AI
#: metrics in Amazon CloudWatch" and "Auto scaling policy overview" in the developer guide).
_CONCURRENCY_SECONDS = 10
_MINUTE = 60
#: CloudWatch's namespace of instance metrics.
_HOST_NAMESPACE = "/aws/sagemaker/Endpoints"


class UsageMetrics:
    """Records the metrics on the local AWS's clock, whenever the host ticks."""

    def __init__(self, metrics: "MetricRecorder", time: "SimulatedTime") -> None:
        """Prepare; nothing is recorded before :meth:`tick`."""
        self._metrics = metrics
        self._time = time
        self._processes = ProcessUsage()
        self._last: dict[int, int] = {}

    def tick(self, endpoints: "Iterable[Endpoint]", components: "Iterable[InferenceComponent]") -> None:
        """Record what is due.

        Args:
            endpoints: All endpoints.
            components: All inference components.
        """
        running = [
            (endpoint, variant)
            for endpoint in endpoints
            if endpoint.invocable and endpoint.traffic.current is not None
            for variant in endpoint.traffic.current.variants
        ]
        variants = [variant for _, variant in running]
        if self._is_due(_CONCURRENCY_SECONDS):
            for endpoint, variant in running:
                # Not among the metrics of asynchronous endpoints ("Monitor asynchronous endpoint", developer guide).
                if variant.serverless is None and endpoint.settings.async_inference is None:
                    self._record_concurrency("ConcurrentRequestsPerModel", variant.spec.identity, variant.group)
            for component in components:
                if component.group is not None:
                    self._record_concurrency("ConcurrentRequestsPerCopy", component.spec.identity, component.group)
        if self._is_due(_MINUTE):
            for variant in variants:
                self._record_hosts(variant)
            self._processes.keep_only({pid for variant in variants for pid in variant.group.pids})

    def _is_due(self, period: int) -> bool:
        """Whether a new period has begun, so that each period gets one sample whatever the clock's speed."""
        index = int(self._time.now().timestamp() // period)
        began, self._last[period] = self._last.get(period) != index, index
        return began

    def _record_concurrency(self, metric: str, source: "MetricSource", group: "ContainerGroup") -> None:
        samples = [(metric, float(load)) for load in group.loads]
        self._metrics.record(source, samples, resolution=_CONCURRENCY_SECONDS)

    def _record_hosts(self, variant: "Variant") -> None:
        """Each instance's use of this machine. SageMaker publishes only the memory of serverless variants."""
        for pid in variant.group.pids:
            usage = self._processes.measure(pid)
            if usage is None:
                continue
            samples = [("CPUUtilization", usage[0]), ("MemoryUtilization", usage[1])]
            published = samples[1:] if variant.serverless is not None else samples
            self._metrics.record(variant.spec.identity, published, namespace=_HOST_NAMESPACE)
