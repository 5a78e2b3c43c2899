"""What every container of a group runs."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from localaws.services.sagemaker.containers.artifacts import Artifact, unpack_artifact
from localaws.services.sagemaker.containers.image_size import check_image_size
from localaws.services.sagemaker.containers.images import (
    ContainerDefinition,
    LaunchError,
    ServerProtocol,
    check_huggingface_task,
    model_source,
)
from localaws.services.sagemaker.containers.process import ContainerStartError, LaunchPlan

if TYPE_CHECKING:
    from localaws.config import LocalAwsConfig
    from localaws.services.sagemaker.telemetry.logs import LogSource

__all__ = ["LaunchTemplate"]


@dataclass(frozen=True, slots=True)
class LaunchTemplate:
    """The containers of a production variant, or the copies of an inference component.

    Attributes:
        container: The container definition.
        log: The owner of the containers' log group.
        label: Label in the process list, such as ``endpoint/variant``.
        start_timeout: Seconds from launch to a successful ``GET /ping``.
        failure_reason: Returns SageMaker's message for a container that did not start.
        has_gpu: Whether the instance type has GPUs. Here the model runs on the CPU.
        is_serverless: Whether the variant is serverless.
    """

    container: ContainerDefinition
    log: "LogSource"
    label: str
    start_timeout: float
    failure_reason: Callable[[ContainerStartError], str]
    has_gpu: bool
    is_serverless: bool = False

    def plan(self, config: "LocalAwsConfig", work_dir: Path) -> LaunchPlan:
        """Find the model, unpacking its artifact into ``work_dir`` if it has one.

        Raises:
            LaunchError: The container would exit at start; the message says why.
        """
        if self.is_serverless:
            check_image_size(self.container.image)
        source = model_source(self.container, config.models_dir, has_gpu=self.has_gpu, is_serverless=self.is_serverless)
        folder, protocol = source.folder, self.container.protocol
        if source.artifact_url is not None:
            artifact = unpack_artifact(source.artifact_url, self.log.account_id, work_dir, config.artifact_bytes)
            folder = artifact.model_folder()
            if self.container.serves_with_toolkit and protocol != "huggingface":
                protocol = self._toolkit_protocol(artifact)
        if folder is None:
            raise LaunchError("the container has no model")
        return LaunchPlan(
            protocol=protocol,
            model_folder=folder,
            model_id=self.container.environment.get("HF_MODEL_ID") or source.artifact_url or folder.name,
            environment=self.container.environment,
            label=self.label,
        )

    def _toolkit_protocol(self, artifact: Artifact) -> ServerProtocol:
        """The protocol of an artifact in the Hugging Face container: its handler's, or the default handler's.

        Raises:
            LaunchError: The local AWS cannot run its handler, or the default handler cannot load its model.
        """
        if artifact.has_handler(self.container.environment):
            return "embedstack"
        check_huggingface_task(self.container.environment.get("HF_TASK"), artifact.architectures)
        if artifact.model_folder() != artifact.root:
            raise LaunchError(f'The model in "{artifact.url}" is in a folder: the default handler needs it at the top.')
        return "huggingface"
