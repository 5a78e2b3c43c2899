"""Application Auto Scaling as a whole: its targets, what moves them, and the clock by which schedules run."""

from typing import TYPE_CHECKING

from localaws.core.threads import Ticker
from localaws.services.application_autoscaling.idle_metrics import record_idle_minute
from localaws.services.application_autoscaling.records import COPIES
from localaws.services.application_autoscaling.registration import find_endpoint
from localaws.services.application_autoscaling.registry import Registry
from localaws.services.application_autoscaling.scaler import FindResource, Scaler
from localaws.services.application_autoscaling.signals import Signal
from localaws.services.application_autoscaling.tracking_alarms import TrackingAlarms

if TYPE_CHECKING:
    from datetime import datetime

    from localaws.services.application_autoscaling.records import Target
    from localaws.services.application_autoscaling.registry import Region
    from localaws.services.cloudwatch.alarm_actions import AlarmAction
    from localaws.services.cloudwatch.service import Monitoring

__all__ = ["AutoScaling"]


class AutoScaling:
    """Keeps and carries out what was asked for, from :meth:`start` to :meth:`close`."""

    #: Real seconds between two looks at what is due. Schedules are due at simulated moments, and those that passed
    #: between two looks run in their order.
    _TICK_SECONDS = 0.1

    def __init__(self, find: FindResource, monitoring: "Monitoring") -> None:
        """Prepare the service; nothing runs on its own before :meth:`start`.

        Args:
            find: Finds what is scaled.
            monitoring: Its time is what schedules and cooldowns go by, and its alarms are what policies act on.
        """
        self.time = monitoring.time
        self.registry = Registry()
        self.alarms = TrackingAlarms(monitoring.alarms)
        self.scaler = Scaler(self.registry, find, monitoring.time)
        self._metrics = monitoring.metrics
        monitoring.alarms.on_action("arn:aws:autoscaling:", self._on_alarm)
        monitoring.alarms.on_minute(self._sample)
        self._clock = Ticker("autoscaling-clock", self._TICK_SECONDS, self.tick)

    def start(self) -> None:
        """Let schedules run."""
        self._clock.start()

    def close(self) -> None:
        """Stop; nothing is scaled any more."""
        self._clock.close()

    def is_target(self, account_id: str, region: str, resource_id: str) -> bool:
        """Whether a resource is registered."""
        with self.registry.lock:
            targets = self.registry.region(account_id, region).targets
            return any(key.resource_id == resource_id for key in targets)

    def deregister(self, region: "Region", target: "Target") -> None:
        """Forget a target with its policies, their alarms and its scheduled actions."""
        with self.registry.lock:
            for policy in target.policies.values():
                self.alarms.delete(region.account_id, region.name, policy)
            del region.targets[target.key]

    def tick(self) -> None:
        """Do what is due: schedules in their order, then what is left of earlier changes."""
        self._forget_deleted()
        self._run_schedules(self.time.now())
        self.scaler.follow()

    def _run_schedules(self, now: "datetime") -> None:
        while True:
            with self.registry.lock:
                due = [
                    (action.due, region, target, action)
                    for region in self.registry.regions()
                    for target, action in region.due_actions()
                    if action.due is not None and action.due <= now
                ]
                if not due:
                    return
                moment, region, target, action = min(due, key=lambda item: item[0])
                self.scaler.run_action(region, target, action, moment)

    def _forget_deleted(self) -> None:
        """SageMaker deregisters the targets of an endpoint that is deleted."""
        with self.registry.lock:
            for region in self.registry.regions():
                for target in list(region.targets.values()):
                    if target.key.dimension != COPIES and find_endpoint(region, target.key) is None:
                        self.deregister(region, target)

    def _on_alarm(self, action: "AlarmAction") -> None:
        signal = Signal.of(action, self._metrics)
        if signal is not None:
            self.scaler.signal(self.registry.region(action.account_id, action.region), signal)

    def _sample(self, moment: "datetime") -> None:
        """Record the minute that ends at a moment for targets that took no requests in it."""
        with self.registry.lock:
            for region in self.registry.regions():
                for key in region.targets:
                    resource = self.scaler.resource(region, key)
                    endpoint = find_endpoint(region, key)
                    queued = endpoint is not None and endpoint.settings.async_inference is not None
                    if resource is not None and resource.current and not queued:
                        record_idle_minute(self._metrics, region, key, moment)
