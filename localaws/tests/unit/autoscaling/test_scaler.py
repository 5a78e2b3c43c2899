"""The scaler: changes of capacity with their activities, and scheduled actions in order."""

from datetime import timedelta
from typing import Any

import pytest
from moto.cloudwatch.models import cloudwatch_backends

from localaws.core.clock import SimulatedTime
from localaws.services.application_autoscaling.policies import put_policy
from localaws.services.application_autoscaling.records import INSTANCES, Activity, Capacity, Target, TargetKey
from localaws.services.application_autoscaling.scheduled_actions import put_action
from localaws.services.application_autoscaling.service import AutoScaling
from localaws.services.application_autoscaling.signals import Signal
from localaws.services.cloudwatch.service import Monitoring
from localaws.services.sagemaker.endpoints.scaling import CapacityRefused

KEY = TargetKey("endpoint/e/variant/v", INSTANCES)
#: Only this module uses the account: moto keeps the alarms of a process in one collection.
ACCOUNT = "210987654321"


class Instances:
    """A resource whose changes end when the test calls ``settle``."""

    def __init__(self, count: int = 1) -> None:
        self.current = self.desired = count
        self.changing = False
        self.rejection = ""

    def scale(self, desired: int) -> None:
        if self.rejection or self.changing:
            raise CapacityRefused(self.rejection or "Cannot update in-progress endpoint.")
        self.desired, self.changing = desired, True

    def settle(self, count: int | None = None) -> None:
        self.current = self.desired = self.desired if count is None else count
        self.changing = False


class Harness:
    """Auto scaling of one resource on a stopped clock."""

    def __init__(self) -> None:
        self.instances = Instances()
        self.time = SimulatedTime(0)
        self.auto_scaling = AutoScaling(lambda *_: self.instances, Monitoring(self.time))
        self.region = self.auto_scaling.registry.region(ACCOUNT, "us-east-1")
        suspended = dict.fromkeys(
            ("DynamicScalingInSuspended", "DynamicScalingOutSuspended", "ScheduledScalingSuspended"), False
        )
        self.target = Target(KEY, "arn", "role", Capacity(1, 10), self.time.now(), suspended, {})
        self.region.targets[KEY] = self.target

    def policy(self, name: str = "p", **settings: Any) -> Any:
        metric = {"MetricName": name, "Namespace": "N", "Statistic": "Average"}
        request = {
            "PolicyName": name,
            "PolicyType": "TargetTrackingScaling",
            "TargetTrackingScalingPolicyConfiguration": {
                "TargetValue": 100.0,
                "CustomizedMetricSpecification": metric,
                **settings,
            },
        }
        return put_policy(self.region, self.target, request, self.auto_scaling.alarms, self.time.now())

    def step(self, **settings: Any) -> Any:
        configuration = {
            "AdjustmentType": "ChangeInCapacity",
            "StepAdjustments": [{"MetricIntervalLowerBound": 0, "ScalingAdjustment": 1}],
        }
        request = {
            "PolicyName": "step",
            "PolicyType": "StepScaling",
            "StepScalingPolicyConfiguration": {**configuration, **settings},
        }
        return put_policy(self.region, self.target, request, self.auto_scaling.alarms, self.time.now())

    def alarm(self, policy: Any, value: float, *, threshold: float = 100, low: bool = False) -> None:
        if low:
            self.state(policy, "ALARM")
        self.auto_scaling.scaler.signal(self.region, Signal(policy.arn, "the alarm", "ALARM", threshold, (value,)))

    def state(self, policy: Any, value: str) -> None:
        cloudwatch_backends[ACCOUNT]["us-east-1"].alarms[policy.alarms[1]].state_value = value

    def schedule(self, name: str, schedule: str, low: int | None, high: int | None, **more: Any) -> None:
        bounds = {key: value for key, value in (("MinCapacity", low), ("MaxCapacity", high)) if value is not None}
        request = {"ScheduledActionName": name, "Schedule": schedule, "ScalableTargetAction": bounds, **more}
        put_action(self.region, self.target, request, self.time.now())

    def settle(self, count: int | None = None) -> None:
        self.instances.settle(count)
        self.auto_scaling.scaler.follow()

    @property
    def activities(self) -> list[Activity]:
        return [activity for activity in self.region.activities if not activity.not_scaled]


@pytest.fixture
def harness() -> Harness:
    return Harness()


