"""Decides what runs on this machine for a container definition."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from embedstack.models.local_files import find_model_folder, is_hub_id
from localaws.services.sagemaker.containers.tei_settings import (
    InvalidTeiSettings,
    TeiSettings,
    hub_cache,
    tei_release,
)

__all__ = [
    "ContainerDefinition",
    "LaunchError",
    "ModelSource",
    "ProvisioningError",
    "ServerProtocol",
    "check_huggingface_task",
    "model_source",
]

#: The protocol of a release of Text Embeddings Inference, of the Hugging Face inference toolkit, or of embedstack's
#: model server.
ServerProtocol = Literal["tei-1.8", "tei-1.9", "huggingface", "embedstack"]

#: Where SageMaker unpacks a model artifact inside a container.
ARTIFACT_MOUNT = "/opt/ml/model"


#: The folder that a container of a serverless endpoint can write to (developer guide, "Serverless Inference").
_WRITABLE = "/tmp"  # noqa: S108 - a path inside the container
#: AWS's other images for inference, which the local AWS has no server for.
_OTHER_AWS_IMAGES = re.compile(
    r"(djl-inference|huggingface-(pytorch-inference-.+|pytorch-tgi-inference|tensorflow-inference.*)"
    r"|(mxnet|pytorch|tensorflow)-inference.*|sagemaker-(scikit-learn|tritonserver|xgboost)|vllm)"
)


class LaunchError(Exception):
    """A container cannot be launched; the message is what the container would have logged."""


class ProvisioningError(LaunchError):
    """SageMaker cannot provide what the container needs; the message is SageMaker's FailureReason."""


@dataclass(frozen=True, slots=True)
class ContainerDefinition:
    """The members of SageMaker's ContainerDefinition that decide what runs.

    Attributes:
        image: ECR image URI.
        environment: The container's environment variables.
        model_data_url: ``s3://…/model.tar.gz``, or None.
        hostname: The container's name in SageMaker's messages.
    """

    image: str
    environment: dict[str, str] = field(default_factory=dict)
    model_data_url: str | None = None
    hostname: str = "primary"

    @classmethod
    def from_request(cls, definition: dict[str, Any]) -> "ContainerDefinition":
        """Read a ContainerDefinition of CreateModel.

        Raises:
            NotImplementedError: It uses a feature that the local AWS does not implement.
        """
        if definition.get("ModelDataSource"):
            raise NotImplementedError("CreateEndpoint for a model with an uncompressed ModelDataSource")
        if definition.get("Mode") == "MultiModel":
            raise NotImplementedError("CreateEndpoint for a multi-model container")
        if not definition.get("Image"):
            raise NotImplementedError("CreateEndpoint for a model package")
        return cls(
            image=definition["Image"],
            environment=dict(definition.get("Environment") or {}),
            model_data_url=definition.get("ModelDataUrl"),
            hostname=definition.get("ContainerHostname") or "primary",
        )

    @property
    def repository(self) -> str:
        """Last part of the image's repository name: ``tei-cpu`` of ``…amazonaws.com/tei-cpu:2.0.1-…``."""
        return self.image.split("@")[0].rpartition("/")[2].split(":")[0]

    @property
    def needs_gpu(self) -> bool:
        """Whether the image is built for GPUs, by the tag of AWS's images."""
        tag = self.image.rpartition("/")[2].partition(":")[2]
        return "-gpu-" in tag

    @property
    def serves_with_tei(self) -> bool:
        """Whether the image is Text Embeddings Inference's."""
        return self.repository in ("tei", "tei-cpu")

    @property
    def serves_with_toolkit(self) -> bool:
        """Whether the image is the Hugging Face container, whose toolkit runs an artifact's handler."""
        return self.repository == "huggingface-pytorch-inference"

    @property
    def protocol(self) -> ServerProtocol:
        """The protocol of the image's server; the toolkit's is that of the handler in an artifact, if it has one."""
        if self.serves_with_tei:
            return "tei-1.8" if tei_release(self.image) == "1.8" else "tei-1.9"
        if self.serves_with_toolkit and "HF_MODEL_ID" in self.environment:
            # With HF_MODEL_ID the toolkit serves its own pipeline, whatever the artifact contains.
            return "huggingface"
        return "embedstack"


@dataclass(frozen=True, slots=True)
class ModelSource:
    """Where a container's model comes from. Exactly one attribute is set.

    Attributes:
        folder: The model's folder on this machine.
        artifact_url: S3 URL of an artifact to unpack first.
    """

    folder: Path | None = None
    artifact_url: str | None = None


