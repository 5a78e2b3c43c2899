"""Evaluates every alarm by the local AWS's time, and takes its actions."""

import json
import logging
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from moto.cloudwatch.models import cloudwatch_backends

from embedstack.localaws.cloudwatch.alarm_actions import ActionDispatcher, ActionHandler, AlarmAction
from embedstack.localaws.cloudwatch.alarm_history import AlarmHistory
from embedstack.localaws.cloudwatch.alarm_notifications import stamp
from embedstack.localaws.cloudwatch.alarm_readings import AlarmReadings, condition_of, has_low_samples, period_of
from embedstack.localaws.cloudwatch.alarm_state import Verdict, evaluate
from embedstack.localaws.cloudwatch.metric_math import ExpressionError

if TYPE_CHECKING:
    from embedstack.localaws.cloudwatch.metric_store import MetricStore
    from embedstack.localaws.simulated_time import SimulatedTime

_logger = logging.getLogger(__name__)

#: Alarms of a high-resolution period are evaluated every ten seconds, the others every minute, whatever their period
#: (CloudWatch user guide, "Alarm evaluation").
_TICK = 10
_MINUTE = 60


class PlacedAlarm(NamedTuple):
    """One of moto's alarms, and where it is."""

    account_id: str
    region: str
    alarm: Any


