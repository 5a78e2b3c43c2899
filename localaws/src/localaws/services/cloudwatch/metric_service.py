"""CloudWatch's API over the metric store: metrics in, statistics and percentiles out."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from moto.cloudwatch.exceptions import InvalidParameterCombination, InvalidParameterValue, ValidationError
from moto.cloudwatch.responses import CloudWatchResponse
from moto.core.responses import ActionResult, EmptyResult

from localaws.services.cloudwatch.distribution import Distribution, statistic_of
from localaws.services.cloudwatch.metric_math import ExpressionError
from localaws.services.cloudwatch.metric_queries import MetricQuery, run_queries
from localaws.services.cloudwatch.metric_store import STANDARD_RESOLUTION, MetricId

if TYPE_CHECKING:
    from localaws.services.cloudwatch.monitoring import Monitoring

_MAX_DATAPOINTS = 1440
_LISTED_AT_ONCE = 500
_SHORT_PERIODS = (1, 5, 10, 20, 30)


class CloudWatchMetrics(CloudWatchResponse):  # type: ignore[misc]  # moto is untyped
    """PutMetricData, ListMetrics, GetMetricStatistics and GetMetricData."""

    monitoring: "Monitoring"

    def put_metric_data(self) -> ActionResult:
        """PutMetricData; what has no timestamp is stamped with the local AWS's time."""
        namespace = self._get_param("Namespace")
        data = self._get_param("MetricData", [])
        now = self.monitoring.time.now()
        for number, datum in enumerate(data, 1):
            self.cloudwatch_backend._validate_parameters_put_metric_data(datum, number)  # noqa: SLF001
            _check_timestamp(datum.get("Timestamp"), now, number)
        for datum in data:
            self._put(namespace, datum, now)
        return EmptyResult()

    def list_metrics(self) -> ActionResult:
        """ListMetrics, by namespace, name and dimensions."""
        namespace, name = self._get_param("Namespace"), self._get_param("MetricName")
        wanted = [(item["Name"], item.get("Value")) for item in self._get_params().get("Dimensions", [])]
        found = [
            metric
            for metric in self.monitoring.metrics.metrics(self.current_account, self.region)
            if namespace in (None, metric.namespace)
            and name in (None, metric.name)
            and all(any(key == has and value in (None, of) for has, of in metric.dimensions) for key, value in wanted)
        ]
        start = _offset(self._get_param("NextToken"), len(found))
        page = found[start : start + _LISTED_AT_ONCE]
        token = str(start + _LISTED_AT_ONCE) if start + _LISTED_AT_ONCE < len(found) else None
        return ActionResult({"Metrics": [_described(metric) for metric in page], "NextToken": token})

    def get_metric_statistics(self) -> ActionResult:
        """GetMetricStatistics, percentiles included."""
        plain, extended = self._get_param("Statistics", []), self._get_param("ExtendedStatistics", [])
        if not plain and not extended:
            raise InvalidParameterCombination("Must specify either Statistics or ExtendedStatistics")
        start, end = utc(self._get_param("StartTime")), utc(self._get_param("EndTime"))
        if start >= end:
            raise InvalidParameterValue("The parameter StartTime must be less than the parameter EndTime.")
        period = int(self._get_param("Period"))
        _check_period(period)
        start = _rounded_down(start, min(STANDARD_RESOLUTION, period))
        if (end - start).total_seconds() / period > _MAX_DATAPOINTS:
            raise InvalidParameterCombination(
                f"You have requested up to {round((end - start).total_seconds() / period)} datapoints, which exceeds "
                f"the limit of {_MAX_DATAPOINTS}. You may reduce the datapoints requested by increasing Period, or "
                "decreasing the time range."
            )
        name = self._get_param("MetricName")
        metric = self._metric(self._get_param("Namespace"), name, self._get_param("Dimensions", []))
        points = self.monitoring.metrics.datapoints(metric, start, end, period, self._get_param("Unit"))
        answer = [
            {
                "Timestamp": point.start,
                "Unit": point.unit,
                **_computed(plain, point.samples),
                **({"ExtendedStatistics": _computed(extended, point.samples)} if extended else {}),
            }
            for point in points
        ]
        return ActionResult({"Label": name, "Datapoints": answer})

    def get_metric_data(self) -> ActionResult:
        """GetMetricData: metrics and metric math."""
        params = self._get_params()
        start, end = utc(params["StartTime"]), utc(params["EndTime"])
        if start > end:
            raise ValidationError("The parameter EndTime must be greater than StartTime.")
        if start == end:
            raise ValidationError("The parameter StartTime must not equal parameter EndTime.")
        queries = [self._query(query) for query in params.get("MetricDataQueries", [])]
        start = _rounded_down(start, max((query.period for query in queries), default=STANDARD_RESOLUTION))
        try:
            results = run_queries(self.monitoring.metrics, queries, start, end)
        except ExpressionError as error:
            raise ValidationError(str(error)) from error
        newest_first = params.get("ScanBy", "TimestampDescending") == "TimestampDescending"
        answer = []
        for query in queries:
            if query.returned:
                points = sorted(results[query.id].items(), reverse=newest_first)
                answer.append(
                    {
                        "Id": query.id,
                        "Label": query.shown_label,
                        "Timestamps": [at for at, _ in points],
                        "Values": [value for _, value in points],
                        "StatusCode": "Complete",
                    }
                )
        return ActionResult({"MetricDataResults": answer, "Messages": []})

    def _put(self, namespace: str, datum: dict[str, Any], now: datetime) -> None:
        metric = self._metric(namespace, datum["MetricName"], datum.get("Dimensions", []))
        resolution = min(int(datum.get("StorageResolution") or STANDARD_RESOLUTION), STANDARD_RESOLUTION)
        series = self.monitoring.metrics.series(metric, datum.get("Unit") or "None", resolution)
        moment = utc(datum.get("Timestamp") or now).timestamp()
        with self.monitoring.metrics.lock:
            _add(series.period(moment), datum)

    def _metric(self, namespace: str, name: str, dimensions: Iterable[dict[str, str]]) -> MetricId:
        pairs = [(item["Name"], item["Value"]) for item in dimensions]
        return MetricId.of(self.current_account, self.region, namespace, name, pairs)

    def _query(self, query: dict[str, Any]) -> MetricQuery:
        returned = query.get("ReturnData", True) is not False
        if "MetricStat" in query:
            stat = query["MetricStat"]
            period = int(stat["Period"])
            _check_period(period)
            metric = stat["Metric"]
            wanted = self._metric(metric.get("Namespace"), metric.get("MetricName"), metric.get("Dimensions", []))
            return MetricQuery(
                query["Id"], wanted, stat["Stat"], period, stat.get("Unit"), None, query.get("Label"), returned
            )
        if "Expression" not in query:
            # AWS also returns the empty line
            raise ValidationError("The parameter MetricDataQueries.member.1.MetricStat is required.\n")
        period = int(query.get("Period") or 1)
        return MetricQuery(
            query["Id"], period=period, expression=query["Expression"], label=query.get("Label"), returned=returned
        )


