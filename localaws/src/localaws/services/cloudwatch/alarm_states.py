"""The alarms of a local AWS: made, deleted, brought into another state, and their actions taken."""

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from moto.cloudwatch.models import cloudwatch_backends

from localaws.services.cloudwatch.alarm_actions import ActionDispatcher, ActionHandler, AlarmAction
from localaws.services.cloudwatch.alarm_history import AlarmHistory
from localaws.services.cloudwatch.alarm_notifications import stamp
from localaws.services.cloudwatch.composite_rule import name_of, parse_rule

if TYPE_CHECKING:
    from localaws.core.clock import SimulatedTime

_STATE_MEMBERS = (
    "state_value",
    "state_reason",
    "state_reason_data",
    "state_updated_timestamp",
    "state_transitioned_timestamp",
)


class PlacedAlarm(NamedTuple):
    """One of moto's alarms, and where it is."""

    account_id: str
    region: str
    alarm: Any


class StateChange(NamedTuple):
    """The state that an alarm is to have, and why."""

    state: str
    reason: str
    reason_data: str
    """JSON, or empty."""
    at: datetime
    value: float | None = None
    """The latest datapoint; None where it is not for one."""
    triggers: tuple[dict[str, Any], ...] = ()
    """Of a composite alarm, the children that changed."""


class AlarmStates:
    """All alarms of a local AWS. Their definitions and states are in moto's backends."""

    def __init__(self, time: "SimulatedTime") -> None:
        """Start without alarms; what happens to them is stamped with this time."""
        self.history = AlarmHistory()
        self._time = time
        self._actions = ActionDispatcher()
        self._lock = threading.RLock()

    def on_action(self, prefix: str, handler: ActionHandler) -> None:
        """Take actions whose ARN begins so, such as ``arn:aws:autoscaling:``.

        The handler is called without any lock held: when the alarm changes to the state that the action is for, and
        again every minute for as long as the state lasts.
        """
        self._actions.register(prefix, handler)

    def put_metric_alarm(self, account_id: str, region: str, **definition: Any) -> Any:
        """Make a metric alarm, or give one another definition.

        A new alarm's state is ``INSUFFICIENT_DATA``; one that is updated keeps its state and its tags (API reference
        of PutMetricAlarm).

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
            alarm = backend.put_metric_alarm(**definition | ({"tags": None} if before else {}))
            now = alarm.configuration_updated_timestamp = self._time.now()
            if before is None:
                alarm.state_value = "INSUFFICIENT_DATA"
                alarm.state_updated_timestamp = alarm.state_transitioned_timestamp = now
            else:
                for member in _STATE_MEMBERS:
                    setattr(alarm, member, getattr(before, member, None))
        self._note(PlacedAlarm(account_id, region, alarm), "Create" if before is None else "Update")
        return alarm

    def put_composite_alarm(self, account_id: str, region: str, *, name: str, rule: str, **definition: Any) -> Any:
        """Make a composite alarm, or change it, and evaluate it at once.

        Args:
            account_id: Whose.
            region: Where.
            name: The alarm's name.
            rule: Its rule.
            **definition: description, actions_enabled, alarm_actions, ok_actions, insufficient_data_actions and tags.

        Returns:
            moto's alarm.

        Raises:
            RuleError: The rule does not parse.
        """
        parse_rule(rule)
        created = name not in cloudwatch_backends[account_id][region].alarms
        unused = dict.fromkeys(_METRIC_MEMBERS)
        alarm = self.put_metric_alarm(
            account_id, region, **unused | definition | {"name": name, "rule": rule, "dimensions": []}
        )
        placed = PlacedAlarm(account_id, region, alarm)
        what = f"{alarm.alarm_arn} was {'created' if created else 'updated'} and its alarm rule evaluates to"
        self._take(self._settle(placed, what, None, ()))
        return alarm

    def delete_alarms(self, account_id: str, region: str, names: list[str]) -> None:
        """Delete alarms; those that are not there are none."""
        backend = cloudwatch_backends[account_id][region]
        with self._lock:
            gone = [alarm for name in names if (alarm := backend.alarms.pop(name, None)) is not None]
        for alarm in gone:
            backend.tagger.delete_all_tags_for_resource(alarm.alarm_arn)
            self._note(PlacedAlarm(account_id, region, alarm), "Delete")

    def set_state(self, placed: PlacedAlarm, state: str, reason: str, reason_data: str | None = None) -> None:
        """Give an alarm a state, with its actions, until the next evaluation gives it its own."""
        change = StateChange(state, reason, reason_data or "", self._time.now())
        self._take(self._change(placed, change))

    def _change(self, placed: PlacedAlarm, change: StateChange, path: tuple[str, ...] = ()) -> list[AlarmAction]:
        """Change an alarm's state, and that of the composite alarms over it.

        Returns:
            What is to be done about it, once no lock is held.
        """
        account_id, region, alarm = placed
        with self._lock:
            if cloudwatch_backends[account_id][region].alarms.get(alarm.name) is not alarm:
                return []  # deleted or replaced while it was evaluated
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
                for arn in actions_for(alarm, change.state)
            ]
            return actions + self._settle_parents(placed, (*path, alarm.name))

    def _settle_parents(self, child: PlacedAlarm, path: tuple[str, ...]) -> list[AlarmAction]:
        """Evaluate the composite alarms over an alarm that changed; a cycle ends the evaluation, as on AWS."""
        changed = child.alarm
        reason = (
            f"{changed.alarm_arn} transitioned to {changed.state_value} "
            f"at {changed.state_updated_timestamp:%A %d %B, %Y %H:%M:%S} UTC"
        )
        actions = []
        for parent in alarms_in(child.account_id, child.region):
            alarm = parent.alarm
            if alarm.rule is not None and alarm.name not in path and changed.name in children_of(alarm):
                actions += self._settle(parent, reason, changed, path)
        return actions

    def _settle(self, placed: PlacedAlarm, reason: str, changed: Any, path: tuple[str, ...]) -> list[AlarmAction]:
        """Give a composite alarm the state that its rule says."""
        account_id, region, alarm = placed
        alarms = cloudwatch_backends[account_id][region].alarms

        def state_of(reference: str) -> str:
            child = alarms.get(name_of(reference))
            return child.state_value if child else ""

        with self._lock:
            state = "ALARM" if parse_rule(alarm.rule).holds(state_of) else "OK"
            if state == alarm.state_value:
                return []
            known = [changed] if changed else [alarms[name] for name in children_of(alarm) if name in alarms]
            triggers = tuple(
                {"Arn": child.alarm_arn, "State": {"Value": child.state_value, "Timestamp": stamp(_since(child))}}
                for child in known
            )
            data = {
                "triggeringAlarms": [
                    {"arn": item["Arn"], "state": {key.lower(): value for key, value in item["State"].items()}}
                    for item in triggers
                ]
            }
            at = _since(changed) if changed else self._time.now()
            text = reason if changed else f"{reason} {state}"
            return self._change(placed, StateChange(state, text, json.dumps(data), at, None, triggers), path)

    def _take(self, actions: list[AlarmAction]) -> None:
        for action in actions:
            data = self._actions.take(action)
            if action.state == action.previous_state:
                continue
            done = "Successfully executed" if data["actionState"] == "Succeeded" else "Failed to execute"
            tail = f'. Received error: "{data["error"]}"' if "error" in data else ""
            summary = f"{done} action {action.action_arn}{tail}"
            self.history.add(action.account_id, action.region, action.alarm, action.at, "Action", summary, data)

    def _note(self, placed: PlacedAlarm, kind: str) -> None:
        account_id, region, alarm = placed
        summary = f'Alarm "{alarm.name}" {kind.lower().removesuffix("e")}ed'
        self.history.add(account_id, region, alarm, self._time.now(), "ConfigurationUpdate", summary, {"type": kind})


#: Arguments of moto's that a composite alarm has no use for, and those that it may leave out.
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


def children_of(composite: Any) -> list[str]:
    """Names of the alarms in a composite alarm's rule."""
    return [name_of(reference) for reference in parse_rule(composite.rule).children]


