"""Application Auto Scaling: its targets, the clock of its schedules, and its connection to CloudWatch's alarms."""

from datetime import timedelta
from typing import TYPE_CHECKING

from localaws.core.threads import Ticker
from localaws.services.application_autoscaling.records import (
    COPIES,
    INSTANCES,
    PROVISIONED_CONCURRENCY,
    Registry,
    TargetKey,
)
from localaws.services.application_autoscaling.registration import find_endpoint
from localaws.services.application_autoscaling.scaler import FindResource, Scaler
from localaws.services.application_autoscaling.signals import Signal
from localaws.services.application_autoscaling.tracking_alarms import TrackingAlarms, dimensions_of
from localaws.services.cloudwatch.metric_store import STANDARD_RESOLUTION, MetricId
from localaws.services.sagemaker.telemetry.metrics import NAMESPACE, UNITS

if TYPE_CHECKING:
    from datetime import datetime

    from localaws.services.application_autoscaling.records import Region, Target
    from localaws.services.cloudwatch.alarm_actions import AlarmAction
    from localaws.services.cloudwatch.service import Monitoring

__all__ = ["AutoScaling"]

#: The metrics that are zero while a target has no traffic.
_IDLE_METRICS = {
    INSTANCES: "InvocationsPerInstance",
    PROVISIONED_CONCURRENCY: "ServerlessProvisionedConcurrencyUtilization",
    COPIES: "InvocationsPerCopy",
}


class AutoScaling:
    """Runs policies and schedules from :meth:`start` to :meth:`close`."""

    #: Interval in real seconds. Schedules are due at simulated moments and run in order, however many passed.
    _TICK_SECONDS = 0.1

    def __init__(self, find: FindResource, monitoring: "Monitoring", registry: Registry | None = None) -> None:
        """Prepare the service; nothing runs before :meth:`start`.

        Args:
            find: Finds a scalable resource.
            monitoring: Provides the clock of schedules and cooldowns, and the alarms of policies.
            registry: The targets so far; none by default.
        """
        self.time = monitoring.time
        self.registry = registry or Registry()
        self.alarms = TrackingAlarms(monitoring.alarms)
        self.scaler = Scaler(self.registry, find, monitoring.time)
        self._metrics = monitoring.metrics
        monitoring.alarms.on_action("arn:aws:autoscaling:", self._on_alarm)
        monitoring.alarms.on_minute(self._record_idle_targets)
        self._clock = Ticker("autoscaling-clock", self._TICK_SECONDS, self._tick)

    def start(self) -> None:
        """Start the clock of schedules."""
        self._clock.start()

    def close(self) -> None:
        """Stop scaling."""
        self._clock.close()

    def is_target(self, account_id: str, region: str, resource_id: str) -> bool:
        """Whether a resource is registered as a scalable target."""
        with self.registry.lock:
            targets = self.registry.region(account_id, region).targets
            return any(key.resource_id == resource_id for key in targets)

    def deregister(self, region: "Region", target: "Target") -> None:
        """Delete a target with its policies, their alarms and its scheduled actions."""
        with self.registry.lock:
            for policy in target.policies.values():
                self.alarms.delete(region.account_id, region.name, policy)
            del region.targets[target.key]

    def run_due(self) -> None:
        """Run the scheduled actions that are due, in order, and continue unfinished changes of capacity."""
        now = self.time.now()
        while self._run_next_action(now):
            pass
        self.scaler.follow()

    def _tick(self) -> None:
        self._deregister_deleted()
        self.run_due()

    def _run_next_action(self, now: "datetime") -> bool:
        """Run the action that has been due for the longest time; False if none is due."""
        with self.registry.lock:
            due = [
                (action.due, region, target, action)
                for region in self.registry.regions()
                for target, action in region.planned_actions()
                if action.due is not None and action.due <= now
            ]
            if not due:
                return False
            moment, region, target, action = min(due, key=lambda item: item[0])
            self.scaler.run_action(region, target, action, moment)
            return True

    def _deregister_deleted(self) -> None:
        """Deregister the targets of deleted endpoints, as SageMaker does."""
        with self.registry.lock:
            for region in self.registry.regions():
                for target in list(region.targets.values()):
                    if target.key.dimension != COPIES and find_endpoint(region, target.key) is None:
                        self.deregister(region, target)

    def _on_alarm(self, action: "AlarmAction") -> None:
        signal = Signal.of(action, self._metrics)
        if signal is not None:
            self.scaler.signal(self.registry.region(action.account_id, action.region), signal)

    def _record_idle_targets(self, moment: "datetime") -> None:
        """Record zeros for targets without requests in the minute that ends at a moment."""
        with self.registry.lock:
            for region in self.registry.regions():
                for key in region.targets:
                    resource = self.scaler.resource(region, key)
                    endpoint = find_endpoint(region, key)
                    is_async = endpoint is not None and endpoint.settings.async_inference is not None
                    if resource is not None and resource.current and not is_async:
                        self._record_idle_minute(region, key, moment)

    def _record_idle_minute(self, region: "Region", key: TargetKey, end: "datetime") -> None:
        """Record no load, unless the minute has datapoints.

        SageMaker developer guide, "Edit a scaling policy": if a variant's traffic becomes zero, SageMaker automatically
        scales in; in this case it emits metrics with a value of zero.
        """
        name = _IDLE_METRICS[key.dimension]
        dimensions = [(dimension["Name"], dimension["Value"]) for dimension in dimensions_of(key)]
        metric = MetricId.of(region.account_id, region.name, NAMESPACE, name, dimensions)
        start = end - timedelta(seconds=STANDARD_RESOLUTION)
        if not self._metrics.datapoints(metric, start, end, STANDARD_RESOLUTION):
            series = self._metrics.series(metric, UNITS.get(name, "None"))
            with self._metrics.lock:
                series.period(start.timestamp()).add(0.0)
