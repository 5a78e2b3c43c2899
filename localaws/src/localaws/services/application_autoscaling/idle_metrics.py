"""Zeros for scalable targets that nobody asks anything, without which nothing would ever be scaled in."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from localaws.services.application_autoscaling.records import COPIES, INSTANCES, PROVISIONED_CONCURRENCY, TargetKey
from localaws.services.application_autoscaling.tracking_alarms import dimensions_of
from localaws.services.cloudwatch.metric_store import STANDARD_RESOLUTION, MetricId, MetricStore
from localaws.services.sagemaker.telemetry.metrics import NAMESPACE, UNITS

if TYPE_CHECKING:
    from localaws.services.application_autoscaling.registry import Region

__all__ = ["record_idle_minute"]

_METRICS = {
    INSTANCES: "InvocationsPerInstance",
    PROVISIONED_CONCURRENCY: "ServerlessProvisionedConcurrencyUtilization",
    COPIES: "InvocationsPerCopy",
}


def record_idle_minute(store: MetricStore, region: "Region", key: TargetKey, end: datetime) -> None:
    """Record no load for the minute that ends at a moment, unless there were some.

    SageMaker developer guide, "Edit a scaling policy": if a variant's traffic becomes zero, SageMaker automatically
    scales in; in this case it emits metrics with a value of zero.
    """
    name = _METRICS[key.dimension]
    dimensions = [(dimension["Name"], dimension["Value"]) for dimension in dimensions_of(key)]
    metric = MetricId.of(region.account_id, region.name, NAMESPACE, name, dimensions)
    start = end - timedelta(seconds=STANDARD_RESOLUTION)
    if not store.datapoints(metric, start, end, STANDARD_RESOLUTION):
        series = store.series(metric, UNITS.get(name, "None"))
        with store.lock:
            series.period(start.timestamp()).add(0.0)
