"""SageMaker's endpoint metrics, recorded into CloudWatch."""

from typing import TYPE_CHECKING, Protocol

from localaws.services.cloudwatch.metric_store import STANDARD_RESOLUTION, MetricId, MetricStore, Series

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from localaws.core.clock import SimulatedTime

NAMESPACE = "AWS/SageMaker"
#: Metrics that are not plain counts, with CloudWatch's unit.
UNITS = {
    "ModelLatency": "Microseconds",
    "OverheadLatency": "Microseconds",
    "ModelSetupTime": "Microseconds",
    "ServerlessConcurrentExecutionsUtilization": "Percent",
    "CPUUtilization": "Percent",
    "MemoryUtilization": "Percent",
    "ApproximateBacklogSize": "Count",
    "ApproximateBacklogSizePerInstance": "Count",
    "ApproximateAgeOfOldestRequest": "Seconds",
    "RequestDownloadFailures": "Count",
    "ResponseUploadFailures": "Count",
    "NotificationFailures": "Count",
    "RequestDownloadLatency": "Microseconds",
    "ResponseUploadLatency": "Microseconds",
    "ExpiredRequests": "Count",
    "InvocationFailures": "Count",
    "InvocationsProcessed": "Count",
    "TimeInBacklog": "Microseconds",
    "TotalProcessingTime": "Milliseconds",
}


class MetricSource(Protocol):
    """Something with metrics; hashable."""

    @property
    def account_id(self) -> str:
        """The account."""

    @property
    def region(self) -> str:
        """The region."""

    @property
    def dimensions(self) -> tuple[tuple[str, str], ...]:
        """CloudWatch's dimensions, as pairs of name and value."""


class MetricRecorder:
    """Adds samples to the running period of each metric.

    Samples are visible immediately. A request costs a few additions under a lock, and memory grows with minutes, not
    with requests.
    """

    def __init__(self, time: "SimulatedTime", store: MetricStore) -> None:
        """Prepare a recorder.

        Args:
            time: The clock for the samples.
            store: The metrics.
        """
        self._time = time
        self._store = store
        self._series: dict[tuple[MetricSource, str, str], Series] = {}

    def record(
        self,
        source: MetricSource,
        samples: "Iterable[tuple[str, float]]",
        *,
        namespace: str = NAMESPACE,
        resolution: int = STANDARD_RESOLUTION,
        at: "datetime | None" = None,
    ) -> None:
        """Add one sample to each named metric of the source.

        Args:
            source: The variant, endpoint or component.
            samples: Pairs of metric name and value; latencies in microseconds, utilisation as a fraction.
            namespace: CloudWatch's namespace, such as ``/aws/sagemaker/Endpoints``.
            resolution: Seconds of a period: 60, or 10 for SageMaker's metrics of high resolution. The first sample
                of a metric decides.
            at: The time of the sample; defaults to now.
        """
        now = (at or self._time.now()).timestamp()
        taken = [(self._series_of(source, namespace, name, resolution), value) for name, value in samples]
        with self._store.lock:
            for series, value in taken:
                series.period(now).add(value)

    def forget(self, source: MetricSource) -> None:
        """Stop tracking a deleted source. As on AWS, its metrics stay in CloudWatch."""
        for key in [key for key in list(self._series) if key[0] == source]:
            self._series.pop(key, None)

    def _series_of(self, source: MetricSource, namespace: str, name: str, resolution: int) -> Series:
        series = self._series.get((source, namespace, name))
        if series is None:
            metric = MetricId.of(source.account_id, source.region, namespace, name, source.dimensions)
            series = self._store.series(metric, UNITS.get(name, "None"), resolution)
            self._series[source, namespace, name] = series
        return series
