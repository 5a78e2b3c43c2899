"""Endpoints whose variants have no model and host inference components."""

from collections import Counter
from typing import TYPE_CHECKING, Any

from localaws.services.sagemaker.endpoints.endpoint import Endpoint
from localaws.services.sagemaker.inference_components.pools import InstancePool, NotEnoughResources

if TYPE_CHECKING:
    from collections.abc import Callable

    from localaws.core.clock import SimulatedTime
    from localaws.services.sagemaker.endpoints.launch_faults import LaunchFault
    from localaws.services.sagemaker.endpoints.settings import EndpointSettings

__all__ = ["ComponentEndpoint"]


class ComponentEndpoint(Endpoint):
    """An endpoint that hosts inference components.

    Attributes:
        pools: Its instances, by name of the variant.
    """

    def __init__(
        self,
        name: str,
        arn: str,
        tags: list[dict[str, str]],
        settings: "EndpointSettings",
        time: "SimulatedTime",
        deployment_config: dict[str, Any] | None,
        abandon_components: "Callable[[], None]",
    ) -> None:
        """Create an endpoint in state Creating.

        Args:
            name: Its name.
            arn: Its ARN.
            tags: Its tags.
            settings: Its configuration.
            time: The local AWS's clock.
            deployment_config: Its DeploymentConfig, for DescribeEndpoint.
            abandon_components: Stops the copies on it; called when the endpoint is deleted.
        """
        super().__init__(name, arn, tags, settings, _deploy_nothing, 0, time, deployment_config)
        self.pools = {spec.identity.variant: InstancePool(spec) for spec in settings.pools}
        self._abandon_components = abandon_components

    @property
    def instances(self) -> Counter[str]:
        """Its instances by instance type; none after a failed creation."""
        instances: Counter[str] = Counter()
        if self.endpoint_status == "Failed":
            return instances
        for pool in self.pools.values():
            instances[pool.spec.instance_type] += pool.instance_count
        return instances

    def run_creation(self, fault: "LaunchFault | None" = None) -> None:
        """Enter InService, with empty instances, or Failed after a fault."""
        if fault is not None:
            self._fail(fault, "Failed")
        else:
            self._settle("InService")

    def run_update(self, settings: "EndpointSettings", fault: "LaunchFault | None" = None) -> None:
        """Apply another configuration; the components stay and are placed again if the instances change."""
        if fault is not None:
            self._fail(fault, "InService")
            return
        try:
            for spec in settings.pools:
                name = spec.identity.variant
                if name in self.pools:
                    self.pools[name].configure(spec)
                else:
                    self.pools[name] = InstancePool(spec)
        except NotEnoughResources as error:
            self._settle("InService", reason=str(error))
            return
        self.pools = {spec.identity.variant: self.pools[spec.identity.variant] for spec in settings.pools}
        self.settings = settings
        self.endpoint_config_name = settings.config_name
        self._settle("InService")

    def run_deletion(self) -> None:
        """Stop the copies on its instances. Blocks until then."""
        self._abandon_components()

    def resume_empty(self, time: "SimulatedTime", abandon_components: "Callable[[], None]") -> None:
        """Continue an endpoint that another local AWS has stopped; its components start their own copies."""
        self._abandon_components = abandon_components
        self.resume(_deploy_nothing, 0, time)

    def __getstate__(self) -> dict[str, Any]:
        """What is kept when the local AWS stops; see :meth:`resume_empty`."""
        return {name: value for name, value in super().__getstate__().items() if name != "_abandon_components"}

    @property
    def production_variants(self) -> list[dict[str, Any]]:
        """The ProductionVariants of DescribeEndpoint."""
        if self.endpoint_status in ("Creating", "Failed"):
            return []
        return [_describe(pool) for pool in self.pools.values()]


def _describe(pool: InstancePool) -> dict[str, Any]:
    variant = pool.spec.production_variant
    weight = float(variant.get("InitialVariantWeight", 1.0))
    description = {
        "VariantName": pool.spec.identity.variant,
        "CurrentWeight": weight,
        "DesiredWeight": weight,
        "CurrentInstanceCount": pool.instance_count,
        "DesiredInstanceCount": pool.instance_count,
        "InstancePools": _describe_pools(pool),
        "ManagedInstanceScaling": variant.get("ManagedInstanceScaling"),
        "RoutingConfig": variant.get("RoutingConfig"),
    }
    return {key: value for key, value in description.items() if value is not None}


def _describe_pools(pool: InstancePool) -> list[dict[str, Any]] | None:
    """The instances of each type. Capacity is never short here, so that all have the preferred one."""
    types = [each["InstanceType"] for each in pool.spec.production_variant.get("InstancePools") or ()]
    counts = {each: pool.instance_count if each == pool.spec.instance_type else 0 for each in types}
    return [{"InstanceType": each, "CurrentInstanceCount": count} for each, count in counts.items()] or None


def _deploy_nothing(settings: "EndpointSettings", *, empty: bool = False) -> Any:
    del settings, empty
    raise AssertionError("an endpoint of inference components has no deployments")
