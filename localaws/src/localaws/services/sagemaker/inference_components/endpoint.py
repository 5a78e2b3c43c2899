"""Endpoints whose variants have no model: instances that inference components are placed on."""

from typing import TYPE_CHECKING, Any

from localaws.services.sagemaker.endpoints.endpoint import Endpoint
from localaws.services.sagemaker.inference_components.pools import InstancePool, NotEnoughResources

if TYPE_CHECKING:
    from collections.abc import Callable

    from localaws.core.clock import SimulatedTime
    from localaws.services.sagemaker.endpoints.settings import EndpointSettings

__all__ = ["ComponentEndpoint"]


class ComponentEndpoint(Endpoint):
    """An endpoint without containers of its own.

    Attributes:
        pools: Its instances, by the variant's name.
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
        """Describe a new endpoint in state Creating.

        Args:
            name: Its name.
            arn: Its ARN.
            tags: Its tags.
            settings: Its configuration.
            time: The local AWS's time.
            deployment_config: Kept, and told by DescribeEndpoint.
            abandon_components: Called when the endpoint goes: stops the copies that run on it.
        """
        super().__init__(name, arn, tags, settings, _deploy_nothing, 0, time, deployment_config)
        self.pools = {spec.identity.variant: InstancePool(spec) for spec in settings.pools}
        self._abandon_components = abandon_components

    def run_creation(self) -> None:
        """Be InService: the instances run nothing yet."""
        self._settle("InService")

    def run_update(self, settings: "EndpointSettings") -> None:
        """Take over another configuration; the components stay, and are placed anew where the instances change."""
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
        """Stop the copies on its instances. Blocks until nothing runs."""
        self._abandon_components()

    @property
    def production_variants(self) -> list[dict[str, Any]]:
        """What DescribeEndpoint knows as ProductionVariants."""
        return [_describe(pool) for pool in self.pools.values()]


def _describe(pool: InstancePool) -> dict[str, Any]:
    variant = pool.spec.production_variant
    weight = float(variant.get("InitialVariantWeight", 1.0))
    answer = {
        "VariantName": pool.spec.identity.variant,
        "CurrentWeight": weight,
        "DesiredWeight": weight,
        "CurrentInstanceCount": pool.instance_count,
        "DesiredInstanceCount": pool.instance_count,
        "ManagedInstanceScaling": variant.get("ManagedInstanceScaling"),
        "RoutingConfig": variant.get("RoutingConfig"),
    }
    return {key: value for key, value in answer.items() if value is not None}


def _deploy_nothing(settings: "EndpointSettings", *, empty: bool = False) -> Any:
    del settings, empty
    raise AssertionError("an endpoint of inference components deploys nothing itself")
