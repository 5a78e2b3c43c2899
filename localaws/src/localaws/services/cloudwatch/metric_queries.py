"""Metric data queries: metrics and expressions over them, as GetMetricData and alarms ask them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from localaws.services.cloudwatch.distribution import statistic_of
from localaws.services.cloudwatch.metric_math import ExpressionError, TimeSeries, evaluate_expression
from localaws.services.cloudwatch.metric_store import MetricId, MetricStore


@dataclass(frozen=True, slots=True)
class MetricQuery:
    """One of several queries: a metric's statistic, or an expression over the others."""

    id: str
    metric: MetricId | None = None
    statistic: str = ""
    period: int = 60
    unit: str | None = None
    expression: str | None = None
    label: str | None = None
    returned: bool = True

    @property
    def shown_label(self) -> str:
        """The label asked for, else CloudWatch's own."""
        return self.label or (self.metric.name if self.metric else self.id)


def run_queries(
    store: MetricStore, queries: Sequence[MetricQuery], start: datetime, end: datetime
) -> dict[str, TimeSeries]:
    """Answer queries.

    Args:
        store: The metrics.
        queries: The queries; an expression may use any other's id.
        start: Where the first period begins; all periods count from it.
        end: Periods begin before this.

    Returns:
        Each query's time series by its id.

    Raises:
        ExpressionError: An expression does not parse, or does not give one time series.
        NotImplementedError: A statistic or a function is not implemented here.
    """
    results = {
        query.id: _statistics(store, query, query.metric, start, end) for query in queries if query.metric is not None
    }
    metrics = dict(results)
    period = max((query.period for query in queries), default=60)
    grid = [start + timedelta(seconds=period) * index for index in range(_periods(start, end, period))]
    pending = [query for query in queries if query.metric is None]
    while pending:
        left = [query for query in pending if not _solve(query, results, metrics, grid, last=len(pending) == 1)]
        if len(left) == len(pending):
            # None could be computed: let the first say what it misses.
            _solve(left[0], results, metrics, grid, last=True)
        pending = left
    return results


def _solve(
    query: MetricQuery,
    results: dict[str, TimeSeries],
    metrics: dict[str, TimeSeries],
    grid: Sequence[datetime],
    *,
    last: bool,
) -> bool:
    """Compute an expression whose operands are there.

    Returns:
        Whether they were.
    """
    expression = query.expression or ""
    if expression.lstrip().upper().startswith("SELECT"):
        raise NotImplementedError("Metrics Insights queries")
    # METRICS() is the metrics of the request, and not its expressions.
    known = metrics if "METRICS(" in expression.upper() else results
    try:
        value = evaluate_expression(expression, known, grid)
    except ExpressionError:
        if last:
            raise
        return False
    if isinstance(value, list) and len(value) == 1:
        (value,) = value
    if isinstance(value, list):
        raise NotImplementedError("an expression that gives several time series")
    if not isinstance(value, dict):
        raise ExpressionError(f"Error in expression '{query.id}': The expression must give a time series")
    results[query.id] = value
    return True


def _statistics(store: MetricStore, query: MetricQuery, metric: MetricId, start: datetime, end: datetime) -> TimeSeries:
    compute = statistic_of(query.statistic)
    points = store.datapoints(metric, start, end, query.period, query.unit)
    return {point.start: value for point in points if (value := compute(point.samples)) is not None}


def _periods(start: datetime, end: datetime, period: int) -> int:
    return max(0, -int(-(end - start).total_seconds() // period))
