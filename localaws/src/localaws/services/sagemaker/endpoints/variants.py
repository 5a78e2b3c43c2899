"""A production variant: its specification, its status, and its containers."""

from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from localaws.services.sagemaker.containers.group import ContainerGroup
from localaws.services.sagemaker.containers.images import ContainerDefinition
from localaws.services.sagemaker.containers.instance_types import has_gpu, preferred_type
from localaws.services.sagemaker.containers.launch import LaunchTemplate
from localaws.services.sagemaker.telemetry.logs import console_link

if TYPE_CHECKING:
    from localaws.config import LocalAwsConfig
    from localaws.process.pid_files import PidFiles
    from localaws.services.sagemaker.containers.process import ContainerStartError
    from localaws.services.sagemaker.telemetry.identities import VariantId


@dataclass(frozen=True, slots=True)
class VariantSpec:
    """A production variant as its endpoint configuration describes it.

    Attributes:
        identity: Endpoint and variant.
        container: What to run.
        production_variant: The ProductionVariant of the API.
    """

    identity: "VariantId"
    container: ContainerDefinition
    production_variant: dict[str, Any]

    @property
    def serverless(self) -> dict[str, int] | None:
        """The ServerlessConfig, or None for an instance-based variant."""
        config: dict[str, int] | None = self.production_variant.get("ServerlessConfig")
        return config

    @property
    def instances(self) -> int:
        """The InitialInstanceCount; a serverless variant has none."""
        return 0 if self.serverless else int(self.production_variant.get("InitialInstanceCount", 1))

    @property
    def weight(self) -> float:
        """The InitialVariantWeight."""
        return float(self.production_variant.get("InitialVariantWeight", 1.0))

    @property
    def routes_by_load(self) -> bool:
        """Whether requests go to the instance with the fewest outstanding ones; the default is random."""
        routing = self.production_variant.get("RoutingConfig") or {}
        return routing.get("RoutingStrategy") == "LEAST_OUTSTANDING_REQUESTS"

    def launch_template(self, config: "LocalAwsConfig") -> LaunchTemplate:
        """What each instance runs."""
        configured = self.production_variant.get("ContainerStartupHealthCheckTimeoutInSeconds")
        on_instances = float(configured or config.instance_start_timeout)
        timeout = config.serverless_start_timeout if self.serverless else on_instances
        return LaunchTemplate(
            container=self.container,
            log=self.identity,
            label=f"{self.identity.endpoint}/{self.identity.variant}",
            start_timeout=timeout,
            failure_reason=lambda error: self._failure_reason(error, timeout),
            has_gpu=not self.serverless and has_gpu(str(preferred_type(self.production_variant))),
            is_serverless=self.serverless is not None,
        )

    def _failure_reason(self, error: "ContainerStartError", timeout: float) -> str:
        """SageMaker's message for a container that did not start."""
        if not self.serverless:
            return (
                f"The {self.container.hostname} container for production variant {self.identity.variant} did not pass "
                "the ping health check. Please check CloudWatch logs for this endpoint."
            )
        if error.timed_out:
            return (
                f"Unable to successfully stand up your model within the allotted {timeout:g} second timeout. Please "
                "ensure that downloading your model artifacts, starting your model container and passing the ping "
                f"health checks can be completed within {timeout:g} seconds."
            )
        return (
            'Received server error (0) from model with message "An error occurred while handling request as the '
            f'model process exited.". {console_link(self.identity)}'
        )


@dataclass(frozen=True, slots=True)
class VariantStatus:
    """One stage of a deployment or of a change of capacity, as in DescribeEndpoint.

    The statuses are those of the API's VariantStatus; the messages are worded as in the developer guide's "SageMaker
    Endpoint Deployment State Change" events.

    Attributes:
        status: The stage.
        message: Details, with figures.
        started: Start of the stage, in UTC without a time zone.
    """

    status: Literal["Creating", "Updating", "Deleting", "ActivatingTraffic", "Baking"]
    message: str
    started: datetime

    def describe(self) -> list[dict[str, Any]]:
        """As the API's ProductionVariantStatusList."""
        return [{"Status": self.status, "StatusMessage": self.message, "StartTime": self.started}]


class Variant:
    """A production variant, running.

    Attributes:
        spec: Its specification.
        group: Its instances; for a serverless variant the one container that runs on demand.
        serverless: The current ServerlessConfig; None for an instance-based variant.
        weight: Its share of the traffic, relative to the other variants.
        status: The change of capacity in progress, or None.
    """

    def __init__(
        self,
        spec: VariantSpec,
        config: "LocalAwsConfig",
        pids: "PidFiles",
        work_dir: Path,
        *,
        empty: bool = False,
    ) -> None:
        """Prepare a variant; nothing runs yet.

        Args:
            spec: The specification.
            config: Limits and durations.
            pids: Where the containers' processes are recorded.
            work_dir: Where an artifact is unpacked.
            empty: Whether it starts without instances.
        """
        self.spec = spec
        self.serverless = spec.serverless
        self.weight = spec.weight
        self.status: VariantStatus | None = None
        size = 1 if spec.serverless else spec.instances
        self.group = ContainerGroup(spec.launch_template(config), config, pids, work_dir, size=0 if empty else size)
        self.group.least_outstanding = spec.routes_by_load
        self._apply_serverless()

    @property
    def name(self) -> str:
        """The variant's name, unique in its endpoint."""
        return self.spec.identity.variant

    @property
    def current_spec(self) -> VariantSpec:
        """The specification with the current weight and capacity."""
        current = {**self.spec.production_variant, "InitialVariantWeight": self.weight}
        if self.serverless:
            current["ServerlessConfig"] = self.serverless
        else:
            current["InitialInstanceCount"] = self.group.desired
        return replace(self.spec, production_variant=current)

    def described_settings(self) -> dict[str, Any]:
        """The settings of the endpoint configuration that DescribeEndpoint returns."""
        members = ("RoutingConfig", "ManagedInstanceScaling")
        return {name: self.spec.production_variant[name] for name in members if self.spec.production_variant.get(name)}

    def change_serverless(self, changes: dict[str, int]) -> None:
        """Apply another MaxConcurrency or ProvisionedConcurrency."""
        if self.serverless is not None:
            self.serverless = {**self.serverless, **changes}
            self._apply_serverless()

    def _apply_serverless(self) -> None:
        if self.serverless is not None:
            self.group.max_concurrency = self.serverless["MaxConcurrency"]
            # Provisioned concurrency keeps a container running without requests.
            self.group.stays_warm = bool(self.serverless.get("ProvisionedConcurrency"))
