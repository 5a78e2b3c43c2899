"""What is carried out: changes one after the other, with their activities, and schedules in their order."""

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
from localaws.services.cloudwatch.monitoring import Monitoring
from localaws.services.sagemaker.endpoints.scaling import CapacityRefused

KEY = TargetKey("endpoint/e/variant/v", INSTANCES)
#: An account of this module's own: moto's alarms are one collection per process.
ACCOUNT = "210987654321"


class Instances:
    """A resource whose changes end when the test says so."""

    def __init__(self, count: int = 1) -> None:
        self.current = self.desired = count
        self.changing = False
        self.refuses = ""

    def scale(self, desired: int) -> None:
        if self.refuses or self.changing:
            raise CapacityRefused(self.refuses or "Cannot update in-progress endpoint.")
        self.desired, self.changing = desired, True

    def settle(self, count: int | None = None) -> None:
        self.current = self.desired = self.desired if count is None else count
        self.changing = False


class World:
    """Auto scaling of one resource, at a time that stands still unless it is moved."""

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

    def tick(self) -> None:
        # What AutoScaling.tick does, but for looking whether a real endpoint was deleted.
        self.auto_scaling._run_schedules(self.time.now())
        self.auto_scaling.scaler.follow()

    def settle(self, count: int | None = None) -> None:
        self.instances.settle(count)
        self.auto_scaling.scaler.follow()

    @property
    def activities(self) -> list[Activity]:
        return [activity for activity in self.region.activities if not activity.not_scaled]


@pytest.fixture
def world() -> World:
    return World()


def test_an_alarm_scales_out_and_tells_about_it(world: World) -> None:
    policy = world.policy()
    world.alarm(policy, 250)
    (activity,) = world.activities
    assert world.instances.desired == 3
    assert (activity.status, activity.description) == ("InProgress", "Setting desired instance count to 3.")
    assert activity.cause == "monitor alarm the alarm in state ALARM triggered policy p"
    world.settle()
    assert activity.status == "Successful"
    assert (
        activity.message == "Successfully set desired instance count to 3. Change successfully fulfilled by sagemaker."
    )
    assert activity.ended is not None


def test_while_it_changes_nothing_else_is_decided(world: World) -> None:
    policy = world.policy(ScaleOutCooldown=0)
    world.alarm(policy, 250)
    world.alarm(policy, 900)
    world.alarm(policy, 900)
    assert world.instances.desired == 3
    (note,) = [activity for activity in world.region.activities if activity.not_scaled]
    assert note.not_scaled == [{"Code": "TargetServicePutResourceAsUnscalable"}]
    world.settle()
    world.alarm(policy, 200)
    assert world.instances.desired == 6


def test_the_cooldown_starts_when_the_change_is_fulfilled(world: World) -> None:
    policy = world.policy(ScaleOutCooldown=60)
    world.alarm(policy, 200)
    world.time.advance(600)
    world.settle()
    world.time.advance(59)
    world.alarm(policy, 190)
    assert world.instances.desired == 2
    world.time.advance(1)
    world.alarm(policy, 190)
    assert world.instances.desired == 4


def test_instances_that_do_not_come_leave_it_unfulfilled_and_without_cooldown(world: World) -> None:
    policy = world.policy()
    world.alarm(policy, 200)
    world.settle(1)
    assert world.activities[-1].status == "Unfulfilled"
    world.alarm(policy, 200)
    assert world.instances.desired == 2


def test_a_refused_change_is_asked_for_again(world: World) -> None:
    policy = world.policy()
    world.instances.refuses = 'Cannot update in-progress endpoint "e".'
    world.alarm(policy, 200)
    (activity,) = world.activities
    assert activity.status == "Pending"
    assert activity.message is not None
    assert 'Cannot update in-progress endpoint "e".' in activity.message
    world.instances.refuses = ""
    world.tick()
    assert activity.status == "InProgress"
    assert world.instances.desired == 2


def test_a_change_that_stays_refused_fails(world: World) -> None:
    policy = world.policy()
    world.instances.refuses = "No."
    world.alarm(policy, 200)
    world.time.advance(901)
    world.tick()
    assert world.activities[-1].status == "Failed"
    world.instances.refuses = ""
    world.alarm(policy, 200)
    assert world.instances.desired == 2


def test_scale_in_waits_until_every_policy_is_ready(world: World) -> None:
    world.instances.settle(8)
    first, second, third = world.policy("a"), world.policy("b"), world.policy("c", DisableScaleIn=True)
    world.state(second, "OK")
    world.alarm(first, 20, low=True)
    assert world.instances.desired == 8
    world.alarm(second, 50, low=True)
    assert world.instances.desired == 4
    assert len(third.alarms) == 1


def test_a_scale_out_ends_the_cooldown_of_a_scale_in(world: World) -> None:
    world.instances.settle(4)
    policy = world.policy(ScaleOutCooldown=0)
    world.alarm(policy, 50, low=True)
    world.settle()
    assert world.instances.current == 2
    world.alarm(policy, 150)
    world.settle()
    world.alarm(policy, 10, low=True)
    assert world.instances.desired == 1


