"""What an inference component is made of: its model, the resources of a copy, and whose logs and metrics it has."""

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
        identity: Which component.
        container: What a copy runs.
        specification: The Specification of the API.
    """

    identity: "ComponentId"
    container: "ContainerDefinition"
    specification: dict[str, Any]
    #: A component is never serverless.
    serverless: ClassVar[None] = None

    @property
    def need(self) -> Resources:
        """What a copy reserves of an instance."""
        asked = self.specification["ComputeResourceRequirements"]
        return Resources(
            cpu_cores=float(asked.get("NumberOfCpuCoresRequired", 0)),
            memory_mb=float(asked["MinMemoryRequiredInMb"]),
            accelerators=float(asked.get("NumberOfAcceleratorDevicesRequired", 0)),
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
            # On an instance without GPUs a copy that reserves one is not placed.
            has_gpu=self.need.accelerators > 0,
        )

    def describe(self, deployed: Any) -> dict[str, Any]:
        """DescribeInferenceComponent's Specification.

        Args:
            deployed: When the copies' image was resolved.
        """
        answer = dict(self.specification)
        if "Container" in answer:
            container = dict(answer["Container"])
            image = container.pop("Image", None)
            container["DeployedImage"] = {"SpecifiedImage": image, "ResolvedImage": image, "ResolutionTime": deployed}
            answer["Container"] = container
        return answer
