"""An alarm's datapoints: what its metric or its expression said in the last periods."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from localaws.services.cloudwatch.alarm_state import EXTRA_PERIODS, Condition, Reading
from localaws.services.cloudwatch.distribution import percent_of, statistic_of
from localaws.services.cloudwatch.metric_queries import MetricQuery, run_queries
from localaws.services.cloudwatch.metric_store import MetricId, MetricStore


def condition_of(alarm: Any) -> Condition:
    """When one of moto's alarms goes off."""
    periods = int(alarm.evaluation_periods)
    return Condition(
        comparison=alarm.comparison_operator,
        threshold=float(alarm.threshold),
        evaluation_periods=periods,
        datapoints_to_alarm=int(alarm.datapoints_to_alarm or periods),
        treat_missing_data=alarm.treat_missing_data or "missing",
    )


def period_of(alarm: Any) -> int:
    """Seconds of an alarm's period; of a metric math alarm, its longest metric's."""
    if alarm.period:
        return int(alarm.period)
    periods = [query.metric_stat.period if query.metric_stat else query.period for query in alarm.metric_data_queries]
    return max(int(period or 0) for period in periods) or 60


class AlarmReadings:
    """Reads the datapoints of alarms."""

    def __init__(self, store: MetricStore) -> None:
        """Read from a store."""
        self._store = store

    def before(self, account_id: str, region: str, alarm: Any, moment: datetime) -> list[Reading | None]:
        """The evaluation range: one entry per period, the latest first, that ends at the moment.

        Periods end with the moment and not with the hour: an alarm of 5 minutes looks at minutes 1 to 5, then at
        minutes 2 to 6 (CloudWatch user guide, "Alarm evaluation").

        Raises:
            ExpressionError: The alarm's expression does not give one time series.
            NotImplementedError: It uses a statistic or a function that is not computed here.
        """
        period = timedelta(seconds=period_of(alarm))
        count = int(alarm.evaluation_periods) + EXTRA_PERIODS
        starts = [moment - period * age for age in range(1, count + 1)]
        found = {reading.start: reading for reading in self._read(account_id, region, alarm, starts[-1], moment)}
        return [found.get(start) for start in starts]

    def _read(self, account_id: str, region: str, alarm: Any, start: datetime, end: datetime) -> Iterable[Reading]:
        if alarm.metric_data_queries:
            queries = [_query_of(account_id, region, query) for query in alarm.metric_data_queries]
            results = run_queries(self._store, queries, start, end)
            (returned,) = [query.id for query in queries if query.returned]
            yield from (Reading(at, value) for at, value in results[returned].items())
            return
        statistic = alarm.extended_statistic or alarm.statistic
        dimensions = [(dimension.name, dimension.value) for dimension in alarm.dimensions]
        metric = MetricId.of(account_id, region, alarm.namespace, alarm.metric_name, dimensions)
        compute = statistic_of(statistic)
        for point in self._store.datapoints(metric, start, end, period_of(alarm), alarm.unit):
            value = compute(point.samples)
            if value is not None:
                yield Reading(point.start, value, point.samples.count)


def has_low_samples(alarm: Any, readings: Iterable[Reading]) -> bool:
    """Whether a percentile alarm that ignores small samples has one.

    Under 10 / (1 - p) samples for a percentile over the median and 10 / p for one under it are too few to say
    something (CloudWatch user guide, "Percentile-based alarms and low data samples").
    """
    percent = percent_of(alarm.extended_statistic or "")
    if percent is None or alarm.evaluate_low_sample_count_percentile != "ignore":
        return False
    share = max(percent, 100 - percent) / 100
    needed = 10 / (1 - share) if share < 1 else float("inf")
    return any(reading.samples is not None and reading.samples < needed - 1e-6 for reading in readings)


def _query_of(account_id: str, region: str, query: Any) -> MetricQuery:
    returned = query.return_data is not False
    if query.metric_stat is None:
        return MetricQuery(query.id, period=int(query.period or 1), expression=query.expression, returned=returned)
    stat = query.metric_stat
    dimensions = [(dimension.name, dimension.value) for dimension in stat.metric.dimensions]
    metric = MetricId.of(account_id, region, stat.metric.namespace, stat.metric.metric_name, dimensions)
    return MetricQuery(query.id, metric, stat.stat, int(stat.period), stat.unit, returned=returned)
