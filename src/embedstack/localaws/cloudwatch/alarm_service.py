"""CloudWatch's API of alarms."""

import json
from typing import Any

from moto.cloudwatch.exceptions import InvalidFormat, ResourceNotFound, ValidationError
from moto.core.responses import ActionResult, EmptyResult

from embedstack.localaws.cloudwatch.alarm_evaluator import PlacedAlarm
from embedstack.localaws.cloudwatch.metric_service import CloudWatchMetrics

_STATES = ("OK", "ALARM", "INSUFFICIENT_DATA")


class CloudWatch(CloudWatchMetrics):
    """Metrics, and alarms that are evaluated."""

    def put_metric_alarm(self) -> ActionResult:
        """PutMetricAlarm: moto reads the request, and the evaluator keeps what it makes of it."""
        super().put_metric_alarm()
        return EmptyResult()

    @property
    def cloudwatch_backend(self) -> Any:
        """Moto's backend, whose alarms are made and deleted by the evaluator."""
        return _Backend(super().cloudwatch_backend, self.monitoring.alarms, self.current_account, self.region)

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