def _add(period: Distribution, datum: dict[str, Any]) -> None:
    if datum.get("Values"):
        counts = datum.get("Counts") or [1] * len(datum["Values"])
        for value, count in zip(datum["Values"], counts, strict=True):
            period.add(float(value), float(count))
    elif datum.get("StatisticValues"):
        known = datum["StatisticValues"]
        period.add_set(
            float(known["SampleCount"]), float(known["Sum"]), float(known["Minimum"]), float(known["Maximum"])
        )
    else:
        period.add(float(datum.get("Value", 0)))


def _computed(statistics: Iterable[str], samples: Distribution) -> dict[str, float]:
    values = {name: statistic_of(name)(samples) for name in statistics}
    return {name: value for name, value in values.items() if value is not None}


def _described(metric: MetricId) -> dict[str, Any]:
    dimensions = [{"Name": key, "Value": value} for key, value in metric.dimensions]
    return {"Namespace": metric.namespace, "MetricName": metric.name, "Dimensions": dimensions}


def _check_timestamp(timestamp: datetime | None, now: datetime, number: int) -> None:
    if timestamp is None:
        return
    must = f"The parameter MetricData.member.{number}.Timestamp must specify a time"
    if utc(timestamp) < now - timedelta(days=14):
        raise InvalidParameterValue(f"{must} within the past two weeks.")
    if utc(timestamp) > now + timedelta(hours=2):
        raise InvalidParameterValue(f"{must} no more than two hours in the future.")


def _check_period(period: int) -> None:
    if period not in _SHORT_PERIODS and (period < STANDARD_RESOLUTION or period % STANDARD_RESOLUTION):
        raise InvalidParameterValue("The parameter Period must be 1, 5, 10, 20, 30, or a multiple of 60")


def _offset(token: str | None, count: int) -> int:
    if token is None:
        return 0
    if not token.isdigit() or int(token) >= count:
        raise InvalidParameterValue("Request parameter NextToken is invalid")
    return int(token)


def _rounded_down(moment: datetime, seconds: int) -> datetime:
    return datetime.fromtimestamp(int(moment.timestamp()) // seconds * seconds, UTC)


def utc(moment: datetime) -> datetime:
    """Moto reads timestamps as UTC and drops the zone."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
