"""CloudWatch's API of alarms."""

import json
from collections.abc import Callable
from typing import Any

from moto.cloudwatch.exceptions import InvalidFormat, InvalidParameterValue, ResourceNotFound, ValidationError
from moto.core.responses import ActionResult, EmptyResult

from localaws.services.cloudwatch.alarm_states import PlacedAlarm, children_of
from localaws.services.cloudwatch.alarm_validation import check_actions, check_metric_alarm
from localaws.services.cloudwatch.composite_rule import RuleError, name_of, parse_rule
from localaws.services.cloudwatch.metric_service import CloudWatchMetrics, utc

_STATES = ("OK", "ALARM", "INSUFFICIENT_DATA")
_COMPOSITE_OPTIONS = ("ActionsSuppressor", "ActionsSuppressorWaitPeriod", "ActionsSuppressorExtensionPeriod")
_METRIC_OPTIONS = ("EvaluationWindow", "WarmUpConfiguration", "EvaluationCriteria", "EvaluationInterval")
_PAGE = 100
#: By member of DescribeAlarmsForMetric, moto's name for it.
_ALARM_OPTIONS = {
    "ExtendedStatistic": "extended_statistic",
    "Period": "period",
    "Statistic": "statistic",
    "Unit": "unit",
}


class CloudWatch(CloudWatchMetrics):
    """Metrics, and alarms that are evaluated."""

    @property
    def cloudwatch_backend(self) -> Any:
        """Moto's backend, with alarms put and deleted by way of the evaluator."""
        return _Backend(super().cloudwatch_backend, self.monitoring.alarms, self.current_account, self.region)

    def put_metric_alarm(self) -> ActionResult:
        """PutMetricAlarm."""
        request = self._get_params()
        self._refuse_options(request, _METRIC_OPTIONS)
        check_metric_alarm(request, self.region)
        self._refuse_other_kind(request["AlarmName"], composite=False)
        super().put_metric_alarm()
        return EmptyResult()

    def put_composite_alarm(self) -> ActionResult:
        """PutCompositeAlarm."""
        request = self._get_params()
        self._refuse_options(request, _COMPOSITE_OPTIONS)
        check_actions(request, self.region)
        name = request["AlarmName"]
        self._refuse_other_kind(name, composite=True)
        try:
            children = parse_rule(request["AlarmRule"]).children
        except RuleError as error:
            raise ValidationError(str(error)) from error
        unknown = [child for child in map(name_of, children) if child not in self.cloudwatch_backend.alarms]
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
        """DeleteAlarms; one composite alarm at a time, as on AWS."""
        names = self._get_param("AlarmNames", [])
        alarms = self.cloudwatch_backend.alarms
        composites = [name for name in names if name in alarms and alarms[name].rule is not None]
        if composites and len(names) > 1:
            raise ValidationError("Only one composite alarm can be deleted at a time")
        return super().delete_alarms()

    def describe_alarms(self) -> ActionResult:
        """DescribeAlarms: metric alarms alone, unless composite ones are asked for."""
        request = self._get_params()
        kinds = request.get("AlarmTypes") or ["MetricAlarm"]
        filters = self._filters(request)
        alarms = sorted(self.cloudwatch_backend.alarms.values(), key=lambda alarm: str(alarm.name))
        found = [
            alarm
            for alarm in alarms
            if ("MetricAlarm" if alarm.rule is None else "CompositeAlarm") in kinds
            and all(accepts(alarm) for accepts in filters)
        ]
        page, token = _paged(found, request)
        return ActionResult(
            {
                "MetricAlarms": [alarm for alarm in page if alarm.rule is None],
                "CompositeAlarms": [alarm for alarm in page if alarm.rule is not None],
                "NextToken": token,
            }
        )

    def describe_alarms_for_metric(self) -> ActionResult:
        """DescribeAlarmsForMetric: the alarms of exactly this metric; those of metric math are left out, as on AWS."""
        request = self._get_params()
        wanted = {(item["Name"], item["Value"]) for item in request.get("Dimensions", [])}
        options = [(request.get(member), name) for member, name in _ALARM_OPTIONS.items() if request.get(member)]
        found = [
            alarm
            for alarm in self.cloudwatch_backend.alarms.values()
            if (alarm.metric_name, alarm.namespace) == (request["MetricName"], request["Namespace"])
            and {(dimension.name, dimension.value) for dimension in alarm.dimensions} == wanted
            and all(getattr(alarm, name) == value for value, name in options)
        ]
        return ActionResult({"MetricAlarms": found})

    def describe_alarm_history(self) -> ActionResult:
        """DescribeAlarmHistory: of metric alarms alone, unless composite ones are asked for."""
        request = self._get_params()
        name, kind = request.get("AlarmName"), request.get("HistoryItemType")
        start, end = request.get("StartDate"), request.get("EndDate")
        kinds = request.get("AlarmTypes") or ["MetricAlarm"]
        found = [
            entry.describe()
            for entry in self.monitoring.alarms.history.entries(self.current_account, self.region)
            if name in (None, entry.alarm_name)
            and kind in (None, entry.kind)
            and entry.alarm_type in kinds
            and (start is None or entry.timestamp >= utc(start))
            and (end is None or entry.timestamp <= utc(end))
        ]
        if request.get("ScanBy") == "TimestampAscending":
            found.reverse()
        page, token = _paged(found, request)
        return ActionResult({"AlarmHistoryItems": page, "NextToken": token})

    def set_alarm_state(self) -> ActionResult:
        """SetAlarmState: until the next evaluation."""
        name, state = self._get_param("AlarmName"), self._get_param("StateValue")
        reason_data = self._get_param("StateReasonData")
        try:
            json.loads(reason_data or "{}")
        except ValueError:
            raise InvalidFormat("Unknown") from None
        alarm = self.cloudwatch_backend.alarms.get(name)
        if alarm is None:
            raise ResourceNotFound
        if state not in _STATES:
            raise ValidationError(
                f"1 validation error detected: Value '{state}' at 'stateValue' failed to satisfy constraint: "
                "Member must satisfy enum value set: [INSUFFICIENT_DATA, ALARM, OK]"
            )
        placed = PlacedAlarm(self.current_account, self.region, alarm)
        self.monitoring.alarms.set_state(placed, state, self._get_param("StateReason"), reason_data)
        return EmptyResult()

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
            children = self._children(name_of(parent))
            filters.append(lambda alarm: alarm.name in children)
        if child := request.get("ParentsOfAlarmName"):
            filters.append(lambda alarm: alarm.rule is not None and name_of(child) in children_of(alarm))
        return filters

    def _children(self, parent: str) -> list[str]:
        alarm = self.cloudwatch_backend.alarms.get(parent)
        return [] if alarm is None or alarm.rule is None else children_of(alarm)

    def _refuse_other_kind(self, name: str, *, composite: bool) -> None:
        alarm = self.cloudwatch_backend.alarms.get(name)
        if alarm is not None and (alarm.rule is not None) != composite:
            kind = "composite" if alarm.rule is not None else "metric"
            raise ValidationError(f"The alarm {name} exists already as a {kind} alarm")

    @staticmethod
    def _refuse_options(request: dict[str, Any], options: tuple[str, ...]) -> None:
        for option in options:
            if request.get(option):
                raise NotImplementedError(f"an alarm with {option}")


class _Backend:
    """moto's backend for one request, with alarms put and deleted by way of the evaluator."""

    def __init__(self, backend: Any, alarms: Any, account_id: str, region: str) -> None:
        self._backend = backend
        self._alarms = alarms
        self._place = (account_id, region)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    def put_metric_alarm(self, **definition: Any) -> Any:
        return self._alarms.put_metric_alarm(*self._place, **definition)

    def delete_alarms(self, alarm_names: list[str]) -> None:
        self._alarms.delete_alarms(*self._place, alarm_names)


def _paged(items: list[Any], request: dict[str, Any]) -> tuple[list[Any], str | None]:
    """One page, and the token of the next."""
    token, size = request.get("NextToken"), int(request.get("MaxRecords") or _PAGE)
    if token is not None and (not str(token).isdigit() or int(token) >= len(items)):
        raise InvalidParameterValue("Request parameter NextToken is invalid")
    start = int(token or 0)
    return items[start : start + size], str(start + size) if start + size < len(items) else None
