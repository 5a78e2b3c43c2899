"""The CloudWatch API: metrics with percentiles, and alarms that are evaluated."""

import json
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from moto.cloudwatch.exceptions import (
    InvalidFormat,
    InvalidParameterCombination,
    InvalidParameterValue,
    ResourceNotFound,
    ValidationError,
)
from moto.cloudwatch.responses import CloudWatchResponse
from moto.core.responses import ActionResult, EmptyResult

from localaws.services.cloudwatch.alarm_validation import check_actions, check_metric_alarm
from localaws.services.cloudwatch.alarms import AlarmLocation, children_of
from localaws.services.cloudwatch.composite_rule import RuleError, alarm_name, parse_rule
from localaws.services.cloudwatch.distribution import Distribution, statistic_of
from localaws.services.cloudwatch.metric_store import STANDARD_RESOLUTION, MetricId

if TYPE_CHECKING:
    from localaws.services.cloudwatch.service import Monitoring

__all__ = ["SIMPLIFICATIONS", "CloudWatch"]

SIMPLIFICATIONS = {
    "DescribeAlarmHistory": "The latest 10,000 entries are stored, not those of 30 days.",
    "GetMetricData": "Metrics only; metric math and Metrics Insights are not implemented.",
    "GetMetricStatistics": "Percentiles are exact up to 64 values per period, and within 1 % beyond; no trimmed means.",
    "PutCompositeAlarm": "Action suppressors are not implemented.",
    "PutDashboard": "Dashboards are stored and not rendered.",
    "PutMetricAlarm": "Metric math and anomaly detection are not implemented. Actions: SNS and Auto Scaling.",
    "PutMetricData": "Data is stored for 15 days; there is no aggregation by the hour.",
}

_MAX_DATAPOINTS = 1440
_METRICS_PAGE = 500
_SHORT_PERIODS = (1, 5, 10, 20, 30)

_STATES = ("OK", "ALARM", "INSUFFICIENT_DATA")
_COMPOSITE_OPTIONS = ("ActionsSuppressor", "ActionsSuppressorWaitPeriod", "ActionsSuppressorExtensionPeriod")
_METRIC_OPTIONS = ("EvaluationWindow", "WarmUpConfiguration", "EvaluationCriteria", "EvaluationInterval")
_ALARMS_PAGE = 100
#: moto's names of the options of DescribeAlarmsForMetric.
_ALARM_OPTIONS = {
    "ExtendedStatistic": "extended_statistic",
    "Period": "period",
    "Statistic": "statistic",
    "Unit": "unit",
}


