"""UpdateEndpointWeightsAndCapacities: validation and execution of the changes."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from localaws.core.threads import at_the_same_time
from localaws.services.sagemaker.containers.container import ContainerFailed
from localaws.services.sagemaker.containers.instance_types import preferred_type
from localaws.services.sagemaker.endpoints.variants import VariantStatus

if TYPE_CHECKING:
    from datetime import datetime

    from localaws.services.sagemaker.endpoints.deployment import Deployment
    from localaws.services.sagemaker.endpoints.variants import Variant

__all__ = ["CapacityChange", "VariantChange", "added_instances", "check_changes"]


@dataclass(frozen=True, slots=True)
class VariantChange:
    """The change of one variant; None and an empty mapping change nothing.

    Attributes:
        variant: The variant's name.
        weight: Its share of the traffic.
        instances: How many instances.
        serverless: MaxConcurrency and ProvisionedConcurrency.
    """

    variant: str
    weight: float | None = None
    instances: int | None = None
    serverless: dict[str, int] = field(default_factory=dict)

    @classmethod
    def from_request(cls, change: dict[str, Any]) -> "VariantChange":
        """Read the API's DesiredWeightAndCapacity."""
        return cls(
            change["VariantName"],
            change.get("DesiredWeight"),
            change.get("DesiredInstanceCount"),
            dict(change.get("ServerlessUpdateConfig") or {}),
        )


def check_changes(changes: Sequence[VariantChange], deployment: "Deployment", *, scales_to_zero: bool) -> str | None:
    """SageMaker's message if it rejects these changes, or None.

    Args:
        changes: The requested changes.
        deployment: The running deployment.
        scales_to_zero: Whether zero instances are allowed, as for asynchronous inference.
    """
    unknown = [change.variant for change in changes if deployment.find(change.variant) is None]
    if unknown:
        return (
            f'The variant name(s) "{", ".join(unknown)}" is/are not present within endpoint configuration '
            f'"{deployment.config_name}".'
        )
    for change in changes:
        variant = deployment.find(change.variant)
        reason = None if variant is None else _check(change, variant, scales_to_zero=scales_to_zero)
        if reason is not None:
            return reason
    return None


def _check(change: VariantChange, variant: "Variant", *, scales_to_zero: bool) -> str | None:
    name = change.variant
    if variant.serverless is None:
        if change.serverless:
            return f"Production variant {name} is not serverless: ServerlessUpdateConfig cannot be applied to it."
        if change.instances == 0 and not scales_to_zero:
            return f"DesiredInstanceCount of production variant {name} must be greater than or equal to 1."
        return None
    if change.instances is not None:
        return f"Production variant {name} is serverless: DesiredInstanceCount cannot be applied to it."
    serverless = {**variant.serverless, **change.serverless}
    if serverless.get("ProvisionedConcurrency", 0) > serverless["MaxConcurrency"]:
        return (
            f"ProvisionedConcurrency {serverless['ProvisionedConcurrency']} of production variant {name} must be less "
            f"than or equal to its MaxConcurrency {serverless['MaxConcurrency']}."
        )
    return None


def added_instances(changes: Sequence[VariantChange], deployment: "Deployment") -> Counter[str]:
    """Instances that the changes add, by instance type."""
    added: Counter[str] = Counter()
    for change in changes:
        variant = deployment.find(change.variant)
        if variant is not None and change.instances is not None and change.instances > variant.group.desired:
            added[str(preferred_type(variant.spec.production_variant))] += change.instances - variant.group.desired
    return added


class CapacityChange:
    """Changes to the variants of a deployment, which can be rolled back."""

    def __init__(self, changes: Sequence[VariantChange], deployment: "Deployment") -> None:
        """Record the state before the changes."""
        pairs = ((change, deployment.find(change.variant)) for change in changes)
        self._changes = [(change, variant) for change, variant in pairs if variant is not None]
        self._before = [(variant, variant.weight, variant.group.current) for _, variant in self._changes]

    def apply_immediately(self, now: "datetime") -> None:
        """Apply weights and concurrency, and set the desired number of instances."""
        for change, variant in self._changes:
            if change.weight is not None:
                variant.weight = change.weight
            variant.change_serverless(change.serverless)
            if change.instances is not None and change.instances != variant.group.current:
                direction = "out" if change.instances > variant.group.current else "in"
                message = f"Scaling {direction} desired instance count to {change.instances}."
                variant.group.announce(change.instances)
                variant.status = VariantStatus("Updating", message, now)

    def scale(self) -> None:
        """Scale to the instance counts. Blocks until that is done.

        Raises:
            ContainerFailed: An instance did not start; the caller rolls back.
        """
        failures: list[ContainerFailed] = []

        def scale(variant: "Variant", instances: int) -> None:
            try:
                variant.group.scale(instances)
            except ContainerFailed as error:
                failures.append(error)

        at_the_same_time(
            [
                partial(scale, variant, change.instances)
                for change, variant in self._changes
                if change.instances is not None
            ]
        )
        if failures:
            raise failures[0]

    def roll_back(self) -> None:
        """Restore weights and instance counts, as far as instances start."""
        for variant, weight, instances in self._before:
            variant.weight = weight
            try:
                variant.group.scale(instances)
            except ContainerFailed:
                continue

    def finish(self) -> None:
        """Clear the variants' status."""
        for _, variant in self._changes:
            variant.status = None
