"""Metrics that do not come with a request: how busy each instance is, and that nothing came at all."""

from typing import TYPE_CHECKING

from embedstack.localaws.scalable_variants import variant_resource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from embedstack.localaws.endpoints import Endpoint
    from embedstack.localaws.metrics import MetricRecorder
    from embedstack.localaws.simulated_time import SimulatedTime
    from embedstack.localaws.variants import Variant

__all__ = ["UsageMetrics"]

#: ConcurrentRequestsPerModel comes every ten seconds, others every minute ("Amazon SageMaker AI metrics in Amazon
#: CloudWatch" and "Auto scaling policy overview" in the developer guide).
_CONCURRENCY_SECONDS = 10
_MINUTE = 60


class UsageMetrics:
    """Records them by the local AWS's own time, when the host's clock ticks."""

    def __init__(self, metrics: "MetricRecorder", time: "SimulatedTime") -> None:
        """Prepare for endpoints that come later."""
        self._metrics = metrics
        self._time = time
        self._next_concurrency = self._next_minute = 0.0

    def tick(self, endpoints: "Iterable[Endpoint]", is_scalable_target: "Callable[[str, str, str], bool]") -> None:
        """Record what is due.

        Args:
            endpoints: Those that exist.
            is_scalable_target: Whether Application Auto Scaling looks after a resource, by account, region and id.
        """
        now = self._time.seconds()
        concurrency, minute = now >= self._next_concurrency, now >= self._next_minute
        if not concurrency and not minute:
            return
        if concurrency:
            self._next_concurrency = now + _CONCURRENCY_SECONDS
        if minute:
            self._next_minute = now + _MINUTE
        for endpoint in endpoints:
            deployment = endpoint.traffic.current if endpoint.invocable else None
            for variant in deployment.variants if deployment is not None else ():
                if concurrency and variant.serverless is None:
                    samples = [("ConcurrentRequestsPerModel", float(load)) for load in variant.fleet.loads]
                    self._metrics.record(variant.spec.identity, samples)
                if minute and self._is_autoscaled(variant, is_scalable_target):
                    self._record_silence(variant)

    @staticmethod
    def _is_autoscaled(variant: "Variant", is_scalable_target: "Callable[[str, str, str], bool]") -> bool:
        identity = variant.spec.identity
        resource = variant_resource(identity.endpoint, identity.variant)
        return is_scalable_target(identity.account_id, identity.region, resource)

    def _record_silence(self, variant: "Variant") -> None:
        """A variant that is scaled automatically has its metric at zero when there is no traffic.

        Source: developer guide, "Automatic scaling of SageMaker AI models": for a variant without traffic SageMaker
        emits metrics with a value of zero, so that it scales in to its minimum.
        """
        metric = "InvocationsPerInstance"
        if variant.serverless is not None:
            metric = "ServerlessProvisionedConcurrencyUtilization"
        if variant.fleet.in_flight == 0:
            self._metrics.record(variant.spec.identity, [(metric, 0.0)])