def test_alarm_scales_out_and_records_an_activity(harness: Harness) -> None:
    policy = harness.policy()
    harness.alarm(policy, 250)
    (activity,) = harness.activities
    assert harness.instances.desired == 3
    assert (activity.status, activity.description) == ("InProgress", "Setting desired instance count to 3.")
    assert activity.cause == "monitor alarm the alarm in state ALARM triggered policy p"
    harness.settle()
    assert activity.status == "Successful"
    assert (
        activity.message == "Successfully set desired instance count to 3. Change successfully fulfilled by sagemaker."
    )
    assert activity.ended is not None


def test_alarm_during_a_change_does_not_scale(harness: Harness) -> None:
    policy = harness.policy(ScaleOutCooldown=0)
    harness.alarm(policy, 250)
    harness.alarm(policy, 900)
    harness.alarm(policy, 900)
    assert harness.instances.desired == 3
    (not_scaled,) = [activity for activity in harness.region.activities if activity.not_scaled]
    assert not_scaled.not_scaled == [{"Code": "TargetServicePutResourceAsUnscalable"}]
    harness.settle()
    harness.alarm(policy, 200)
    assert harness.instances.desired == 6


def test_cooldown_starts_when_the_change_is_fulfilled(harness: Harness) -> None:
    policy = harness.policy(ScaleOutCooldown=60)
    harness.alarm(policy, 200)
    harness.time.advance(600)
    harness.settle()
    harness.time.advance(59)
    harness.alarm(policy, 190)
    assert harness.instances.desired == 2
    harness.time.advance(1)
    harness.alarm(policy, 190)
    assert harness.instances.desired == 4


def test_unfulfilled_change_starts_no_cooldown(harness: Harness) -> None:
    policy = harness.policy()
    harness.alarm(policy, 200)
    harness.settle(1)
    assert harness.activities[-1].status == "Unfulfilled"
    harness.alarm(policy, 200)
    assert harness.instances.desired == 2


def test_rejected_change_is_retried(harness: Harness) -> None:
    policy = harness.policy()
    harness.instances.rejection = 'Cannot update in-progress endpoint "e".'
    harness.alarm(policy, 200)
    (activity,) = harness.activities
    assert activity.status == "Pending"
    assert activity.message is not None
    assert 'Cannot update in-progress endpoint "e".' in activity.message
    harness.instances.rejection = ""
    harness.auto_scaling.run_due()
    assert activity.status == "InProgress"
    assert harness.instances.desired == 2


def test_change_rejected_for_15_minutes_fails(harness: Harness) -> None:
    policy = harness.policy()
    harness.instances.rejection = "No."
    harness.alarm(policy, 200)
    harness.time.advance(901)
    harness.auto_scaling.run_due()
    assert harness.activities[-1].status == "Failed"
    harness.instances.rejection = ""
    harness.alarm(policy, 200)
    assert harness.instances.desired == 2


def test_scale_in_waits_for_all_policies(harness: Harness) -> None:
    harness.instances.settle(8)
    first, second, third = harness.policy("a"), harness.policy("b"), harness.policy("c", DisableScaleIn=True)
    harness.state(second, "OK")
    harness.alarm(first, 20, low=True)
    assert harness.instances.desired == 8
    harness.alarm(second, 50, low=True)
    assert harness.instances.desired == 4
    assert len(third.alarms) == 1


def test_scale_out_ends_the_scale_in_cooldown(harness: Harness) -> None:
    harness.instances.settle(4)
    policy = harness.policy(ScaleOutCooldown=0)
    harness.alarm(policy, 50, low=True)
    harness.settle()
    assert harness.instances.current == 2
    harness.alarm(policy, 150)
    harness.settle()
    harness.alarm(policy, 10, low=True)
    assert harness.instances.desired == 1


def test_suspension_applies_to_one_direction(harness: Harness) -> None:
    harness.instances.settle(4)
    policy = harness.policy()
    harness.target.suspended["DynamicScalingOutSuspended"] = True
    harness.alarm(policy, 300)
    assert harness.instances.desired == 4
    harness.alarm(policy, 20, low=True)
    assert harness.instances.desired == 1


def test_step_policy_aggregates_the_datapoints(harness: Harness) -> None:
    steps = [
        {"MetricIntervalLowerBound": 0, "MetricIntervalUpperBound": 10, "ScalingAdjustment": 1},
        {"MetricIntervalLowerBound": 10, "ScalingAdjustment": 4},
    ]
    policy = harness.step(StepAdjustments=steps, MetricAggregationType="Maximum")
    harness.auto_scaling.scaler.signal(harness.region, Signal(policy.arn, "a", "ALARM", 50, (52, 64)))
    assert harness.instances.desired == 5


