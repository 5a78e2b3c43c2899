"""CloudWatch's metric queries, without the ones that moto would answer with nothing."""

from typing import Any

from moto.cloudwatch.responses import CloudWatchResponse

#: The statistics that moto computes; a percentile needs the samples, and metrics are kept as statistic sets.
_STATISTICS = frozenset({"SampleCount", "Average", "Sum", "Minimum", "Maximum"})


class CloudWatch(CloudWatchResponse):  # type: ignore[misc]  # moto is untyped
    """Refuses percentiles by name: moto leaves them out of its answer, which reads as "no data"."""

    def get_metric_statistics(self) -> Any:
        """GetMetricStatistics of plain statistics."""
        if self._get_param("ExtendedStatistics"):
            raise NotImplementedError("GetMetricStatistics with ExtendedStatistics")
        return super().get_metric_statistics()

    def get_metric_data(self) -> Any:
        """GetMetricData of plain statistics."""
        for query in self._get_params().get("MetricDataQueries", []):
            statistic = (query.get("MetricStat") or {}).get("Stat", "Sum")
            if statistic not in _STATISTICS:
                raise NotImplementedError(f"GetMetricData with the statistic {statistic}")
        return super().get_metric_data()