class CloudWatch(CloudWatchResponse):  # type: ignore[misc]  # moto is untyped
    """The CloudWatch API of one local AWS."""

    monitoring: "Monitoring"

    @property
    def cloudwatch_backend(self) -> Any:
        """Moto's backend, except that alarms are put and deleted by :class:`Alarms`."""
        return _Backend(super().cloudwatch_backend, self.monitoring.alarms, self.current_account, self.region)

    def put_metric_data(self) -> ActionResult:
        """PutMetricData; data without a timestamp is stamped with the simulated time."""
        namespace = self._get_param("Namespace")
        data = self._get_param("MetricData", [])
        now = self.monitoring.time.now()
        for number, datum in enumerate(data, 1):
            if "Value" in datum and "Values" in datum:
                member = f"MetricData.member.{number}"
                raise InvalidParameterCombination(
                    f"The parameters {member}.Value and {member}.Values are mutually exclusive and you have specified "
                    "both."
                )
            self.cloudwatch_backend._validate_parameters_put_metric_data(datum, number)  # noqa: SLF001
            _check_timestamp(datum.get("Timestamp"), now, number)
        for datum in data:
            self._put(namespace, datum, now)
        return EmptyResult()

    def list_metrics(self) -> ActionResult:
        """ListMetrics, filtered by namespace, name and dimensions."""
        namespace, name = self._get_param("Namespace"), self._get_param("MetricName")
        filters = [(item["Name"], item.get("Value")) for item in self._get_params().get("Dimensions", [])]
        metrics = [
            metric
            for metric in self.monitoring.metrics.metrics(self.current_account, self.region)
            if namespace in (None, metric.namespace)
            and name in (None, metric.name)
            and all(
                any(key == dimension and value in (None, content) for dimension, content in metric.dimensions)
                for key, value in filters
            )
        ]
        page, token = _page(metrics, self._get_param("NextToken"), _METRICS_PAGE)
        return ActionResult({"Metrics": [_describe_metric(metric) for metric in page], "NextToken": token})

    def get_metric_statistics(self) -> ActionResult:
        """GetMetricStatistics, including percentiles."""
        plain, extended = self._get_param("Statistics", []), self._get_param("ExtendedStatistics", [])
        if not plain and not extended:
            raise InvalidParameterCombination("Must specify either Statistics or ExtendedStatistics")
        start, end = _utc(self._get_param("StartTime")), _utc(self._get_param("EndTime"))
        # Fractions of a second are ignored.
        if start.replace(microsecond=0) >= end.replace(microsecond=0):
            raise InvalidParameterValue("The parameter StartTime must be less than the parameter EndTime.")
        period = int(self._get_param("Period"))
        _check_period(period)
        start = _round_down(start, min(STANDARD_RESOLUTION, period))
        if (end - start).total_seconds() / period > _MAX_DATAPOINTS:
            raise InvalidParameterCombination(
                f"You have requested up to {round((end - start).total_seconds() / period)} datapoints, which exceeds "
                f"the limit of {_MAX_DATAPOINTS}. You may reduce the datapoints requested by increasing Period, or "
                "decreasing the time range."
            )
        name = self._get_param("MetricName")
        metric = self._metric(self._get_param("Namespace"), name, self._get_param("Dimensions", []))
        points = self.monitoring.metrics.datapoints(metric, start, end, period, self._get_param("Unit"))
        datapoints = [
            {
                "Timestamp": point.start,
                "Unit": point.unit,
                **_statistics(plain, point.samples),
                **({"ExtendedStatistics": _statistics(extended, point.samples)} if extended else {}),
            }
            for point in points
        ]
        return ActionResult({"Label": name, "Datapoints": datapoints})

    def get_metric_data(self) -> ActionResult:
        """GetMetricData for metrics, without metric math."""
        params = self._get_params()
        start, end = _utc(params["StartTime"]), _utc(params["EndTime"])
        if start > end:
            raise ValidationError("The parameter EndTime must be greater than StartTime.")
        # Fractions of a second are ignored.
        if start.replace(microsecond=0) == end.replace(microsecond=0):
            raise ValidationError("The parameter StartTime must not equal parameter EndTime.")
        queries = params.get("MetricDataQueries", [])
        for query in queries:
            _check_query(query)
        periods = [int(query["MetricStat"]["Period"]) for query in queries]
        start = _round_down(start, max(periods, default=STANDARD_RESOLUTION))
        newest_first = params.get("ScanBy", "TimestampDescending") == "TimestampDescending"
        results = [
            self._query_result(query, start, end, newest_first=newest_first)
            for query in queries
            if query.get("ReturnData", True) is not False
        ]
        return ActionResult({"MetricDataResults": results, "Messages": []})

    def put_metric_alarm(self) -> ActionResult:
        """PutMetricAlarm."""
        request = self._get_params()
        self._check_unsupported(request, _METRIC_OPTIONS)
        check_metric_alarm(request, self.region)
        self._check_kind(request["AlarmName"], composite=False)
        super().put_metric_alarm()
        return EmptyResult()

    def put_composite_alarm(self) -> ActionResult:
        """PutCompositeAlarm."""
        request = self._get_params()
        self._check_unsupported(request, _COMPOSITE_OPTIONS)
        check_actions(request, self.region)
        name = request["AlarmName"]
        self._check_kind(name, composite=True)
        try:
            children = parse_rule(request["AlarmRule"]).children
        except RuleError as error:
            raise ValidationError(str(error)) from error
        unknown = [child for child in map(alarm_name, children) if child not in self.cloudwatch_backend.alarms]
        if unknown:
            raise ValidationError(
                f"Could not save the composite alarm as alarms [{', '.join(unknown)}] in the alarm rule do not exist"
            )
        self.monitoring.alarms.put_composite_alarm(
            self.current_account,
            self.region,
            name=name,
            rule=request["AlarmRule"],
            description=request.get("AlarmDescription"),
            actions_enabled=self._get_bool_param("ActionsEnabled"),
            alarm_actions=request.get("AlarmActions", []),
            ok_actions=request.get("OKActions", []),
            insufficient_data_actions=request.get("InsufficientDataActions", []),
            tags=request.get("Tags", []),
        )
        return EmptyResult()

    def delete_alarms(self) -> ActionResult:
        """DeleteAlarms; at most one composite alarm per request, as on AWS."""
        names = self._get_param("AlarmNames", [])
        alarms = self.cloudwatch_backend.alarms
        composites = [name for name in names if name in alarms and alarms[name].rule is not None]
        if composites and len(names) > 1:
            raise ValidationError("Only one composite alarm can be deleted at a time")
        return super().delete_alarms()

    def describe_alarms(self) -> ActionResult:
        """DescribeAlarms; composite alarms only if AlarmTypes names them, as on AWS."""
        request = self._get_params()
        kinds = request.get("AlarmTypes") or ["MetricAlarm"]
        filters = self._filters(request)
        alarms = sorted(self.cloudwatch_backend.alarms.values(), key=lambda alarm: str(alarm.name))
        matching = [
            alarm
            for alarm in alarms
            if ("MetricAlarm" if alarm.rule is None else "CompositeAlarm") in kinds
            and all(accepts(alarm) for accepts in filters)
        ]
        page, token = _alarm_page(matching, request)
        return ActionResult(
            {
                "MetricAlarms": [alarm for alarm in page if alarm.rule is None],
                "CompositeAlarms": [alarm for alarm in page if alarm.rule is not None],
                "NextToken": token,
            }
        )

    def describe_alarms_for_metric(self) -> ActionResult:
        """DescribeAlarmsForMetric: the alarms with exactly this metric and these dimensions."""
        request = self._get_params()
        dimensions = {(item["Name"], item["Value"]) for item in request.get("Dimensions", [])}
        options = [(request.get(member), name) for member, name in _ALARM_OPTIONS.items() if request.get(member)]
        matching = [
            alarm
            for alarm in self.cloudwatch_backend.alarms.values()
            if (alarm.metric_name, alarm.namespace) == (request["MetricName"], request["Namespace"])
            and {(dimension.name, dimension.value) for dimension in alarm.dimensions} == dimensions
            and all(getattr(alarm, name) == value for value, name in options)
        ]
        return ActionResult({"MetricAlarms": matching})

    def describe_alarm_history(self) -> ActionResult:
        """DescribeAlarmHistory; composite alarms only if AlarmTypes names them, as on AWS."""
        request = self._get_params()
        name, kind = request.get("AlarmName"), request.get("HistoryItemType")
        start, end = request.get("StartDate"), request.get("EndDate")
        kinds = request.get("AlarmTypes") or ["MetricAlarm"]
        entries = [
            entry.describe()
            for entry in self.monitoring.alarms.history.entries(self.current_account, self.region)
            if name in (None, entry.alarm_name)
            and kind in (None, entry.kind)
            and entry.alarm_type in kinds
            and (start is None or entry.timestamp >= _utc(start))
            and (end is None or entry.timestamp <= _utc(end))
        ]
        if request.get("ScanBy") == "TimestampAscending":
            entries.reverse()
        page, token = _alarm_page(entries, request)
        return ActionResult({"AlarmHistoryItems": page, "NextToken": token})

    def set_alarm_state(self) -> ActionResult:
        """SetAlarmState, until the next evaluation."""
        name, state = self._get_param("AlarmName"), self._get_param("StateValue")
        reason_data = self._get_param("StateReasonData")
        try:
            json.loads(reason_data or "{}")
        except ValueError:
            raise InvalidFormat("Unknown") from None
        if state not in _STATES:
            raise ValidationError(
                f"1 validation error detected: Value '{state}' at 'stateValue' failed to satisfy constraint: "
                "Member must satisfy enum value set: [INSUFFICIENT_DATA, ALARM, OK]"
            )
        alarm = self.cloudwatch_backend.alarms.get(name)
        if alarm is None:
            raise ResourceNotFound
        location = AlarmLocation(self.current_account, self.region, alarm)
        self.monitoring.alarms.set_state(location, state, self._get_param("StateReason"), reason_data)
        return EmptyResult()

    def _query_result(
        self, query: dict[str, Any], start: datetime, end: datetime, *, newest_first: bool
    ) -> dict[str, Any]:
        stat = query["MetricStat"]
        metric = self._metric(
            stat["Metric"].get("Namespace"), stat["Metric"].get("MetricName"), stat["Metric"].get("Dimensions", [])
        )
        compute = statistic_of(stat["Stat"])
        datapoints = self.monitoring.metrics.datapoints(metric, start, end, int(stat["Period"]), stat.get("Unit"))
        values = [(point.start, value) for point in datapoints if (value := compute(point.samples)) is not None]
        values.sort(reverse=newest_first)
        return {
            "Id": query["Id"],
            "Label": query.get("Label") or metric.name,
            "Timestamps": [moment for moment, _ in values],
            "Values": [value for _, value in values],
            "StatusCode": "Complete",
        }

    def _put(self, namespace: str, datum: dict[str, Any], now: datetime) -> None:
        metric = self._metric(namespace, datum["MetricName"], datum.get("Dimensions", []))
        resolution = min(int(datum.get("StorageResolution") or STANDARD_RESOLUTION), STANDARD_RESOLUTION)
        series = self.monitoring.metrics.series(metric, datum.get("Unit") or "None", resolution)
        moment = _utc(datum.get("Timestamp") or now).timestamp()
        with self.monitoring.metrics.lock:
            _add(series.period(moment), datum)

    def _metric(self, namespace: str, name: str, dimensions: Iterable[dict[str, str]]) -> MetricId:
        pairs = [(item["Name"], item["Value"]) for item in dimensions]
        return MetricId.of(self.current_account, self.region, namespace, name, pairs)

    def _filters(self, request: dict[str, Any]) -> list[Callable[[Any], bool]]:
        filters: list[Callable[[Any], bool]] = []
        if names := request.get("AlarmNames"):
            filters.append(lambda alarm: alarm.name in names)
        if prefix := request.get("AlarmNamePrefix"):
            filters.append(lambda alarm: alarm.name.startswith(prefix))
        if state := request.get("StateValue"):
            filters.append(lambda alarm: alarm.state_value == state)
        if action := request.get("ActionPrefix"):
            filters.append(lambda alarm: any(arn.startswith(action) for arn in alarm.alarm_actions))
        if parent := request.get("ChildrenOfAlarmName"):
            children = self._children(alarm_name(parent))
            filters.append(lambda alarm: alarm.name in children)
        if child := request.get("ParentsOfAlarmName"):
            filters.append(lambda alarm: alarm.rule is not None and alarm_name(child) in children_of(alarm))
        return filters

    def _children(self, parent: str) -> list[str]:
        alarm = self.cloudwatch_backend.alarms.get(parent)
        return [] if alarm is None or alarm.rule is None else children_of(alarm)

    def _check_kind(self, name: str, *, composite: bool) -> None:
        alarm = self.cloudwatch_backend.alarms.get(name)
        if alarm is not None and (alarm.rule is not None) != composite:
            kind = "composite" if alarm.rule is not None else "metric"
            raise ValidationError(f"The alarm {name} exists already as a {kind} alarm")

    @staticmethod
    def _check_unsupported(request: dict[str, Any], options: tuple[str, ...]) -> None:
        for option in options:
            if request.get(option):
                raise NotImplementedError(f"an alarm with {option}")


