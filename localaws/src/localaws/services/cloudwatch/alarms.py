"""The alarms of a local AWS: their definitions, their states and their evaluation on the simulated clock."""

import json
import logging
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from moto.cloudwatch.models import cloudwatch_backends

from localaws.services.cloudwatch.alarm_actions import ActionDispatcher, ActionHandler, AlarmAction, format_timestamp
from localaws.services.cloudwatch.alarm_evaluation import (
    AlarmReadings,
    Evaluation,
    condition_of,
    evaluate,
    has_low_samples,
)
from localaws.services.cloudwatch.alarm_history import AlarmHistory
from localaws.services.cloudwatch.composite_rule import alarm_name, parse_rule

if TYPE_CHECKING:
    from localaws.core.clock import SimulatedTime
    from localaws.services.cloudwatch.metric_store import MetricStore

__all__ = ["AlarmLocation", "Alarms", "children_of"]

_logger = logging.getLogger(__name__)

#: Alarms with a high-resolution period are evaluated every ten seconds, the others every minute, whatever their period
#: (CloudWatch user guide, "Alarm evaluation").
_TICK = 10
_MINUTE = 60
_STATE_MEMBERS = (
    "state_value",
    "state_reason",
    "state_reason_data",
    "state_updated_timestamp",
    "state_transitioned_timestamp",
)
#: Arguments of moto's put_metric_alarm that a composite alarm does not have.
_METRIC_MEMBERS = (
    "namespace",
    "metric_name",
    "comparison_operator",
    "evaluation_periods",
    "period",
    "threshold",
    "statistic",
    "description",
)


class AlarmLocation(NamedTuple):
    """One of moto's alarms with its account and region."""

    account_id: str
    region: str
    alarm: Any


class _StateChange(NamedTuple):
    """A new state of an alarm, with the reason.

    Attributes:
        state: The state.
        reason: The reason in CloudWatch's words.
        reason_data: JSON, or empty.
        at: The simulated time of the change.
        value: The latest datapoint; None if the change is not due to one.
        triggers: For a composite alarm, the children that changed.
    """

    state: str
    reason: str
    reason_data: str
    at: datetime
    value: float | None = None
    triggers: tuple[dict[str, Any], ...] = ()