def alarms_in(account_id: str, region: str) -> list[PlacedAlarm]:
    """Every alarm of an account and region."""
    alarms = list(cloudwatch_backends[account_id][region].alarms.values())
    return [PlacedAlarm(account_id, region, _adopted(alarm)) for alarm in alarms]


def all_alarms() -> Iterator[PlacedAlarm]:
    """Every alarm there is."""
    for account_id, regions in list(cloudwatch_backends.items()):
        for region in list(regions):
            yield from alarms_in(account_id, region)


def actions_for(alarm: Any, state: str) -> list[str]:
    """ARNs of what an alarm does in a state."""
    if not alarm.actions_enabled:
        return []
    of_state = {"OK": alarm.ok_actions, "ALARM": alarm.alarm_actions}
    return list(of_state.get(state, alarm.insufficient_data_actions))


def _adopted(alarm: Any) -> Any:
    """The alarm; one that moto made by itself (for CloudFormation) begins as all others do."""
    if alarm.state_updated_timestamp.tzinfo is None:
        for member in ("configuration_updated_timestamp", "state_updated_timestamp"):
            setattr(alarm, member, getattr(alarm, member).replace(tzinfo=UTC))
        alarm.state_transitioned_timestamp = alarm.state_updated_timestamp
        alarm.state_value = "INSUFFICIENT_DATA"
    return alarm


def _since(alarm: Any) -> datetime:
    moment: datetime = alarm.state_updated_timestamp
    return moment
