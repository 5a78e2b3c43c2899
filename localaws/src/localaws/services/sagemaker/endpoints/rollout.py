"""One UpdateEndpoint: traffic moves to a new deployment step by step, or is rolled back."""

import math
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from moto.cloudwatch.models import cloudwatch_backends

from localaws.services.sagemaker.containers.container import ContainerFailed
from localaws.services.sagemaker.containers.instance_types import preferred_type
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
    """The rollout was rolled back; the message is a FailureReason.

    Attributes:
        complete: Whether the old deployment has all its instances again.
    """

    def __init__(self, reason: str, *, complete: bool) -> None:
        super().__init__(reason)
        self.complete = complete


class RolloutStopped(Exception):
    """The local AWS is stopping during a rollout."""


class _RollbackNeeded(Exception):
    """The new deployment has to be rolled back; the message is a FailureReason."""


@dataclass(frozen=True, slots=True)
class RolloutContext:
    """What a rollout needs from its endpoint.

    Attributes:
        account_id: The account of the alarms.
        region: The region of the alarms.
        time: The clock for waiting times.
        stopped: Set when the local AWS is stopping.
        drain_timeout: Seconds that a deployment has to finish its requests.
    """

    account_id: str
    region: str
    time: "SimulatedTime"
    stopped: threading.Event
    drain_timeout: float


class Rollout:
    """Starts the green deployment next to the blue one and shifts traffic to it, according to a policy.

    The policy's waiting times pass on the local AWS's clock.
    """

    #: Real seconds between two checks of the alarms.
    _POLL = 0.05

    def __init__(
        self, traffic: "Traffic", green: "Deployment", policy: DeploymentPolicy, context: RolloutContext
    ) -> None:
        """Prepare a rollout.

        Args:
            traffic: The endpoint's traffic; its pending deployment is ``green``.
            green: The new deployment. For a rolling update it is empty, and instances are added in batches.
            policy: How traffic is shifted.
            context: What the rollout needs from its endpoint.
        """
        self._traffic = traffic
        self._green = green
        self._policy = policy
        self._context = context
        self._began = context.time.seconds()
        self._share = 0.0
        self._status: VariantStatus | None = None

    def run(self) -> "Deployment | None":
        """Shift all traffic. Blocks until then.

        Returns:
            The old deployment, which gets no more requests; the caller retires it.

        Raises:
            RolledBack: The new deployment did not start, an alarm fired, or it timed out; it was retired.
            RolloutStopped: The local AWS is stopping.
        """
        blue = self._traffic.current
        sizes = [] if blue is None else [(variant, variant.group.current) for variant in blue.variants]
        try:
            self._require_running()
            if self._policy.rolling:
                self._roll(self._policy.rolling, sizes)
            else:
                self._shift()
        except (ContainerFailed, _RollbackNeeded) as error:
            raise RolledBack(str(error), complete=self._roll_back(sizes)) from error
        return self._traffic.promote()

    def describe(self) -> list[dict[str, Any]]:
        """As the ProductionVariants of a PendingDeploymentSummary."""
        return [self._describe_variant(variant) for variant in self._green.variants]

    def _shift(self) -> None:
        """Blue/green: start all new instances, then shift traffic step by step."""
        instances = self._instances
        self._enter("Creating", f"Launching {instances} instance(s).")
        self._green.start()
        for step in self._policy.steps(instances):
            self._activate(step.share, step.name, step.bake_seconds, step.bake_parameter)

    def _roll(self, policy: Any, sizes: "list[tuple[Variant, int]]") -> None:
        """Rolling: replace instances batch by batch."""
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
        """Send this share of the requests to the new deployment, and watch the alarms."""
        where = f"on {part} capacity of {_count(share, self._instances)} instance(s)."
        self._enter("ActivatingTraffic", f"Activating traffic {where}")
        self._traffic.shift(share)
        self._share = share
        if bake_seconds:
            self._bake(bake_seconds, f"({parameter}) with traffic enabled {where}")

    def _roll_back(self, sizes: "list[tuple[Variant, int]]") -> bool:
        """Move all traffic back and retire the new deployment; returns whether the old one has its old size."""
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
        self._green.retire(self._context.drain_timeout)
        self._traffic.abandon()
        return complete

    def _bake(self, seconds: float, text: str) -> None:
        """Watch the alarms for this time on the local AWS's clock."""
        self._enter("Baking", f"Baking for {seconds:g} seconds {text}")
        end = self._context.time.seconds() + seconds
        while True:
            # The time is read before the alarms, so that an alarm of the last moment counts.
            over = self._context.time.seconds() >= end
            self._check()
            if over:
                return
            if self._context.stopped.wait(self._POLL):
                raise RolloutStopped

    def _require_running(self) -> None:
        if self._context.stopped.is_set():
            raise _RollbackNeeded("The local AWS is stopping.")

    def _check(self) -> None:
        context, limit = self._context, self._policy.timeout_seconds
        fired = alarms_in_alarm(context.account_id, context.region, self._policy.alarms)
        if fired:
            raise _RollbackNeeded(
                "The deployment was rolled back because these alarms of its auto-rollback configuration went into "
                f"state ALARM: {', '.join(fired)}."
            )
        if limit is not None and context.time.seconds() - self._began > limit:
            raise _RollbackNeeded(f"The deployment was rolled back because it took longer than {limit} seconds.")

    @property
    def _instances(self) -> int:
        """Instances of the complete new deployment; a serverless variant counts as one."""
        return sum(variant.spec.instances or 1 for variant in self._green.variants)

    def _enter(self, status: Any, message: str) -> None:
        self._status = VariantStatus(status, message, self._context.time.now().replace(tzinfo=None))

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
                "InstanceType": preferred_type(spec.production_variant),
            }
        if self._status is not None:
            summary["VariantStatus"] = self._status.describe()
        return summary


def _count(share: float, instances: int) -> int:
    """Number of instances that corresponds to this share of the traffic."""
    return math.ceil(share * instances - 1e-9)


def first_missing_alarm(account_id: str, region: str, names: "Iterable[str]") -> str | None:
    """The first of these alarms that does not exist, or None."""
    alarms = cloudwatch_backends[account_id][region].alarms
    return next((name for name in names if name not in alarms), None)


def alarms_in_alarm(account_id: str, region: str, names: "Iterable[str]") -> list[str]:
    """The names of the alarms in state ALARM; a deleted alarm is not in any state."""
    alarms = cloudwatch_backends[account_id][region].alarms
    return [name for name in names if name in alarms and alarms[name].state_value == "ALARM"]
