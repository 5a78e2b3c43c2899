"""The resolved Specification of an inference component."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from localaws.services.sagemaker.containers.instance_types import Resources
from localaws.services.sagemaker.containers.launch import LaunchTemplate

if TYPE_CHECKING:
    from localaws.config import LocalAwsConfig
    from localaws.services.sagemaker.containers.images import ContainerDefinition
    from localaws.services.sagemaker.telemetry.identities import ComponentId

__all__ = ["ComponentSpec"]


@dataclass(frozen=True, slots=True)
class ComponentSpec:
    """An inference component's Specification, resolved: everything a copy needs.

    Attributes:
        identity: The component.
        container: The container of a copy.
        specification: The Specification of the API.
    """

    identity: "ComponentId"
    container: "ContainerDefinition"
    specification: dict[str, Any]
    #: A component is never serverless.
    serverless: ClassVar[None] = None

    @property
    def need(self) -> Resources:
        """The resources that a copy reserves."""
        requirements = self.specification["ComputeResourceRequirements"]
        return Resources(
            cpu_cores=float(requirements.get("NumberOfCpuCoresRequired", 0)),
            memory_mb=float(requirements["MinMemoryRequiredInMb"]),
            accelerators=float(requirements.get("NumberOfAcceleratorDevicesRequired", 0)),
        )

    def launch_template(self, config: "LocalAwsConfig") -> LaunchTemplate:
        """What each copy runs."""
        startup = self.specification.get("StartupParameters") or {}
        timeout = startup.get("ContainerStartupHealthCheckTimeoutInSeconds") or config.instance_start_timeout
        return LaunchTemplate(
            container=self.container,
            log=self.identity,
            label=f"{self.identity.endpoint}/{self.identity.name}",
            start_timeout=float(timeout),
            failure_reason=lambda _: (
                f"The {self.container.hostname} container for inference component {self.identity.name} did not pass "
                "the ping health check. Please check CloudWatch logs for this inference component."
            ),
            # A copy that reserves a GPU is placed on instances with GPUs only.
            has_gpu=self.need.accelerators > 0,
        )

    def describe(self, deployed: Any) -> dict[str, Any]:
        """DescribeInferenceComponent's Specification.

        Args:
            deployed: Time at which the copies' image was resolved.
        """
        specification = dict(self.specification)
        if "Container" in specification:
            container = dict(specification["Container"])
            image = container.pop("Image", None)
            container["DeployedImage"] = {"SpecifiedImage": image, "ResolvedImage": image, "ResolutionTime": deployed}
            specification["Container"] = container
        return specification