class _Backend:
    """moto's backend for one request, except that alarms are put and deleted by :class:`Alarms`."""

    def __init__(self, backend: Any, alarms: Any, account_id: str, region: str) -> None:
        self._backend = backend
        self._alarms = alarms
        self._location = (account_id, region)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    def put_metric_alarm(self, **definition: Any) -> Any:
        return self._alarms.put_metric_alarm(*self._location, **definition)

    def delete_alarms(self, alarm_names: list[str]) -> None:
        self._alarms.delete_alarms(*self._location, alarm_names)


def _page(items: list[Any], token: str | None, size: int) -> tuple[list[Any], str | None]:
    """One page, and the token of the next."""
    if token is not None and (not str(token).isdigit() or int(token) >= len(items)):
        raise InvalidParameterValue("Request parameter NextToken is invalid")
    start = int(token or 0)
    return items[start : start + size], str(start + size) if start + size < len(items) else None


def _alarm_page(alarms: list[Any], request: dict[str, Any]) -> tuple[list[Any], str | None]:
    return _page(alarms, request.get("NextToken"), int(request.get("MaxRecords") or _ALARMS_PAGE))


def _add(period: Distribution, datum: dict[str, Any]) -> None:
    if datum.get("Values"):
        counts = datum.get("Counts") or [1] * len(datum["Values"])
        for value, count in zip(datum["Values"], counts, strict=True):
            period.add(float(value), float(count))
    elif datum.get("StatisticValues"):
        values = datum["StatisticValues"]
        period.add_set(*(float(values[name]) for name in ("SampleCount", "Sum", "Minimum", "Maximum")))
    else:
        period.add(float(datum.get("Value", 0)))


