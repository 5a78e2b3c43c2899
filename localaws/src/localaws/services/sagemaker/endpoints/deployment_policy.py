"""The DeploymentConfig of the API: how UpdateEndpoint moves traffic to a new configuration."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from localaws.services.sagemaker.endpoints.settings import EndpointSettings
    from localaws.services.sagemaker.endpoints.variants import VariantSpec

__all__ = ["CapacitySize", "DeploymentPolicy", "Step", "check_deployment_config"]

#: Minimum and maximum percentage of the instances per step (API reference, TrafficRoutingConfig and
#: RollingUpdatePolicy).
_STEP_LIMITS = {"CanarySize": (0, 50), "LinearStepSize": (10, 50), "MaximumBatchSize": (5, 50)}


@dataclass(frozen=True, slots=True)
class CapacitySize:
    """A part of a fleet, as a number of instances or a percentage of them."""

    unit: str
    value: int

    @classmethod
    def of(cls, size: "Mapping[str, Any]") -> "CapacitySize":
        """Read the API's CapacitySize."""
        return cls(size["Type"], size["Value"])

    def share_of(self, instances: int) -> float:
        """Its share of so many instances, from 0 to 1."""
        if self.unit == "CAPACITY_PERCENT":
            return min(1.0, self.value / 100)
        return min(1.0, self.value / instances) if instances else 1.0

    def count_of(self, instances: int) -> int:
        """Its number of so many instances, at least one."""
        return max(1, math.ceil(self.share_of(instances) * instances - 1e-9))


@dataclass(frozen=True, slots=True)
class Step:
    """One step of traffic shifting.

    Attributes:
        share: Share of the requests, from 0 to 1, for the new fleet.
        name: Name of the new fleet's active part: canary, linear, full.
        bake_seconds: Time in which alarms are watched before the next step.
        bake_parameter: The setting of that time.
    """

    share: float
    name: str
    bake_seconds: float
    bake_parameter: str


@dataclass(frozen=True, slots=True)
class DeploymentPolicy:
    """A DeploymentConfig.

    Attributes:
        config: As requested. An empty one shifts all traffic in one step, SageMaker's default.
    """

    config: "Mapping[str, Any]"

    @property
    def alarms(self) -> list[str]:
        """Names of the alarms that roll a deployment back."""
        configured = (self.config.get("AutoRollbackConfiguration") or {}).get("Alarms") or []
        return [alarm["AlarmName"] for alarm in configured if alarm.get("AlarmName")]

    @property
    def rolling(self) -> "Mapping[str, Any] | None":
        """The RollingUpdatePolicy; None for a blue/green deployment."""
        policy: Mapping[str, Any] | None = self.config.get("RollingUpdatePolicy")
        return policy

    @property
    def timeout_seconds(self) -> float | None:
        """Longest duration of the whole deployment."""
        policy = self.rolling or self.config.get("BlueGreenUpdatePolicy") or {}
        return policy.get("MaximumExecutionTimeoutInSeconds")

    def steps(self, instances: int) -> "Sequence[Step]":
        """The steps of a blue/green deployment to a fleet of so many instances.

        Alarms are watched for WaitIntervalInSeconds after every step but the last, and for TerminationWaitInSeconds
        after the last one. Then the old fleet is terminated (developer guide, "Blue/Green Deployments").
        """
        policy = self.config.get("BlueGreenUpdatePolicy") or {}
        routing = policy.get("TrafficRoutingConfiguration") or {}
        interval = float(routing.get("WaitIntervalInSeconds") or 0)
        shares: list[tuple[float, str]] = []
        if routing.get("Type") == "CANARY":
            shares = [(CapacitySize.of(routing["CanarySize"]).share_of(instances), "canary")]
        elif routing.get("Type") == "LINEAR":
            size = CapacitySize.of(routing["LinearStepSize"]).share_of(instances)
            shares = [(size * step, "linear") for step in range(1, math.ceil(1 / size - 1e-9))]
        partial = [Step(share, name, interval, "WaitIntervalInSeconds") for share, name in shares if share < 1]
        last = float(policy.get("TerminationWaitInSeconds") or 0)
        return [*partial, Step(1.0, "full", last, "TerminationWaitInSeconds")]


def check_deployment_config(config: "Mapping[str, Any]", settings: "EndpointSettings") -> str | None:
    """SageMaker's message if it rejects a DeploymentConfig for these settings, or None."""
    blue_green, rolling = config.get("BlueGreenUpdatePolicy"), config.get("RollingUpdatePolicy")
    if blue_green and rolling:
        return "Only one update policy can be specified in the deployment configuration."
    if rolling:
        # Developer guide, "Exclusions" of deployment guardrails.
        if settings.is_serverless or len(settings.specs) > 1:
            return "Rolling deployments do not support serverless and multi-variant endpoints."
        return _check_size("MaximumBatchSize", rolling["MaximumBatchSize"], settings.specs)
    routing = (blue_green or {}).get("TrafficRoutingConfiguration") or {}
    required = {"CANARY": "CanarySize", "LINEAR": "LinearStepSize"}.get(routing.get("Type", ""))
    for member in ("CanarySize", "LinearStepSize"):
        if (member == required) != bool(routing.get(member)):
            must = "must" if member == required else "must not"
            return f"{member} {must} be specified when the traffic routing type is {routing['Type']}."
    return _check_size(required, routing[required], settings.specs) if required else None


def _check_size(member: str, size: "Mapping[str, Any]", specs: "Sequence[VariantSpec]") -> str | None:
    least, most = _STEP_LIMITS[member]
    for spec in specs:
        percent = 100 * CapacitySize.of(size).share_of(max(1, spec.instances))
        if not least <= percent <= most:
            return (
                f"{member} for production variant {spec.identity.variant} must be "
                f"{f'between {least}% and' if least else 'at most'} {most}% of its instances, not {percent:g}%."
            )
    return None
