"""Metrics that do not come with a request: how busy each instance is."""

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
#: Where the metrics of the hosts are.
_HOST_NAMESPACE = "/aws/sagemaker/Endpoints"


class UsageMetrics:
    """Records them by the local AWS's own time, when the host's clock ticks."""

    def __init__(self, metrics: "MetricRecorder", time: "SimulatedTime") -> None:
        """Prepare for endpoints that come later."""
        self._metrics = metrics
        self._time = time
        self._processes = ProcessUsage()
        self._last: dict[int, int] = {}

    def tick(self, endpoints: "Iterable[Endpoint]", components: "Iterable[InferenceComponent]") -> None:
        """Record what is due.

        Args:
            endpoints: Those that exist.
            components: The inference components that exist.
        """
        variants = [
            variant
            for endpoint in endpoints
            if endpoint.invocable and endpoint.traffic.current is not None
            for variant in endpoint.traffic.current.variants
        ]
        if self._is_due(_CONCURRENCY_SECONDS):
            for variant in variants:
                if variant.serverless is None:
                    self._record_concurrency("ConcurrentRequestsPerModel", variant.spec.identity, variant.group)
            for component in components:
                if component.group is not None:
                    self._record_concurrency("ConcurrentRequestsPerCopy", component.spec.identity, component.group)
        if self._is_due(_MINUTE):
            for variant in variants:
                self._record_hosts(variant)
            self._processes.keep_only({pid for variant in variants for pid in variant.group.pids})

    def _is_due(self, period: int) -> bool:
        """Whether another period of so many seconds began: one sample falls into each, however the clock ticks."""
        index = int(self._time.now().timestamp() // period)
        began, self._last[period] = self._last.get(period) != index, index
        return began

    def _record_concurrency(self, metric: str, source: "MetricSource", group: "ContainerGroup") -> None:
        samples = [(metric, float(load)) for load in group.loads]
        self._metrics.record(source, samples, resolution=_CONCURRENCY_SECONDS)

    def _record_hosts(self, variant: "Variant") -> None:
        """What each instance uses of this machine; for a serverless variant SageMaker publishes the memory only."""
        for pid in variant.group.pids:
            usage = self._processes.measure(pid)
            if usage is None:
                continue
            samples = [("CPUUtilization", usage[0]), ("MemoryUtilization", usage[1])]
            published = samples[1:] if variant.serverless is not None else samples
            self._metrics.record(variant.spec.identity, published, namespace=_HOST_NAMESPACE)
