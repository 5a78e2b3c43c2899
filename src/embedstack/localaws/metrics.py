"""SageMaker's endpoint metrics, recorded into moto's CloudWatch."""

import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from moto.cloudwatch.models import MetricAggregatedDatum, cloudwatch_backends

if TYPE_CHECKING:
    from collections.abc import Iterable

NAMESPACE = "AWS/SageMaker"
#: Metrics that are not plain counts, with CloudWatch's unit.
UNITS = {
    "ModelLatency": "Microseconds",
    "OverheadLatency": "Microseconds",
    "ModelSetupTime": "Microseconds",
    "ServerlessConcurrentExecutionsUtilization": "Percent",
}


@dataclass(frozen=True, slots=True)
class VariantId:
    """Which production variant a metric, a log line or a process belongs to."""

    account_id: str
    region: str
    endpoint: str
    variant: str


class MetricRecorder:
    """Adds samples to one statistic set per metric, variant and minute.

    SageMaker publishes at one-minute granularity. The statistic set of the running minute is already in moto's
    backend and is updated in place, so a sample can be read the moment it was recorded, a request costs a few additions
    under a lock, and memory grows with minutes, not with requests.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[tuple[VariantId, str], MetricAggregatedDatum] = {}

    def record(self, variant: VariantId, samples: "Iterable[tuple[str, float]]") -> None:
        """Add one sample to each named metric of the variant.

        Args:
            variant: Whose metrics.
            samples: Pairs of metric name and value; latencies in microseconds, utilisation as a fraction.
        """
        minute = datetime.now(UTC).replace(second=0, microsecond=0, tzinfo=None)
        with self._lock:
            for name, value in samples:
                datum = self._open.get((variant, name))
                if datum is None or datum.timestamp != minute:
                    datum = self._open[variant, name] = self._new_minute(variant, name, minute, value)
                datum.min = min(datum.min, value)
                datum.max = max(datum.max, value)
                datum.sample_count += 1
                datum.sum += value

    def forget(self, variant: VariantId) -> None:
        """Stop tracking a deleted endpoint's variant; what CloudWatch holds stays, as on AWS."""
        with self._lock:
            for key in [key for key in self._open if key[0] == variant]:
                del self._open[key]

    @staticmethod
    def _new_minute(variant: VariantId, name: str, minute: datetime, value: float) -> MetricAggregatedDatum:
        datum = MetricAggregatedDatum(
            namespace=NAMESPACE,
            name=name,
            min_stat=value,
            max_stat=value,
            sample_count=0,
            sum_stat=0.0,
            dimensions=[
                {"Name": "EndpointName", "Value": variant.endpoint},
                {"Name": "VariantName", "Value": variant.variant},
            ],
            timestamp=minute,
            unit=UNITS.get(name, "None"),
        )
        cloudwatch_backends[variant.account_id][variant.region].metric_data.append(datum)
        return datum