class Alarms:
    """All alarms of a local AWS. Their definitions and states are stored in moto's backends."""

    def __init__(self, store: "MetricStore", time: "SimulatedTime", history: AlarmHistory | None = None) -> None:
        """Prepare; :meth:`start` evaluates alarms in the background, :meth:`evaluate_due` in the caller's thread."""
        self.history = history or AlarmHistory()
        self._time = time
        self._actions = ActionDispatcher()
        self._lock = threading.RLock()
        self._readings = AlarmReadings(store)
        self._evaluating = threading.Lock()
        self._samplers: list[Callable[[datetime], None]] = []
        self._next = _next_tick(time.now())
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def on_action(self, prefix: str, handler: ActionHandler) -> None:
        """Register a handler for actions whose ARN has a prefix, such as ``arn:aws:autoscaling:``.

        The handler is called without any lock held: when the alarm changes to the state of the action, and every
        minute while the state lasts.
        """
        self._actions.register(prefix, handler)

    def on_minute(self, sample: Callable[[datetime], None]) -> None:
        """Call ``sample`` with each full minute before alarms are evaluated, including skipped minutes.

        It records metrics that are measured per minute and not per request, so that minutes skipped by advancing the
        clock have data too.
        """
        self._samplers.append(sample)

    def start(self) -> None:
        """Evaluate alarms in the background until :meth:`close`."""
        self._thread = threading.Thread(target=self._run, name="alarm-evaluator", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop evaluating, and wait for the last evaluation to finish."""
        self._stopped.set()
        self._time.advance(0)  # wakes the thread
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def evaluate_due(self) -> None:
        """Run all due evaluations in the order of simulated time, which may have advanced by hours."""
        with self._evaluating:
            now = self._time.now()
            while self._next <= now and not self._stopped.is_set():
                moment, self._next = self._next, self._next + timedelta(seconds=_TICK)
                self._evaluate_at(moment)

    def put_metric_alarm(self, account_id: str, region: str, **definition: Any) -> Any:
        """Create or update a metric alarm.

        A new alarm's state is ``INSUFFICIENT_DATA``; an update keeps the state and the tags (API reference of
        PutMetricAlarm).

        Args:
            account_id: The account.
            region: The region.
            **definition: The arguments of moto's ``CloudWatchBackend.put_metric_alarm``: name, namespace,
                metric_name, comparison_operator, evaluation_periods, period, threshold, statistic, description,
                dimensions, alarm_actions, …

        Returns:
            moto's alarm.
        """
        backend = cloudwatch_backends[account_id][region]
        with self._lock:
            before = backend.alarms.get(definition["name"])
            alarm = backend.put_metric_alarm(**definition | ({"tags": None} if before else {}))
            now = alarm.configuration_updated_timestamp = self._time.now()
            if before is None:
                alarm.state_value = "INSUFFICIENT_DATA"
                alarm.state_updated_timestamp = alarm.state_transitioned_timestamp = now
            else:
                for member in _STATE_MEMBERS:
                    setattr(alarm, member, getattr(before, member, None))
        self._record_configuration(AlarmLocation(account_id, region, alarm), "Create" if before is None else "Update")
        return alarm

    def put_composite_alarm(self, account_id: str, region: str, *, name: str, rule: str, **definition: Any) -> Any:
        """Create or update a composite alarm, and evaluate it immediately.

        Args:
            account_id: The account.
            region: The region.
            name: The alarm's name.
            rule: Its rule.
            **definition: description, actions_enabled, alarm_actions, ok_actions, insufficient_data_actions and tags.

        Returns:
            moto's alarm.

        Raises:
            RuleError: The rule cannot be parsed.
        """
        parse_rule(rule)
        created = name not in cloudwatch_backends[account_id][region].alarms
        unused = dict.fromkeys(_METRIC_MEMBERS)
        alarm = self.put_metric_alarm(
            account_id, region, **unused | definition | {"name": name, "rule": rule, "dimensions": []}
        )
        location = AlarmLocation(account_id, region, alarm)
        reason = f"{alarm.alarm_arn} was {'created' if created else 'updated'} and its alarm rule evaluates to"
        self._run_actions(self._evaluate_composite(location, reason, None, ()))
        return alarm

    def delete_alarms(self, account_id: str, region: str, names: list[str]) -> None:
        """Delete alarms; missing ones are ignored."""
        backend = cloudwatch_backends[account_id][region]
        with self._lock:
            deleted = [alarm for name in names if (alarm := backend.alarms.pop(name, None)) is not None]
        for alarm in deleted:
            backend.tagger.delete_all_tags_for_resource(alarm.alarm_arn)
            self._record_configuration(AlarmLocation(account_id, region, alarm), "Delete")

    def set_state(self, location: AlarmLocation, state: str, reason: str, reason_data: str | None = None) -> None:
        """Set an alarm's state until its next evaluation, and run the actions of the state."""
        change = _StateChange(state, reason, reason_data or "", self._time.now())
        self._run_actions(self._change(location, change))

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                self.evaluate_due()
            except Exception:
                # The next evaluation may succeed; without this thread no alarm would be evaluated.
                _logger.exception("evaluating alarms failed")
            self._time.wait((self._next - self._time.now()).total_seconds(), self._stopped)

    def _evaluate_at(self, moment: datetime) -> None:
        full_minute = moment.second == 0
        for sample in self._samplers if full_minute else ():
            try:
                sample(moment)
            except Exception:
                # Other metrics and the alarms do not depend on this one.
                _logger.exception("sampling metrics failed")
        for location in _all_alarms():
            alarm = location.alarm
            if alarm.rule is None and (full_minute or int(alarm.period) < _MINUTE):
                self._evaluate(location, moment)
            if full_minute:
                self._repeat_actions(location, moment)

    def _evaluate(self, location: AlarmLocation, moment: datetime) -> None:
        alarm = location.alarm
        evaluation = evaluate(condition_of(alarm), self._readings.before(*location, moment))
        if evaluation is None or has_low_samples(alarm, evaluation.readings) or evaluation.state == alarm.state_value:
            return
        latest = evaluation.readings[0].value if evaluation.readings else None
        data = _reason_data(alarm, evaluation, moment)
        change = _StateChange(evaluation.state, evaluation.reason, data, moment, latest)
        self._run_actions(self._change(location, change))

    def _repeat_actions(self, location: AlarmLocation, moment: datetime) -> None:
        """Repeat the actions that run every minute while a state lasts."""
        account_id, region, alarm = location
        state = alarm.state_value
        arns = [arn for arn in _actions_for(alarm, state) if self._actions.repeats(arn)]
        if not arns or alarm.state_updated_timestamp >= moment:
            return
        periods = self._readings.before(*location, moment) if alarm.rule is None else []
        latest = next((reading.value for reading in periods if reading is not None), None)
        self._run_actions([AlarmAction(arn, account_id, region, alarm, state, state, moment, latest) for arn in arns])

    def _change(self, location: AlarmLocation, change: _StateChange, path: tuple[str, ...] = ()) -> list[AlarmAction]:
        """Change an alarm's state, and the state of the composite alarms that contain it.

        Returns:
            The actions to run after the lock is released.
        """
        account_id, region, alarm = location
        with self._lock:
            if cloudwatch_backends[account_id][region].alarms.get(alarm.name) is not alarm:
                return []  # deleted or replaced during the evaluation
            before = {"stateValue": alarm.state_value, "stateReason": alarm.state_reason}
            changed = change.state != alarm.state_value
            alarm.state_value, alarm.state_reason = change.state, change.reason
            alarm.state_reason_data, alarm.state_updated_timestamp = change.reason_data, change.at
            if not changed:
                return []
            alarm.state_transitioned_timestamp = change.at
            after = {"stateValue": change.state, "stateReason": change.reason}
            if change.reason_data:
                after["stateReasonData"] = json.loads(change.reason_data)
            summary = f"Alarm updated from {before['stateValue']} to {change.state}"
            data = {"oldState": before, "newState": after}
            self.history.add(account_id, region, alarm, change.at, "StateUpdate", summary, data)
            actions = [
                AlarmAction(
                    arn,
                    account_id,
                    region,
                    alarm,
                    change.state,
                    before["stateValue"],
                    change.at,
                    change.value,
                    change.triggers,
                )
                for arn in _actions_for(alarm, change.state)
            ]
            return actions + self._evaluate_parents(location, (*path, alarm.name))

    def _evaluate_parents(self, child: AlarmLocation, path: tuple[str, ...]) -> list[AlarmAction]:
        """Evaluate the composite alarms that contain a changed alarm; a cycle ends the evaluation, as on AWS."""
        changed = child.alarm
        reason = (
            f"{changed.alarm_arn} transitioned to {changed.state_value} "
            f"at {changed.state_updated_timestamp:%A %d %B, %Y %H:%M:%S} UTC"
        )
        actions = []
        for parent in _alarms_in(child.account_id, child.region):
            alarm = parent.alarm
            if alarm.rule is not None and alarm.name not in path and changed.name in children_of(alarm):
                actions += self._evaluate_composite(parent, reason, changed, path)
        return actions

    def _evaluate_composite(
        self, location: AlarmLocation, reason: str, changed: Any, path: tuple[str, ...]
    ) -> list[AlarmAction]:
        """Set a composite alarm's state by its rule."""
        account_id, region, alarm = location
        alarms = cloudwatch_backends[account_id][region].alarms

        def state_of(reference: str) -> str:
            child = alarms.get(alarm_name(reference))
            return child.state_value if child else ""

        with self._lock:
            state = "ALARM" if parse_rule(alarm.rule).holds(state_of) else "OK"
            if state == alarm.state_value:
                return []
            children = [changed] if changed else [alarms[name] for name in children_of(alarm) if name in alarms]
            triggers = tuple(
                {
                    "Arn": child.alarm_arn,
                    "State": {
                        "Value": child.state_value,
                        "Timestamp": format_timestamp(child.state_updated_timestamp),
                    },
                }
                for child in children
            )
            data = {
                "triggeringAlarms": [
                    {"arn": item["Arn"], "state": {key.lower(): value for key, value in item["State"].items()}}
                    for item in triggers
                ]
            }
            at = changed.state_updated_timestamp if changed else self._time.now()
            text = reason if changed else f"{reason} {state}"
            return self._change(location, _StateChange(state, text, json.dumps(data), at, None, triggers), path)

    def _run_actions(self, actions: list[AlarmAction]) -> None:
        for action in actions:
            data = self._actions.run(action)
            if action.state == action.previous_state:
                continue
            outcome = "Successfully executed" if data["actionState"] == "Succeeded" else "Failed to execute"
            detail = f'. Received error: "{data["error"]}"' if "error" in data else ""
            summary = f"{outcome} action {action.action_arn}{detail}"
            self.history.add(action.account_id, action.region, action.alarm, action.at, "Action", summary, data)

    def _record_configuration(self, location: AlarmLocation, kind: str) -> None:
        account_id, region, alarm = location
        summary = f'Alarm "{alarm.name}" {kind.lower().removesuffix("e")}ed'
        self.history.add(account_id, region, alarm, self._time.now(), "ConfigurationUpdate", summary, {"type": kind})


