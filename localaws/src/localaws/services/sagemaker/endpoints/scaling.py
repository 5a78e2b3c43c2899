"""What Application Auto Scaling scales: instances and provisioned concurrency of variants."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from localaws.services.sagemaker.endpoints.capacity import VariantChange

if TYPE_CHECKING:
    from localaws.services.sagemaker.endpoints.endpoint import Endpoint
    from localaws.services.sagemaker.endpoints.variants import Variant

__all__ = [
    "INSTANCE_COUNT",
    "PROVISIONED_CONCURRENCY",
    "CapacityRefused",
    "InstanceCount",
    "ProvisionedConcurrency",
    "ScalableResource",
    "variant_resource",
]

#: Application Auto Scaling's scalable dimensions.
INSTANCE_COUNT = "sagemaker:variant:DesiredInstanceCount"
PROVISIONED_CONCURRENCY = "sagemaker:variant:DesiredProvisionedConcurrency"

#: Requests changes to an endpoint's variants; raises CapacityRefused.
ChangeCapacity = Callable[["Endpoint", Sequence[VariantChange]], None]


class ScalableResource(Protocol):
    """A variant's instances or provisioned concurrency, or an inference component's copies."""

    @property
    def current(self) -> int:
        """The current capacity."""

    @property
    def desired(self) -> int:
        """The desired capacity."""

    @property
    def changing(self) -> bool:
        """Whether a change has not finished; the service rejects another one until then."""

    def scale(self, desired: int) -> None:
        """Request another capacity; the change happens in the background.

        Raises:
            CapacityRefused: The capacity cannot be changed now; the message says why.
        """


class CapacityRefused(Exception):
    """SageMaker rejects a change of capacity; the message is SageMaker's."""


def variant_resource(endpoint: str, variant: str) -> str:
    """Application Auto Scaling's resource id of a variant."""
    return f"endpoint/{endpoint}/variant/{variant}"


class _ScalableVariant:
    """A variant, looked up each time, since an update of the endpoint replaces it."""

    def __init__(self, endpoint: "Endpoint", variant: str, change: ChangeCapacity) -> None:
        self._endpoint = endpoint
        self._name = variant
        self._change = change

    @property
    def changing(self) -> bool:
        """Whether an operation on the endpoint has not finished."""
        return self._endpoint.in_progress

    @property
    def _variant(self) -> "Variant | None":
        deployment = self._endpoint.traffic.current
        return deployment.find(self._name) if deployment is not None else None


class InstanceCount(_ScalableVariant):
    """Instances of a variant: a :class:`ScalableResource`."""

    @property
    def current(self) -> int:
        """Instances that accept requests."""
        return self._variant.group.current if self._variant is not None else 0

    @property
    def desired(self) -> int:
        """The desired number of instances."""
        return self._variant.group.desired if self._variant is not None else 0

    def scale(self, desired: int) -> None:
        """Request a number of instances; raises CapacityRefused."""
        self._change(self._endpoint, [VariantChange(self._name, instances=desired)])


class ProvisionedConcurrency(_ScalableVariant):
    """Provisioned concurrency of a serverless variant, which changes immediately."""

    @property
    def current(self) -> int:
        """The provisioned concurrency."""
        serverless = self._variant.serverless if self._variant is not None else None
        return (serverless or {}).get("ProvisionedConcurrency", 0)

    @property
    def desired(self) -> int:
        """The same, since changes are immediate."""
        return self.current

    def scale(self, desired: int) -> None:
        """Request a provisioned concurrency; raises CapacityRefused."""
        if desired < 1:
            raise CapacityRefused("ProvisionedConcurrency must be greater than or equal to 1.")
        self._change(self._endpoint, [VariantChange(self._name, serverless={"ProvisionedConcurrency": desired})])