def model_source(
    container: ContainerDefinition, models_dir: Path, *, has_gpu: bool = False, is_serverless: bool = False
) -> ModelSource:
    """Find the model that the container would load.

    Args:
        container: The container definition.
        models_dir: Folder with Hugging Face Hub models as ``<org>/<name>/``.
        has_gpu: Whether its instance type has a GPU.
        is_serverless: Whether it runs on a serverless endpoint.

    Raises:
        LaunchError: The container would exit at start, or its model is not on this machine.
    """
    if _OTHER_AWS_IMAGES.fullmatch(container.repository):
        raise LaunchError(
            f"The local AWS has no server for image {container.image}. It runs Text Embeddings Inference, "
            "huggingface-pytorch-inference, and custom images with this project's model server."
        )
    if container.needs_gpu and not has_gpu:
        raise LaunchError(
            f"image {container.image} is built for GPUs, and the instance has none: use its CPU image "
            "(for Text Embeddings Inference the repository tei-cpu)."
        )
    model_id = container.environment.get("HF_MODEL_ID")
    if container.serves_with_tei:
        _check_tei(container, is_serverless=is_serverless)
    if container.protocol == "huggingface":
        check_huggingface_task(container.environment.get("HF_TASK"))
    if model_id and model_id != ARTIFACT_MOUNT:
        return ModelSource(folder=_find_hub_model(model_id, models_dir))
    if container.model_data_url:
        return ModelSource(artifact_url=container.model_data_url)
    if model_id:
        raise LaunchError(f"HF_MODEL_ID is {ARTIFACT_MOUNT}, but the model has no ModelDataUrl.")
    raise LaunchError("the model has neither a ModelDataUrl nor HF_MODEL_ID in its environment: no model to serve.")


def _check_tei(container: ContainerDefinition, *, is_serverless: bool) -> None:
    model_id = container.environment.get("HF_MODEL_ID")
    if not model_id:
        raise LaunchError("HF_MODEL_ID must be set in the container's environment.")
    try:
        TeiSettings.from_environment(tei_release(container.image), container.environment)
    except InvalidTeiSettings as error:
        raise LaunchError(str(error)) from error
    if is_serverless and model_id != ARTIFACT_MOUNT:
        _check_hub_cache(container)


def _check_hub_cache(container: ContainerDefinition) -> None:
    """Check that TEI can download its model (huggingface/text-embeddings-inference#609)."""
    cache = hub_cache(container.image, container.environment)
    # Without an artifact, its folder is writable, too (awslabs/llm-hosting-container#152).
    writable = [_WRITABLE] if container.model_data_url else [_WRITABLE, ARTIFACT_MOUNT]
    if not any(cache == folder or cache.startswith(f"{folder}/") for folder in writable):
        raise LaunchError(
            "Download failed: I/O error Permission denied (os error 13). The container cannot write to its cache "
            f"{cache}: set HUGGINGFACE_HUB_CACHE to /tmp in the model's environment."
        )


def check_huggingface_task(task: str | None, architectures: Sequence[str] | None = None) -> None:
    """Check the task of the toolkit's default handler.

    Args:
        task: HF_TASK, or None.
        architectures: Those of an artifact's config.json; None for a model from the Hub.

    Raises:
        LaunchError: The handler would not load the model, or the local AWS does not implement the task.
    """
    if task is None and architectures is not None:
        # The toolkit knows the tasks of models with a head, and an encoder has none.
        raise LaunchError(
            f"Task couldn't be inferenced from {', '.join(architectures) or None}. The artifact has no "
            "code/inference.py: set HF_TASK to feature-extraction for one vector per token, or create it with "
            "`embedstack package-model` for one per text."
        )
    if task is None:
        # The toolkit would use the Hub's task, "sentence-similarity", which is not a transformers pipeline.
        raise LaunchError("HF_TASK is not set, and the Hub's task of an embedding model is not a pipeline task.")
    if task != "feature-extraction":
        raise LaunchError(f"HF_TASK {task!r} is not supported by the local AWS. Set it to feature-extraction.")


def _find_hub_model(model_id: str, models_dir: Path) -> Path:
    if not is_hub_id(model_id):
        raise LaunchError(f'HF_MODEL_ID {model_id!r} is not a Hugging Face Hub id such as "BAAI/bge-m3".')
    folder = find_model_folder(model_id, models_dir)
    if folder is None:
        raise LaunchError(
            f"model {model_id} is not on this machine: download it to {models_dir / model_id} or set "
            f"EMBEDSTACK_MODELS_DIR to the folder that holds {model_id}."
        )
    return folder