def test_suspension_holds_back_one_direction(world: World) -> None:
    world.instances.settle(4)
    policy = world.policy()
    world.target.suspended["DynamicScalingOutSuspended"] = True
    world.alarm(policy, 300)
    assert world.instances.desired == 4
    world.alarm(policy, 20, low=True)
    assert world.instances.desired == 1


def test_a_step_goes_by_the_aggregate_of_the_alarms_datapoints(world: World) -> None:
    steps = [
        {"MetricIntervalLowerBound": 0, "MetricIntervalUpperBound": 10, "ScalingAdjustment": 1},
        {"MetricIntervalLowerBound": 10, "ScalingAdjustment": 4},
    ]
    policy = world.step(StepAdjustments=steps, MetricAggregationType="Maximum")
    world.auto_scaling.scaler.signal(world.region, Signal(policy.arn, "a", "ALARM", 50, (52, 64)))
    assert world.instances.desired == 5


def test_a_step_wakes_what_is_at_zero(world: World) -> None:
    world.target.capacity = Capacity(0, 3)
    world.instances.settle(0)
    world.alarm(world.step(Cooldown=0), 1, threshold=1)
    assert world.instances.desired == 1


def test_registering_moves_the_capacity_into_the_range_and_no_later_change_does(world: World) -> None:
    world.target.capacity = Capacity(2, 4)
    world.auto_scaling.scaler.keep_in_range(world.region, world.target)
    assert world.activities[-1].cause == "minimum capacity was set to 2"
    world.settle()
    world.instances.settle(6)
    world.time.advance(600)
    world.tick()
    assert world.instances.desired == 6
    world.auto_scaling.scaler.keep_in_range(world.region, world.target)
    assert world.activities[-1].cause == "maximum capacity was set to 4"
    assert world.instances.desired == 4


def test_schedules_run_in_order_when_time_is_moved_on(world: World) -> None:
    hour = (world.time.now() + timedelta(hours=2)).hour
    world.schedule("night", f"cron(0 {hour} * * ? *)", 1, 1)
    world.schedule("morning", f"cron(0 {(hour + 3) % 24} * * ? *)", 4, 8)
    world.time.advance(24 * 3600)
    world.tick()
    what = [activity.description for activity in world.activities if activity.description.startswith("Setting min")]
    assert what == [
        "Setting min capacity to 1 and max capacity to 1",
        "Setting min capacity to 4 and max capacity to 8",
    ]
    assert world.target.capacity == Capacity(4, 8)
    world.settle()
    world.settle()
    assert world.instances.current == 4


def test_a_change_that_a_later_schedule_replaces_is_overridden(world: World) -> None:
    world.schedule("first", "rate(1 minute)", 3, None)
    world.time.advance(60)
    world.tick()
    world.schedule("second", "rate(1 minute)", 5, None)
    world.time.advance(60)
    world.tick()
    statuses = {activity.description: activity.status for activity in world.activities}
    assert statuses["Setting desired instance count to 3."] == "Overridden"
    assert statuses["Setting desired instance count to 5."] == "Pending"
    world.settle()
    world.settle()
    assert world.instances.current == 5


def test_a_schedule_whose_range_is_none_fails(world: World) -> None:
    world.schedule("too much", "rate(1 minute)", 11, None)
    world.time.advance(60)
    world.tick()
    assert world.activities[-1].status == "Failed"
    assert world.target.capacity == Capacity(1, 10)


def test_a_schedule_runs_at_its_start_until_its_end_and_not_when_suspended(world: World) -> None:
    start = world.time.now() + timedelta(minutes=10)
    world.schedule("s", "rate(1 hour)", 2, None, StartTime=start, EndTime=start + timedelta(minutes=90))
    action = world.target.actions["s"]
    assert action.due == start
    world.time.advance(600)
    world.tick()
    assert world.target.capacity.low == 2
    assert action.due == start + timedelta(hours=1)
    world.target.suspended["ScheduledScalingSuspended"] = True
    world.target.capacity = Capacity(1, 10)
    world.time.advance(3600)
    world.tick()
    assert world.target.capacity.low == 1
    assert action.due is None


def test_a_policy_that_is_changed_while_it_scales_out_cools_down_all_the_same(world: World) -> None:
    world.alarm(world.policy(), 200)
    policy = world.policy(ScaleOutCooldown=60)
    world.settle()
    world.alarm(policy, 200)
    assert world.instances.desired == 2
    world.time.advance(60)
    world.alarm(policy, 200)
    assert world.instances.desired == 4


def test_changing_a_policy_keeps_its_alarms_and_removing_scale_in_removes_one(world: World) -> None:
    first = world.policy()
    arn, (high, low) = first.arn, list(first.alarms)
    changed = world.policy(TargetValue=50.0)
    assert (changed.arn, changed.alarms) == (arn, [high, low])
    alarms = cloudwatch_backends[ACCOUNT]["us-east-1"].alarms
    assert [alarms[name].threshold for name in (high, low)] == [50, 45]
    assert world.policy(DisableScaleIn=True).alarms == [high]
    assert low not in alarms