def test_step_policy_scales_out_from_zero(harness: Harness) -> None:
    harness.target.capacity = Capacity(0, 3)
    harness.instances.settle(0)
    harness.alarm(harness.step(Cooldown=0), 1, threshold=1)
    assert harness.instances.desired == 1


def test_only_registering_moves_the_capacity_into_the_range(harness: Harness) -> None:
    harness.target.capacity = Capacity(2, 4)
    harness.auto_scaling.scaler.keep_in_range(harness.region, harness.target)
    assert harness.activities[-1].cause == "minimum capacity was set to 2"
    harness.settle()
    harness.instances.settle(6)
    harness.time.advance(600)
    harness.auto_scaling.run_due()
    assert harness.instances.desired == 6
    harness.auto_scaling.scaler.keep_in_range(harness.region, harness.target)
    assert harness.activities[-1].cause == "maximum capacity was set to 4"
    assert harness.instances.desired == 4


def test_scheduled_actions_run_in_order_after_advancing_time(harness: Harness) -> None:
    hour = (harness.time.now() + timedelta(hours=2)).hour
    harness.schedule("night", f"cron(0 {hour} * * ? *)", 1, 1)
    harness.schedule("morning", f"cron(0 {(hour + 3) % 24} * * ? *)", 4, 8)
    harness.time.advance(24 * 3600)
    harness.auto_scaling.run_due()
    descriptions = [
        activity.description for activity in harness.activities if activity.description.startswith("Setting min")
    ]
    assert descriptions == [
        "Setting min capacity to 1 and max capacity to 1",
        "Setting min capacity to 4 and max capacity to 8",
    ]
    assert harness.target.capacity == Capacity(4, 8)
    harness.settle()
    harness.settle()
    assert harness.instances.current == 4


def test_later_scheduled_action_overrides_a_change(harness: Harness) -> None:
    harness.schedule("first", "rate(1 minute)", 3, None)
    harness.time.advance(60)
    harness.auto_scaling.run_due()
    harness.schedule("second", "rate(1 minute)", 5, None)
    harness.time.advance(60)
    harness.auto_scaling.run_due()
    statuses = {activity.description: activity.status for activity in harness.activities}
    assert statuses["Setting desired instance count to 3."] == "Overridden"
    assert statuses["Setting desired instance count to 5."] == "Pending"
    harness.settle()
    harness.settle()
    assert harness.instances.current == 5


def test_scheduled_action_with_invalid_range_fails(harness: Harness) -> None:
    harness.schedule("too much", "rate(1 minute)", 11, None)
    harness.time.advance(60)
    harness.auto_scaling.run_due()
    assert harness.activities[-1].status == "Failed"
    assert harness.target.capacity == Capacity(1, 10)


def test_scheduled_action_runs_from_start_to_end_unless_suspended(harness: Harness) -> None:
    start = harness.time.now() + timedelta(minutes=10)
    harness.schedule("s", "rate(1 hour)", 2, None, StartTime=start, EndTime=start + timedelta(minutes=90))
    action = harness.target.actions["s"]
    assert action.due == start
    harness.time.advance(600)
    harness.auto_scaling.run_due()
    assert harness.target.capacity.low == 2
    assert action.due == start + timedelta(hours=1)
    harness.target.suspended["ScheduledScalingSuspended"] = True
    harness.target.capacity = Capacity(1, 10)
    harness.time.advance(3600)
    harness.auto_scaling.run_due()
    assert harness.target.capacity.low == 1
    assert action.due is None


def test_updated_policy_keeps_its_cooldown(harness: Harness) -> None:
    harness.alarm(harness.policy(), 200)
    policy = harness.policy(ScaleOutCooldown=60)
    harness.settle()
    harness.alarm(policy, 200)
    assert harness.instances.desired == 2
    harness.time.advance(60)
    harness.alarm(policy, 200)
    assert harness.instances.desired == 4


def test_updated_policy_keeps_its_alarms(harness: Harness) -> None:
    first = harness.policy()
    arn, (high, low) = first.arn, list(first.alarms)
    changed = harness.policy(TargetValue=50.0)
    assert (changed.arn, changed.alarms) == (arn, [high, low])
    alarms = cloudwatch_backends[ACCOUNT]["us-east-1"].alarms
    assert [alarms[name].threshold for name in (high, low)] == [50, 45]
    assert harness.policy(DisableScaleIn=True).alarms == [high]
    assert low not in alarms