class AlarmEvaluator:
    """All alarms of a local AWS. Their definitions and states are in moto's backends."""

    def __init__(self, store: "MetricStore", time: "SimulatedTime") -> None:
        """Prepare; alarms are evaluated by :meth:`evaluate_due`, which :meth:`start` does in the background."""
        self.history = AlarmHistory()
        self._readings = AlarmReadings(store)
        self._time = time
        self._actions = ActionDispatcher()
        self._lock = threading.RLock()
        self._turn = threading.Lock()
        self._next = _tick_after(time.now())
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def on_action(self, prefix: str, handler: ActionHandler) -> None:
        """Take actions whose ARN begins so, such as ``arn:aws:autoscaling:``.

        The handler is called in the evaluator's thread, without any of its locks: when the alarm changes to the state
        that the action is for, and again every minute for as long as the state lasts.
        """
        self._actions.register(prefix, handler)

    def start(self) -> None:
        """Evaluate in the background until :meth:`close`."""
        self._thread = threading.Thread(target=self._run, name="alarm-evaluator", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop evaluating, and wait until the last evaluation has finished."""
        self._stopped.set()
        self._time.advance(0)  # wakes who waits
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def evaluate_due(self) -> None:
        """Evaluate what has become due, in the order of simulated time: time may have been moved on by hours."""
        with self._turn:
            now = self._time.now()
            while self._next <= now and not self._stopped.is_set():
                moment, self._next = self._next, self._next + timedelta(seconds=_TICK)
                self._evaluate_at(moment)

    def put_metric_alarm(self, account_id: str, region: str, **definition: Any) -> Any:
        """Make a metric alarm, or give one another definition.

        A new alarm's state is ``INSUFFICIENT_DATA``; one that is updated keeps its state (API reference of
        PutMetricAlarm).

        Args:
            account_id: Whose.
            region: Where.
            **definition: The arguments of moto's ``CloudWatchBackend.put_metric_alarm``: name, namespace,
                metric_name, comparison_operator, evaluation_periods, period, threshold, statistic, description,
                dimensions, alarm_actions, …

        Returns:
            moto's alarm.
        """
        backend = cloudwatch_backends[account_id][region]
        with self._lock:
            before = backend.alarms.get(definition["name"])
            alarm = backend.put_metric_alarm(**definition)
            now = alarm.configuration_updated_timestamp = self._time.now()
            if before is None:
                alarm.state_value = "INSUFFICIENT_DATA"
                alarm.state_updated_timestamp = alarm.state_transitioned_timestamp = now
            else:
                for member in _STATE:
                    setattr(alarm, member, getattr(before, member, None))
        done = "created" if before is None else "updated"
        summary = f'Alarm "{alarm.name}" {done}'
        data = {"type": "Create" if before is None else "Update"}
        self.history.add(account_id, region, alarm, now, "ConfigurationUpdate", summary, data)
        return alarm

    def delete_alarms(self, account_id: str, region: str, names: list[str]) -> None:
        """Delete alarms; those that are not there are none."""
        backend = cloudwatch_backends[account_id][region]
        with self._lock:
            gone = [alarm for name in names if (alarm := backend.alarms.pop(name, None)) is not None]
        for alarm in gone:
            backend.tagger.delete_all_tags_for_resource(alarm.alarm_arn)
            summary = f'Alarm "{alarm.name}" deleted'
            self.history.add(
                account_id, region, alarm, self._time.now(), "ConfigurationUpdate", summary, {"type": "Delete"}
            )

    def set_state(self, placed: PlacedAlarm, state: str, reason: str, reason_data: str | None = None) -> None:
        """Give an alarm a state, with its actions, until the next evaluation gives it its own."""
        data = reason_data or ""
        self._take(self._change(placed, state, reason, data, self._time.now(), value=None))

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                self.evaluate_due()
            except Exception:
                # The next evaluation may succeed; without this thread no alarm would ever again.
                _logger.exception("evaluating alarms failed")
            self._time.wait((self._next - self._time.now()).total_seconds(), self._stopped)

    def _evaluate_at(self, moment: datetime) -> None:
        full_minute = moment.second == 0
        for placed in _alarms():
            alarm = placed.alarm
            if alarm.rule is None and (full_minute or period_of(alarm) < _MINUTE):
                self._evaluate(placed, moment, repeat=full_minute)

    def _evaluate(self, placed: PlacedAlarm, moment: datetime, *, repeat: bool) -> None:
        account_id, region, alarm = placed
        try:
            periods = self._readings.before(account_id, region, alarm, moment)
        except (ExpressionError, NotImplementedError) as error:
            _logger.warning("alarm %s cannot be evaluated: %s", alarm.name, error)
            return
        condition = condition_of(alarm)
        verdict = evaluate(condition, periods)
        if verdict is not None and has_low_samples(alarm, verdict.readings):
            verdict = None
        latest = next((reading.value for reading in periods if reading is not None), None)
        if verdict is not None and verdict.state != alarm.state_value:
            data = _reason_data(alarm, verdict, moment)
            self._take(self._change(placed, verdict.state, verdict.reason, data, moment, value=latest))
        elif repeat:
            state = alarm.state_value
            self._take(
                [
                    AlarmAction(arn, account_id, region, alarm, state, state, moment, latest)
                    for arn in _actions_for(alarm, state)
                    if self._actions.repeats(arn)
                ]
            )

    def _change(
        self, placed: PlacedAlarm, state: str, reason: str, data: str, at: datetime, *, value: float | None
    ) -> list[AlarmAction]:
        """Change an alarm's state.

        Returns:
            What is to be done about it, once no lock is held.
        """
        account_id, region, alarm = placed
        with self._lock:
            if cloudwatch_backends[account_id][region].alarms.get(alarm.name) is not alarm:
                return []  # deleted or replaced while it was evaluated
            before = {"stateValue": alarm.state_value, "stateReason": alarm.state_reason}
            alarm.state_value, alarm.state_reason, alarm.state_reason_data = state, reason, data
            alarm.state_updated_timestamp = at
            changed = state != before["stateValue"]
            if changed:
                alarm.state_transitioned_timestamp = at
        if not changed:
            return []
        after = {"stateValue": state, "stateReason": reason, "stateReasonData": json.loads(data or "null")}
        summary = f"Alarm updated from {before['stateValue']} to {state}"
        self.history.add(account_id, region, alarm, at, "StateUpdate", summary, {"oldState": before, "newState": after})
        return [
            AlarmAction(arn, account_id, region, alarm, state, before["stateValue"], at, value)
            for arn in _actions_for(alarm, state)
        ]

    def _take(self, actions: list[AlarmAction]) -> None:
        for action in actions:
            data = self._actions.take(action)
            if action.state == action.previous_state:
                continue
            done = "Successfully executed" if data["actionState"] == "Succeeded" else "Failed to execute"
            tail = f'. Received error: "{data["error"]}"' if "error" in data else ""
            summary = f"{done} action {action.action_arn}{tail}"
            self.history.add(
                action.account_id,
                action.region,
                action.alarm,
                action.at,
                "Action",
                summary,
                {**data, "publishedMessage": None},
            )


_STATE = (
    "state_value",
    "state_reason",
    "state_reason_data",
    "state_updated_timestamp",
    "state_transitioned_timestamp",
)


def _alarms() -> Iterator[PlacedAlarm]:
    """Every alarm there is."""
    for account_id, regions in list(cloudwatch_backends.items()):
        for region, backend in list(regions.items()):
            for alarm in list(backend.alarms.values()):
                yield PlacedAlarm(account_id, region, alarm)


def _actions_for(alarm: Any, state: str) -> list[str]:
    if not alarm.actions_enabled:
        return []
    of_state = {"OK": alarm.ok_actions, "ALARM": alarm.alarm_actions}
    return list(of_state.get(state, alarm.insufficient_data_actions))


def _reason_data(alarm: Any, verdict: Verdict, moment: datetime) -> str:
    data: dict[str, Any] = {"version": "1.0", "queryDate": stamp(moment)}
    if verdict.readings:
        data["startDate"] = stamp(verdict.readings[-1].start)
    if alarm.unit:
        data["unit"] = alarm.unit
    statistic = alarm.extended_statistic or alarm.statistic
    if statistic:
        data["statistic"] = statistic
    evaluated = [
        {"timestamp": stamp(reading.start), "value": reading.value}
        | ({} if reading.samples is None else {"sampleCount": reading.samples})
        for reading in verdict.readings
    ]
    data |= {
        "period": period_of(alarm),
        "recentDatapoints": [reading.value for reading in reversed(verdict.readings)],
        "threshold": alarm.threshold,
        "evaluatedDatapoints": evaluated,
    }
    return json.dumps(data, separators=(",", ":"))


def _tick_after(moment: datetime) -> datetime:
    return datetime.fromtimestamp((int(moment.timestamp()) // _TICK + 1) * _TICK, UTC)
