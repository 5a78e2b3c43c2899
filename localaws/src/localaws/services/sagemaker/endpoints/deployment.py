"""A running endpoint configuration with all its variants."""

import random
import shutil
import uuid
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any

from localaws.core.threads import at_the_same_time
from localaws.core.timestamps import utc_now
from localaws.services.sagemaker.containers.container import ContainerFailed
from localaws.services.sagemaker.containers.instance_types import preferred_type
from localaws.services.sagemaker.endpoints.variants import Variant

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from localaws.config import LocalAwsConfig
    from localaws.process.pid_files import PidFiles
    from localaws.services.sagemaker.endpoints.variants import VariantSpec
    from localaws.services.sagemaker.telemetry.data_capture import DataCapture


class UnknownVariant(Exception):
    """The deployment has no variant of the requested name."""


class Deployment:
    """The variants of one endpoint configuration, from start to retirement."""

    def __init__(
        self,
        config_name: str,
        specs: "Sequence[VariantSpec]",
        config: "LocalAwsConfig",
        pids: "PidFiles",
        state_dir: "Path",
        *,
        empty: bool = False,
        capture: "DataCapture | None" = None,
    ) -> None:
        """Prepare the deployment; nothing runs yet.

        Args:
            config_name: Name of its endpoint configuration.
            specs: Its variants.
            config: Limits and durations.
            pids: Where the containers' processes are recorded.
            state_dir: Where artifacts are unpacked.
            empty: Whether it starts without instances.
            capture: Records requests and responses; None to record nothing.
        """
        self.config_name = config_name
        self.capture = capture
        self.created = utc_now()
        self._work_dir = state_dir / "models" / uuid.uuid4().hex
        self.variants = [Variant(spec, config, pids, self._work_dir, empty=empty) for spec in specs]

    def start(self) -> None:
        """Start all variants concurrently.

        Raises:
            ContainerFailed: A container did not start; the caller retires the deployment.
        """
        failures: list[ContainerFailed] = []

        def start(variant: Variant) -> None:
            try:
                variant.group.start()
            except ContainerFailed as error:
                failures.append(error)

        at_the_same_time([partial(start, variant) for variant in self.variants])
        if failures:
            raise failures[0]

    @property
    def instances(self) -> Counter[str]:
        """Its desired instances, by instance type."""
        instances: Counter[str] = Counter()
        for variant in self.variants:
            if variant.serverless is None:
                instances[str(preferred_type(variant.spec.production_variant))] += variant.group.desired
        return instances

    def find(self, name: str) -> Variant | None:
        """The variant of this name, or None."""
        return next((variant for variant in self.variants if variant.name == name), None)

    def choose(self, target: str | None) -> Variant:
        """The variant for one request: the named one, or a random one by weight.

        Raises:
            UnknownVariant: No variant has that name.
        """
        if target is not None:
            variant = self.find(target)
            if variant is None:
                raise UnknownVariant(target)
            return variant
        if len(self.variants) == 1:
            return self.variants[0]
        return random.choices(self.variants, [variant.weight for variant in self.variants])[0]  # noqa: S311 - traffic, no secret

    def tick(self) -> None:
        """Maintain the variants' containers, and write captured data."""
        for variant in self.variants:
            variant.group.tick()
        if self.capture is not None:
            self.capture.tick()

    def retire(self, drain_timeout: float) -> None:
        """Drain and stop all variants concurrently, and remove their unpacked artifacts."""
        at_the_same_time([partial(variant.group.retire, drain_timeout) for variant in self.variants])
        if self.capture is not None:
            self.capture.close()
        shutil.rmtree(self._work_dir, ignore_errors=True)

    def describe(self) -> list[dict[str, Any]]:
        """The deployment as DescribeEndpoint's ProductionVariants."""
        return [self._describe_variant(variant) for variant in self.variants]

    def deployed_images(self, variant: Variant) -> list[dict[str, Any]]:
        """As the API's DeployedImages."""
        image = variant.spec.container.image
        return [{"SpecifiedImage": image, "ResolvedImage": image, "ResolutionTime": self.created}]

    def _describe_variant(self, variant: Variant) -> dict[str, Any]:
        summary: dict[str, Any] = {
            "VariantName": variant.name,
            "DeployedImages": self.deployed_images(variant),
            "CurrentWeight": variant.weight,
            "DesiredWeight": variant.weight,
            **variant.described_settings(),
        }
        if variant.serverless:
            return {
                **summary,
                "CurrentInstanceCount": 0,
                "CurrentServerlessConfig": variant.serverless,
                "DesiredServerlessConfig": variant.serverless,
            }
        if variant.status is not None:
            summary["VariantStatus"] = variant.status.describe()
        return {
            **summary,
            "CurrentInstanceCount": variant.group.current,
            "DesiredInstanceCount": variant.group.desired,
        }
