"""Alarms on a clock that the test advances."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from moto.cloudwatch.models import cloudwatch_backends

from localaws.core.clock import SimulatedTime
from localaws.services.cloudwatch.alarm_actions import AlarmAction
from localaws.services.cloudwatch.alarms import AlarmLocation
from localaws.services.cloudwatch.service import Monitoring
from localaws.services.sagemaker.telemetry.identities import VariantId
from localaws.services.sagemaker.telemetry.metrics import MetricRecorder

# moto's state is one per process: no other test has this account.
ACCOUNT, REGION = "210987654321", "us-east-1"
LOCATION = (ACCOUNT, REGION)
POLICY = "arn:aws:autoscaling:us-east-1:210987654321:scalingPolicy:p"
VARIANT = VariantId(ACCOUNT, REGION, "alex", "AllTraffic")


class Harness:
    """Metrics and alarms on one clock."""

    def __init__(self) -> None:
        self.time = SimulatedTime(0)
        self.time.advance(60 - self.time.now().timestamp() % 60)
        self.monitoring = Monitoring(self.time)
        self.recorder = MetricRecorder(self.time, self.monitoring.metrics)
        self.actions: list[AlarmAction] = []
        self.monitoring.alarms.on_action("arn:aws:autoscaling:", self.actions.append)

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
        """Record requests, advance the clock, and evaluate."""
        for _ in range(requests):
            self.recorder.record(VARIANT, [("Invocations", 1)])
        self.time.advance(60 * minutes)
        self.monitoring.alarms.evaluate_due()


@pytest.fixture
def harness() -> Iterator[Harness]:
    yield Harness()
    cloudwatch_backends[ACCOUNT][REGION].alarms.clear()


def test_alarm_actions_repeat_while_the_state_lasts(harness: Harness) -> None:
    alarm = harness.put()
    harness.minute(requests=9)
    harness.minute(requests=8)
    harness.minute(minutes=5)
    assert alarm.state_value == "OK"
    states = [(action.previous_state, action.state, action.value) for action in harness.actions]
    assert states[:2] == [("INSUFFICIENT_DATA", "ALARM", 9.0), ("ALARM", "ALARM", 8.0)]
    assert all(action.action_arn == POLICY for action in harness.actions)
    assert [action.at for action in harness.actions] == sorted(action.at for action in harness.actions)


def test_alarm_evaluates_skipped_periods_in_order(harness: Harness) -> None:
    alarm = harness.put(evaluation_periods=2, datapoints_to_alarm=2, alarm_actions=[])
    for _ in range(2):
        for _ in range(6):
            harness.recorder.record(VARIANT, [("Invocations", 1)])
        harness.time.advance(60)
    harness.time.advance(3600)
    harness.monitoring.alarms.evaluate_due()
    assert alarm.state_value == "OK"
    changes = [
        entry.summary
        for entry in reversed(harness.monitoring.alarms.history.entries(*LOCATION))
        if entry.kind == "StateUpdate" and entry.timestamp > harness.time.now() - timedelta(hours=2)
    ]
    assert changes[-3:] == [
        "Alarm updated from INSUFFICIENT_DATA to OK",
        "Alarm updated from OK to ALARM",
        "Alarm updated from ALARM to OK",
    ]


def test_alarm_of_high_resolution_is_evaluated_every_ten_seconds(harness: Harness) -> None:
    alarm = harness.put(period=10, metric_name="Busy", statistic="Maximum")
    harness.recorder.record(VARIANT, [("Busy", 9)], resolution=10)
    harness.time.advance(10)
    harness.monitoring.alarms.evaluate_due()
    assert alarm.state_value == "ALARM"


def test_percentile_alarm_ignores_low_sample_counts(harness: Harness) -> None:
    changes: dict[str, Any] = {
        "statistic": None,
        "extended_statistic": "p95",
        "evaluate_low_sample_count_percentile": "ignore",
    }
    alarm = harness.put(metric_name="ModelLatency", **changes)
    for count, expected in ((199, "INSUFFICIENT_DATA"), (200, "ALARM")):
        harness.recorder.record(VARIANT, [("ModelLatency", 9)] * count)
        harness.minute()
        assert alarm.state_value == expected
        harness.time.advance(600)


def test_alarm_periods_slide_every_minute(harness: Harness) -> None:
    alarm = harness.put(period=300)
    harness.minute(requests=6)
    assert alarm.state_value == "ALARM", "the last five minutes contain the requests"


def test_composite_alarms_follow_their_children_without_cycles(harness: Harness) -> None:
    alarms = harness.monitoring.alarms
    first = harness.put("first", alarm_actions=[])
    for name, rule in (("upper", "ALARM(first)"), ("top", "ALARM(upper)"), ("upper", "ALARM(first) OR ALARM(top)")):
        alarms.put_composite_alarm(*LOCATION, name=name, rule=rule, alarm_actions=[POLICY])
    alarms_by_name = cloudwatch_backends[ACCOUNT][REGION].alarms
    assert [alarms_by_name[name].state_value for name in ("upper", "top")] == ["OK", "OK"]

    alarms.set_state(AlarmLocation(*LOCATION, first), "ALARM", "a test")
    assert [alarms_by_name[name].state_value for name in ("upper", "top")] == ["ALARM", "ALARM"]
    assert [action.alarm.name for action in harness.actions] == ["upper", "top"]
    assert harness.actions[0].triggers[0]["Arn"] == first.alarm_arn
    assert alarms_by_name["top"].state_reason.startswith(
        f"{alarms_by_name['upper'].alarm_arn} transitioned to ALARM at "
    )


def test_deleted_alarm_is_not_evaluated(harness: Harness) -> None:
    harness.put()
    harness.monitoring.alarms.delete_alarms(ACCOUNT, REGION, ["busy", "unknown"])
    harness.minute(requests=9)
    assert harness.actions == []
    entry = harness.monitoring.alarms.history.entries(ACCOUNT, REGION)[0]
    assert (entry.kind, entry.summary) == ("ConfigurationUpdate", 'Alarm "busy" deleted')


def test_alarm_created_by_moto_is_evaluated(harness: Harness) -> None:
    backend = cloudwatch_backends[ACCOUNT][REGION]
    other = harness.put()
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
    assert alarm is not other
    harness.minute()
    assert alarm.state_value == "ALARM"


def test_failing_action_handler_does_not_stop_evaluation(harness: Harness) -> None:
    def fail(_: AlarmAction) -> None:
        raise ValueError("no capacity")

    harness.monitoring.alarms.on_action("arn:aws:autoscaling:", fail)
    alarm = harness.put()
    harness.minute(requests=9)
    assert alarm.state_value == "ALARM"
    (entry, *_) = [item for item in harness.monitoring.alarms.history.entries(*LOCATION) if item.kind == "Action"]
    assert "no capacity" in entry.summary


def test_alarms_are_evaluated_in_the_background_until_closed(harness: Harness) -> None:
    alarm = harness.put()
    harness.recorder.record(VARIANT, [("Invocations", 1)] * 9)
    harness.monitoring.alarms.start()
    harness.time.advance(60)
    deadline = datetime.now() + timedelta(seconds=10)  # noqa: DTZ005 - how long a test waits
    while alarm.state_value != "ALARM":
        assert datetime.now() < deadline  # noqa: DTZ005
    harness.monitoring.alarms.close()
    harness.put("later")
    harness.time.advance(60)
    assert cloudwatch_backends[ACCOUNT][REGION].alarms["later"].state_value == "INSUFFICIENT_DATA"
