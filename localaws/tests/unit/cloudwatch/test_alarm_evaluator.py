"""Alarms by a time that the test moves: every skipped period in order, and actions as long as a state lasts."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from moto.cloudwatch.models import cloudwatch_backends

from localaws.core.clock import SimulatedTime
from localaws.services.cloudwatch.alarm_actions import AlarmAction
from localaws.services.cloudwatch.alarm_states import PlacedAlarm
from localaws.services.cloudwatch.monitoring import Monitoring
from localaws.services.sagemaker.telemetry.identities import VariantId
from localaws.services.sagemaker.telemetry.metrics import MetricRecorder

# moto's state is one per process: no other test has this account.
ACCOUNT, REGION = "210987654321", "us-east-1"
PLACE = (ACCOUNT, REGION)
POLICY = "arn:aws:autoscaling:us-east-1:210987654321:scalingPolicy:p"
VARIANT = VariantId(ACCOUNT, REGION, "alex", "AllTraffic")


class World:
    """Metrics and alarms, and the time that they go by."""

    def __init__(self) -> None:
        self.time = SimulatedTime(0)
        self.time.advance(60 - self.time.now().timestamp() % 60)
        self.monitoring = Monitoring(self.time)
        self.recorder = MetricRecorder(self.time, self.monitoring.metrics)
        self.taken: list[AlarmAction] = []
        self.monitoring.alarms.on_action("arn:aws:autoscaling:", self.taken.append)

    def put(self, name: str = "busy", **changes: Any) -> Any:
        definition = {
            "name": name,
            "namespace": "AWS/SageMaker",
            "metric_name": "Invocations",
            "comparison_operator": "GreaterThanThreshold",
            "evaluation_periods": 1,
            "period": 60,
            "threshold": 5.0,
            "statistic": "Sum",
            "description": "",
            "dimensions": [{"Name": name, "Value": value} for name, value in VARIANT.dimensions],
            "alarm_actions": [POLICY],
            "treat_missing_data": "notBreaching",
        }
        return self.monitoring.alarms.put_metric_alarm(ACCOUNT, REGION, **definition | changes)

    def minute(self, requests: int = 0, minutes: int = 1) -> None:
        """Record requests, let minutes pass, and evaluate."""
        for _ in range(requests):
            self.recorder.record(VARIANT, [("Invocations", 1)])
        self.time.advance(60 * minutes)
        self.monitoring.alarms.evaluate_due()


@pytest.fixture
def world() -> Iterator[World]:
    yield World()
    cloudwatch_backends[ACCOUNT][REGION].alarms.clear()


def test_actions_are_taken_again_for_as_long_as_it_lasts(world: World) -> None:
    alarm = world.put()
    world.minute(requests=9)
    world.minute(requests=8)
    world.minute(minutes=5)
    assert alarm.state_value == "OK"
    states = [(action.previous_state, action.state, action.value) for action in world.taken]
    assert states[:2] == [("INSUFFICIENT_DATA", "ALARM", 9.0), ("ALARM", "ALARM", 8.0)]
    assert all(action.action_arn == POLICY for action in world.taken)
    assert [action.at for action in world.taken] == sorted(action.at for action in world.taken)


def test_skipped_periods_are_evaluated_in_order(world: World) -> None:
    alarm = world.put(evaluation_periods=2, datapoints_to_alarm=2, alarm_actions=[])
    for _ in range(2):
        for _ in range(6):
            world.recorder.record(VARIANT, [("Invocations", 1)])
        world.time.advance(60)
    world.time.advance(3600)
    world.monitoring.alarms.evaluate_due()
    assert alarm.state_value == "OK"
    changes = [
        entry.summary
        for entry in reversed(world.monitoring.alarms.history.entries(*PLACE))
        if entry.kind == "StateUpdate" and entry.timestamp > world.time.now() - timedelta(hours=2)
    ]
    assert changes[-3:] == [
        "Alarm updated from INSUFFICIENT_DATA to OK",
        "Alarm updated from OK to ALARM",
        "Alarm updated from ALARM to OK",
    ]


def test_high_resolution_alarms_are_evaluated_every_ten_seconds(world: World) -> None:
    alarm = world.put(period=10, metric_name="Busy", statistic="Maximum")
    world.recorder.record(VARIANT, [("Busy", 9)], resolution=10)
    world.time.advance(10)
    world.monitoring.alarms.evaluate_due()
    assert alarm.state_value == "ALARM"


def test_small_samples_of_a_percentile_change_nothing(world: World) -> None:
    changes: dict[str, Any] = {
        "statistic": None,
        "extended_statistic": "p95",
        "evaluate_low_sample_count_percentile": "ignore",
    }
    alarm = world.put(metric_name="ModelLatency", **changes)
    for count, expected in ((199, "INSUFFICIENT_DATA"), (200, "ALARM")):
        world.recorder.record(VARIANT, [("ModelLatency", 9)] * count)
        world.minute()
        assert alarm.state_value == expected
        world.time.advance(600)


def test_long_periods_slide_by_the_minute(world: World) -> None:
    alarm = world.put(period=300)
    world.minute(requests=6)
    assert alarm.state_value == "ALARM", "minutes 1 to 5 back from now have the requests already"


def test_composite_alarms_follow_and_a_cycle_ends(world: World) -> None:
    alarms = world.monitoring.alarms
    first = world.put("first", alarm_actions=[])
    for name, rule in (("upper", "ALARM(first)"), ("top", "ALARM(upper)"), ("upper", "ALARM(first) OR ALARM(top)")):
        alarms.put_composite_alarm(*PLACE, name=name, rule=rule, alarm_actions=[POLICY])
    known = cloudwatch_backends[ACCOUNT][REGION].alarms
    assert [known[name].state_value for name in ("upper", "top")] == ["OK", "OK"]

    alarms.set_state(PlacedAlarm(*PLACE, first), "ALARM", "a drill")
    assert [known[name].state_value for name in ("upper", "top")] == ["ALARM", "ALARM"]
    assert [action.alarm.name for action in world.taken] == ["upper", "top"]
    assert world.taken[0].triggers[0]["Arn"] == first.alarm_arn
    assert known["top"].state_reason.startswith(f"{known['upper'].alarm_arn} transitioned to ALARM at ")


def test_a_deleted_alarm_is_not_evaluated(world: World) -> None:
    world.put()
    world.monitoring.alarms.delete_alarms(ACCOUNT, REGION, ["busy", "unknown"])
    world.minute(requests=9)
    assert world.taken == []
    entry = world.monitoring.alarms.history.entries(ACCOUNT, REGION)[0]
    assert (entry.kind, entry.summary) == ("ConfigurationUpdate", 'Alarm "busy" deleted')


def test_an_alarm_that_moto_made_by_itself_is_evaluated(world: World) -> None:
    backend = cloudwatch_backends[ACCOUNT][REGION]
    made = world.put()
    alarm = backend.put_metric_alarm(
        "made",
        "AWS/SageMaker",
        "Invocations",
        "LessThanThreshold",
        1,
        60,
        5.0,
        "Sum",
        "",
        [],
        [],
        treat_missing_data="breaching",
    )
    assert alarm is not made
    world.minute()
    assert alarm.state_value == "ALARM"


def test_a_handler_that_fails_stops_nothing(world: World) -> None:
    def fail(_: AlarmAction) -> None:
        raise ValueError("no capacity")

    world.monitoring.alarms.on_action("arn:aws:autoscaling:", fail)
    alarm = world.put()
    world.minute(requests=9)
    assert alarm.state_value == "ALARM"
    (entry, *_) = [item for item in world.monitoring.alarms.history.entries(*PLACE) if item.kind == "Action"]
    assert "no capacity" in entry.summary


def test_evaluates_in_the_background_until_closed(world: World) -> None:
    alarm = world.put()
    world.recorder.record(VARIANT, [("Invocations", 1)] * 9)
    world.monitoring.alarms.start()
    world.time.advance(60)
    deadline = datetime.now() + timedelta(seconds=10)  # noqa: DTZ005 - how long a test waits
    while alarm.state_value != "ALARM":
        assert datetime.now() < deadline  # noqa: DTZ005
    world.monitoring.alarms.close()
    world.put("later")
    world.time.advance(60)
    assert cloudwatch_backends[ACCOUNT][REGION].alarms["later"].state_value == "INSUFFICIENT_DATA"