def children_of(composite: Any) -> list[str]:
    """Names of the alarms in a composite alarm's rule."""
    return [alarm_name(reference) for reference in parse_rule(composite.rule).children]


def _alarms_in(account_id: str, region: str) -> list[AlarmLocation]:
    alarms = list(cloudwatch_backends[account_id][region].alarms.values())
    return [AlarmLocation(account_id, region, _initialized(alarm)) for alarm in alarms]


def _all_alarms() -> Iterator[AlarmLocation]:
    for account_id, regions in list(cloudwatch_backends.items()):
        for region in list(regions):
            yield from _alarms_in(account_id, region)


def _actions_for(alarm: Any, state: str) -> list[str]:
    """ARNs of an alarm's actions for a state."""
    if not alarm.actions_enabled:
        return []
    actions = {"OK": alarm.ok_actions, "ALARM": alarm.alarm_actions}
    return list(actions.get(state, alarm.insufficient_data_actions))


def _initialized(alarm: Any) -> Any:
    """The alarm, with the initial state of all others if moto created it for CloudFormation."""
    if alarm.state_updated_timestamp.tzinfo is None:
        for member in ("configuration_updated_timestamp", "state_updated_timestamp"):
            setattr(alarm, member, getattr(alarm, member).replace(tzinfo=UTC))
        alarm.state_transitioned_timestamp = alarm.state_updated_timestamp
        alarm.state_value = "INSUFFICIENT_DATA"
    return alarm


def _reason_data(alarm: Any, evaluation: Evaluation, moment: datetime) -> str:
    data: dict[str, Any] = {"version": "1.0", "queryDate": format_timestamp(moment)}
    if evaluation.readings:
        data["startDate"] = format_timestamp(evaluation.readings[-1].start)
    if alarm.unit:
        data["unit"] = alarm.unit
    data |= {
        "statistic": alarm.extended_statistic or alarm.statistic,
        "period": int(alarm.period),
        "recentDatapoints": [reading.value for reading in reversed(evaluation.readings)],
        "threshold": alarm.threshold,
        "evaluatedDatapoints": [
            {"timestamp": format_timestamp(reading.start), "value": reading.value, "sampleCount": reading.samples}
            for reading in evaluation.readings
        ],
    }
    return json.dumps(data, separators=(",", ":"))


def _next_tick(moment: datetime) -> datetime:
    return datetime.fromtimestamp((int(moment.timestamp()) // _TICK + 1) * _TICK, UTC)
