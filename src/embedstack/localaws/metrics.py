"""SageMaker's endpoint metrics, recorded into moto's CloudWatch."""

import threading
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from moto.cloudwatch.models import MetricAggregatedDatum, cloudwatch_backends

if TYPE_CHECKING:
    from collections.abc import Iterable

    from embedstack.localaws.simulated_time import SimulatedTime

NAMESPACE = "AWS/SageMaker"
#: Metrics that are not plain counts, with CloudWatch's unit.
UNITS = {
    "ModelLatency": "Microseconds",
    "OverheadLatency": "Microseconds",
    "ModelSetupTime": "Microseconds",
    "ServerlessConcurrentExecutionsUtilization": "Percent",
}


class MetricSource(Protocol):
    """Something that has metrics; hashable."""

    @property
    def account_id(self) -> str:
        """Whose."""

    @property
    def region(self) -> str:
        """Where."""

    @property
    def dimensions(self) -> tuple[tuple[str, str], ...]:
        """CloudWatch's dimensions, as pairs of name and value."""


@dataclass(frozen=True, slots=True)
class VariantId:
    """Which production variant a metric, a log line or a process belongs to."""

    account_id: str
    region: str
    endpoint: str
    variant: str

    @property
    def dimensions(self) -> tuple[tuple[str, str], ...]:
        """The dimensions of a variant's metrics."""
        return (("EndpointName", self.endpoint), ("VariantName", self.variant))

    @property
    def log_group(self) -> str:
        """The log group SageMaker gives an endpoint."""
        return f"/aws/sagemaker/Endpoints/{self.endpoint}"

    @property
    def log_stream_prefix(self) -> str:
        """SageMaker's log streams are named by variant, then by container."""
        return self.variant


class MetricRecorder:
    """Adds samples to one statistic set per metric, source and minute.

    SageMaker publishes at one-minute granularity. The statistic set of the running minute is already in moto's
    backend and is updated in place, so a sample can be read the moment it was recorded, a request costs a few additions
    under a lock, and memory grows with minutes, not with requests.
    """

    def __init__(self, time: "SimulatedTime") -> None:
        """Prepare a recorder whose samples are stamped with this time."""
        self._time = time
        self._lock = threading.Lock()
        self._open: dict[tuple[MetricSource, str], MetricAggregatedDatum] = {}

    def record(self, source: MetricSource, samples: "Iterable[tuple[str, float]]") -> None:
        """Add one sample to each named metric of the source.

        Args:
            source: Whose metrics.
            samples: Pairs of metric name and value; latencies in microseconds, utilisation as a fraction.
        """
        minute = self._time.now().replace(second=0, microsecond=0, tzinfo=None)
        with self._lock:
            for name, value in samples:
                datum = self._open.get((source, name))
                if datum is None or datum.timestamp != minute:
                    datum = self._open[source, name] = self._new_minute(source, name, minute, value)
                datum.min = min(datum.min, value)
                datum.max = max(datum.max, value)
                datum.sample_count += 1
                datum.sum += value

    def forget(self, source: MetricSource) -> None:
        """Stop tracking what was deleted; what CloudWatch holds of it stays, as on AWS."""
        with self._lock:
            for key in [key for key in self._open if key[0] == source]:
                del self._open[key]

    @staticmethod
    def _new_minute(source: MetricSource, name: str, minute: datetime, value: float) -> MetricAggregatedDatum:
        datum = MetricAggregatedDatum(
            namespace=NAMESPACE,
            name=name,
            min_stat=value,
            max_stat=value,
            sample_count=0,
            sum_stat=0.0,
            dimensions=[{"Name": key, "Value": content} for key, content in source.dimensions],
            timestamp=minute,
            unit=UNITS.get(name, "None"),
        )
        cloudwatch_backends[source.account_id][source.region].metric_data.append(datum)
        return datum
