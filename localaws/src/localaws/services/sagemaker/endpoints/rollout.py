"""One UpdateEndpoint: traffic moves to a new deployment step by step, and back when it does not hold up."""

import math
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from moto.cloudwatch.models import cloudwatch_backends

from localaws.services.sagemaker.containers.container import ContainerFailed
from localaws.services.sagemaker.endpoints.deployment_policy import CapacitySize, DeploymentPolicy
from localaws.services.sagemaker.endpoints.variants import VariantStatus

if TYPE_CHECKING:
    from collections.abc import Iterable

    from localaws.core.clock import SimulatedTime
    from localaws.services.sagemaker.endpoints.deployment import Deployment
    from localaws.services.sagemaker.endpoints.traffic import Traffic
    from localaws.services.sagemaker.endpoints.variants import Variant

__all__ = ["RolledBack", "Rollout", "RolloutContext", "RolloutStopped", "first_missing_alarm"]


class RolledBack(Exception):
    """The old deployment has all traffic again; the message is a FailureReason.

    Attributes:
        complete: Whether it has all its instances again too.
    """

    def __init__(self, reason: str, *, complete: bool) -> None:
        super().__init__(reason)
        self.complete = complete


class RolloutStopped(Exception):
    """The local AWS goes down in the middle of a deployment."""


class _Unsound(Exception):
    """The new deployment must not stay; the message is a FailureReason."""


@dataclass(frozen=True, slots=True)
class RolloutContext:
    """Where a rollout takes place.

    Attributes:
        account_id: Whose alarms count.
        region: Where they are.
        time: What waiting goes by.
        stopped: Set when the local AWS goes down.
        drain_timeout: How long a deployment may finish its requests, in seconds.
    """

    account_id: str
    region: str
    time: "SimulatedTime"
    stopped: threading.Event
    drain_timeout: float