def _statistics(names: Iterable[str], samples: Distribution) -> dict[str, float]:
    values = {name: statistic_of(name)(samples) for name in names}
    return {name: value for name, value in values.items() if value is not None}


def _describe_metric(metric: MetricId) -> dict[str, Any]:
    dimensions = [{"Name": key, "Value": value} for key, value in metric.dimensions]
    return {"Namespace": metric.namespace, "MetricName": metric.name, "Dimensions": dimensions}


def _check_query(query: dict[str, Any]) -> None:
    if "Expression" in query:
        raise NotImplementedError("GetMetricData with Expression (metric math)")
    if "MetricStat" not in query:
        # AWS also returns the empty line
        raise ValidationError("The parameter MetricDataQueries.member.1.MetricStat is required.\n")
    _check_period(int(query["MetricStat"]["Period"]))
    statistic_of(query["MetricStat"]["Stat"])


def _check_timestamp(timestamp: datetime | None, now: datetime, number: int) -> None:
    if timestamp is None:
        return
    prefix = f"The parameter MetricData.member.{number}.Timestamp must specify a time"
    if _utc(timestamp) < now - timedelta(days=14):
        raise InvalidParameterValue(f"{prefix} within the past two weeks.")
    if _utc(timestamp) > now + timedelta(hours=2):
        raise InvalidParameterValue(f"{prefix} no more than two hours in the future.")


def _check_period(period: int) -> None:
    if period not in _SHORT_PERIODS and (period < STANDARD_RESOLUTION or period % STANDARD_RESOLUTION):
        raise InvalidParameterValue("The parameter Period must be 1, 5, 10, 20, 30, or a multiple of 60")


def _round_down(moment: datetime, seconds: int) -> datetime:
    return datetime.fromtimestamp(int(moment.timestamp()) // seconds * seconds, UTC)


def _utc(moment: datetime) -> datetime:
    """A request's timestamp in UTC; moto drops the time zone."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
