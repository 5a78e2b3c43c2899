"""What SageMaker says of a deployed endpoint: its status, its configuration and the model behind it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from botocore.exceptions import BotoCoreError, ClientError

from embedstack.aws import create_client, translate_error
from embedstack.errors import ConfigurationError
from embedstack.models import ModelInfo, known_model

if TYPE_CHECKING:
    from embedstack.settings import Settings

__all__ = ["Deployment", "describe_deployment"]


@dataclass(frozen=True, slots=True)
class Deployment:
    """An endpoint as it is.

    Attributes:
        endpoint: Its name.
        status: SageMaker's ``EndpointStatus``.
        failure_reason: Why the last deployment failed, where it did.
        config: Name of the endpoint configuration in use.
        model_name: Name of its SageMaker model.
        image: Container image of that model.
        environment: Environment of the container.
    """

    endpoint: str
    status: str
    failure_reason: str | None
    config: str
    model_name: str
    image: str
    environment: dict[str, str]

    @property
    def model_id(self) -> str | None:
        """The model's id on the Hugging Face Hub, where the container loads it from there."""
        return self.environment.get("HF_MODEL_ID")

    @property
    def precision(self) -> Literal["fp32", "reduced"]:
        """The arithmetic to expect: containers for GPUs compute in float16 unless told otherwise."""
        wanted = self.environment.get("DTYPE", "").lower()
        if wanted:
            return "fp32" if wanted in ("float32", "fp32") else "reduced"
        return "reduced" if "-gpu-" in self.image else "fp32"

    def model(self) -> ModelInfo:
        """The facts of the model that is served.

        Raises:
            ConfigurationError: The container does not say which model it serves, or nothing is recorded of it.
        """
        if self.model_id is None:
            raise ConfigurationError(
                f"The container of {self.endpoint} has no HF_MODEL_ID: say which model it serves, for example "
                "--model sentence-transformers/all-MiniLM-L6-v2."
            )
        return known_model(self.model_id)


def describe_deployment(endpoint: str, settings: "Settings") -> Deployment:
    """Ask SageMaker about an endpoint, its configuration and its model.

    Raises:
        EndpointNotFound: There is no such endpoint in this account and region.
        ConfigurationError: No region or credentials, or they do not allow to ask; or the endpoint serves inference
            components.
        EndpointUnavailable: AWS cannot be reached.
    """
    client = create_client("sagemaker", settings)
    try:
        found = client.describe_endpoint(EndpointName=endpoint)
        config = client.describe_endpoint_config(EndpointConfigName=found["EndpointConfigName"])
        model_name = config["ProductionVariants"][0].get("ModelName")
        if model_name is None:
            raise ConfigurationError(
                f"{endpoint} serves inference components, whose models are not its configuration's: it cannot be "
                "validated as one endpoint yet."
            )
        container = client.describe_model(ModelName=model_name)["PrimaryContainer"]
    except (BotoCoreError, ClientError) as error:
        raise translate_error(error, endpoint=endpoint, region=client.meta.region_name) from error
    return Deployment(
        endpoint=endpoint,
        status=found["EndpointStatus"],
        failure_reason=found.get("FailureReason"),
        config=found["EndpointConfigName"],
        model_name=model_name,
        image=container.get("Image", ""),
        environment=container.get("Environment", {}),
    )