class Rollout:
    """Brings up the green deployment beside the blue one and shifts traffic to it, by a policy.

    Containers start in the machine's time; what the policy waits for passes in the local AWS's own time.
    """

    #: How often alarms are looked at, in real seconds.
    _POLL = 0.05

    def __init__(
        self, traffic: "Traffic", green: "Deployment", policy: DeploymentPolicy, context: RolloutContext
    ) -> None:
        """Prepare a rollout.

        Args:
            traffic: The endpoint's; its pending deployment is ``green``.
            green: The new deployment; empty for a rolling update, which adds its instances batch by batch.
            policy: How to go about it.
            context: Account, time, and the end of it all.
        """
        self._traffic = traffic
        self._green = green
        self._policy = policy
        self._around = context
        self._began = context.time.seconds()
        self._share = 0.0
        self._status: VariantStatus | None = None

    def run(self) -> "Deployment | None":
        """Move all traffic. Blocks until decided.

        Returns:
            The old deployment, which gets no requests any more; the caller retires it.

        Raises:
            RolledBack: The new deployment did not come up, an alarm fired, or time ran out; it is gone.
            RolloutStopped: The endpoint is being stopped, together with both deployments.
        """
        blue = self._traffic.current
        sizes = [] if blue is None else [(variant, variant.group.current) for variant in blue.variants]
        try:
            self._require_running()
            if self._policy.rolling:
                self._roll(self._policy.rolling, sizes)
            else:
                self._shift()
        except (ContainerFailed, _Unsound) as error:
            raise RolledBack(str(error), complete=self._roll_back(sizes)) from error
        return self._traffic.promote()

    def describe(self) -> list[dict[str, Any]]:
        """As the ProductionVariants of a PendingDeploymentSummary."""
        return [self._describe_variant(variant) for variant in self._green.variants]

    def _shift(self) -> None:
        """Blue/green: the whole new group comes up, then gets more and more of the traffic."""
        instances = self._instances
        self._enter("Creating", f"Launching {instances} instance(s).")
        self._green.start()
        for step in self._policy.steps(instances):
            self._activate(step.share, step.name, step.bake_seconds, step.bake_parameter)

    def _roll(self, policy: Any, sizes: "list[tuple[Variant, int]]") -> None:
        """Rolling: one batch of new instances at a time takes the place of as many old ones."""
        instances, group = self._instances, self._green.variants[0].group
        batch = CapacitySize.of(policy["MaximumBatchSize"]).count_of(instances)
        for active in [*range(batch, instances, batch), instances]:
            self._enter("Creating", f"Launching {active - group.current} instance(s).")
            group.scale(active)
            self._activate(active / instances, "batch", policy["WaitIntervalInSeconds"], "WaitIntervalInSeconds")
            if active < instances:
                for variant, size in sizes:
                    variant.group.scale(max(1, round(size * (1 - active / instances))))

    def _activate(self, share: float, part: str, bake_seconds: float, parameter: str) -> None:
        """Send this share of the requests to the new deployment, and watch it."""
        where = f"on {part} capacity of {_count(share, self._instances)} instance(s)."
        self._enter("ActivatingTraffic", f"Activating traffic {where}")
        self._traffic.shift(share)
        self._share = share
        if bake_seconds:
            self._bake(bake_seconds, f"({parameter}) with traffic enabled {where}")

    def _roll_back(self, sizes: "list[tuple[Variant, int]]") -> bool:
        """All traffic to the old deployment, and the new one away; whether the old one has its old size."""
        self._traffic.shift(0.0)
        self._share = 0.0
        complete = True
        for variant, size in sizes:
            if variant.group.current < size:
                try:
                    variant.group.scale(size)
                except ContainerFailed:
                    complete = False
        self._enter("Deleting", f"Terminating {self._instances} instance(s).")
        self._green.retire(self._around.drain_timeout)
        self._traffic.abandon()
        return complete

    def _bake(self, seconds: float, text: str) -> None:
        """Watch the alarms for so many seconds of the local AWS's time."""
        self._enter("Baking", f"Baking for {seconds:g} seconds {text}")
        end = self._around.time.seconds() + seconds
        while True:
            # Looked at before the time: an alarm that fired in the last moment counts.
            over = self._around.time.seconds() >= end
            self._check()
            if over:
                return
            if self._around.stopped.wait(self._POLL):
                raise RolloutStopped

    def _require_running(self) -> None:
        if self._around.stopped.is_set():
            raise _Unsound("The local AWS is stopping.")

    def _check(self) -> None:
        around, limit = self._around, self._policy.timeout_seconds
        fired = alarms_in_alarm(around.account_id, around.region, self._policy.alarms)
        if fired:
            raise _Unsound(
                "The deployment was rolled back because these alarms of its auto-rollback configuration went into "
                f"state ALARM: {', '.join(fired)}."
            )
        if limit is not None and around.time.seconds() - self._began > limit:
            raise _Unsound(f"The deployment was rolled back because it took longer than {limit} seconds.")

    @property
    def _instances(self) -> int:
        """What the new deployment grows to; a serverless variant counts as one."""
        return sum(variant.spec.instances or 1 for variant in self._green.variants)

    def _enter(self, status: Any, message: str) -> None:
        self._status = VariantStatus(status, message, self._around.time.now().replace(tzinfo=None))

    def _describe_variant(self, variant: "Variant") -> dict[str, Any]:
        spec = variant.spec
        summary: dict[str, Any] = {
            "VariantName": variant.name,
            "DeployedImages": self._green.deployed_images(variant),
            "CurrentWeight": variant.weight,
            "DesiredWeight": variant.weight,
            **variant.described_settings(),
        }
        if spec.serverless:
            summary |= {"CurrentServerlessConfig": variant.serverless, "DesiredServerlessConfig": spec.serverless}
        else:
            summary |= {
                "CurrentInstanceCount": _count(self._share, spec.instances),
                "DesiredInstanceCount": spec.instances,
                "InstanceType": spec.production_variant["InstanceType"],
            }
        if self._status is not None:
            summary["VariantStatus"] = self._status.describe()
        return summary


def _count(share: float, instances: int) -> int:
    """Whole instances that this share of the traffic counts as."""
    return math.ceil(share * instances - 1e-9)


def first_missing_alarm(account_id: str, region: str, names: "Iterable[str]") -> str | None:
    """The first of these alarms that does not exist, or None."""
    alarms = cloudwatch_backends[account_id][region].alarms
    return next((name for name in names if name not in alarms), None)


def alarms_in_alarm(account_id: str, region: str, names: "Iterable[str]") -> list[str]:
    """The names of the alarms in state ALARM; a deleted alarm is not in any state."""
    alarms = cloudwatch_backends[account_id][region].alarms
    return [name for name in names if name in alarms and alarms[name].state_value == "ALARM"]
