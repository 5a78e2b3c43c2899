"""What every container of a group runs, and in whose name."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from localaws.services.sagemaker.containers.artifacts import unpack_artifact
from localaws.services.sagemaker.containers.images import ContainerDefinition, LaunchError, model_source
from localaws.services.sagemaker.containers.process import ContainerStartError, LaunchPlan

if TYPE_CHECKING:
    from localaws.config import LocalAwsConfig
    from localaws.services.sagemaker.telemetry.logs import LogSource

__all__ = ["LaunchTemplate"]


@dataclass(frozen=True, slots=True)
class LaunchTemplate:
    """The containers of one production variant, or the copies of one inference component.

    Attributes:
        container: What to run.
        log: Whose log group the containers write to.
        label: For the process list, such as ``endpoint/variant``.
        start_timeout: Seconds from launch to a good ``GET /ping``.
        failure_reason: SageMaker's sentence about a container that did not come up.
        has_gpu: Whether it runs on an instance with GPUs. Here the processor stands in for them.
    """

    container: ContainerDefinition
    log: "LogSource"
    label: str
    start_timeout: float
    failure_reason: Callable[[ContainerStartError], str]
    has_gpu: bool

    def plan(self, config: "LocalAwsConfig", work_dir: Path) -> LaunchPlan:
        """Find the model, unpacking its artifact into ``work_dir`` if it has one.

        Raises:
            LaunchError: The container would exit at start; the message says why.
        """
        source = model_source(self.container, config.models_dir, has_gpu=self.has_gpu)
        folder = source.folder
        if source.artifact_url is not None:
            folder = unpack_artifact(source.artifact_url, self.log.account_id, work_dir, config.artifact_bytes)
        if folder is None:
            raise LaunchError("the container has no model")
        return LaunchPlan(
            protocol=self.container.protocol,
            model_folder=folder,
            model_id=self.container.environment.get("HF_MODEL_ID") or source.artifact_url or folder.name,
            environment=self.container.environment,
            label=self.label,
        )
