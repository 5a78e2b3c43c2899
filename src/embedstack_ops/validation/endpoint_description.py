"""The description of a deployed endpoint: status, configuration and model."""

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from botocore.exceptions import BotoCoreError, ClientError

from embedstack.aws.clients import aws_response_errors, create_client
from embedstack.aws.errors import translate_error
from embedstack.embedders.sagemaker.model_identity import container_identity, read_tags, receives_requests
from embedstack.errors import ConfigurationError, ModelMismatch
from embedstack.models.model_info import ModelIdentity, ModelInfo
from embedstack.models.resolution import resolve_model

if TYPE_CHECKING:
    from collections.abc import Mapping

    from embedstack.settings.settings import Settings

__all__ = ["Deployment", "describe_deployment", "instances"]


@dataclass(frozen=True, slots=True)
class Deployment:
    """A deployed endpoint.

    Attributes:
        endpoint: Name.
        status: SageMaker's ``EndpointStatus``.
        failure_reason: Why the last deployment failed; None if it did not.
        config: Name of the endpoint configuration in use.
        model_name: Name of its SageMaker model.
        image: Container image of that model.
        environment: Environment of the container.
        component: Inference component that requests must name; None if the endpoint has none.
        is_async: Whether it is an asynchronous endpoint.
        capacity: Running instances, or copies of the component; None for a serverless endpoint.
        tags: Tags of the model, or of the inference component if it has no model.
    """

    endpoint: str
    status: str
    failure_reason: str | None
    config: str
    model_name: str
    image: str
    environment: dict[str, str]
    component: str | None = None
    is_async: bool = False
    capacity: int | None = None
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def identity(self) -> ModelIdentity | None:
        """The served model, from the container's environment or from tags; None if neither names it."""
        return container_identity(self.environment, self.tags)

    @property
    def model_id(self) -> str | None:
        """The Hub id of the served model; None if it is unknown."""
        return self.identity.model_id if self.identity else None

    @property
    def precision(self) -> Literal["fp32", "reduced"]:
        """The expected arithmetic; GPU containers default to float16."""
        dtype = self.environment.get("DTYPE", "").lower()
        if dtype:
            return "fp32" if dtype in ("float32", "fp32") else "reduced"
        return "reduced" if "-gpu-" in self.image else "fp32"

    def model(self, settings: "Settings") -> ModelInfo:
        """The served model.

        Args:
            settings: What the settings say of the model, if it is the configured one, and the folder of models.

        Raises:
            ConfigurationError: The endpoint does not report its model, or it is a reranker.
        """
        if self.identity is None:
            raise ConfigurationError(
                f"{self.endpoint} does not report its model: HF_MODEL_ID is missing in its container's environment, "
                "and its SageMaker model has no tags for it. Name the model, for example with --model "
                "sentence-transformers/all-MiniLM-L6-v2."
            )
        info = resolve_model(settings.with_model(self.identity.model_id))
        return replace(info, revision=self.identity.revision)


def describe_deployment(endpoint: str, settings: "Settings", component: str | None = None) -> Deployment:
    """Describe an endpoint, its configuration and its model.

    Args:
        endpoint: Name of the endpoint.
        settings: Region, credentials and the configured inference component.
        component: Inference component; defaults to the configured one, else to the only one of the endpoint.

    Raises:
        EndpointNotFound: The endpoint does not exist in this account and region.
        ConfigurationError: Region, credentials or permissions are missing, or the inference component is ambiguous.
        EndpointUnavailable: AWS cannot be reached.
        IntegrityError: The response of AWS is malformed.
        ModelMismatch: Requests go to variants with different models.
    """
    client = create_client("sagemaker", settings)
    try:
        with aws_response_errors():
            return _describe(client, endpoint, settings, component)
    except (BotoCoreError, ClientError) as error:
        raise translate_error(error, "sagemaker", resource=endpoint, region=client.meta.region_name) from error


def _describe(client: Any, endpoint: str, settings: "Settings", component: str | None) -> Deployment:
    description = client.describe_endpoint(EndpointName=endpoint)
    config = client.describe_endpoint_config(EndpointConfigName=description["EndpointConfigName"])
    variants = config["ProductionVariants"]
    model_name = variants[0].get("ModelName")
    if model_name is None:
        name = component or settings.component_of(endpoint) or _only_component(client, endpoint)
        return _describe_component(client, name, description)
    container, tags = _describe_model(client, model_name)
    deployment = Deployment(
        endpoint=endpoint,
        status=description["EndpointStatus"],
        failure_reason=description.get("FailureReason"),
        config=description["EndpointConfigName"],
        model_name=model_name,
        image=container.get("Image", ""),
        environment=container.get("Environment", {}),
        is_async="AsyncInferenceConfig" in config,
        capacity=instances(description, config),
        tags=tags,
    )
    others = {variant["ModelName"] for variant in variants[1:] if receives_requests(description, variant)} - {
        model_name
    }
    for other in sorted(others):
        container, tags = _describe_model(client, other)
        _require_same_model(endpoint, deployment.identity, container_identity(container.get("Environment", {}), tags))
    return deployment


def _describe_model(client: Any, name: str) -> tuple[dict[str, Any], dict[str, str]]:
    """A model's container, and the model's tags."""
    model = client.describe_model(ModelName=name)
    # In an inference pipeline, the last container returns the response.
    container = model.get("PrimaryContainer") or model["Containers"][-1]
    return container, read_tags(client, model.get("ModelArn"))


def _require_same_model(endpoint: str, first: ModelIdentity | None, other: ModelIdentity | None) -> None:
    if first and other and not first.matches(other):
        raise ModelMismatch(
            f"The variants of {endpoint} serve different models, {first} and {other}, whose vectors cannot be "
            "compared. Set the weight of all variants but one to 0, and call the others by name."
        )


def instances(endpoint: "Mapping[str, Any]", config: "Mapping[str, Any]") -> int | None:
    """The number of an endpoint's running instances; None if it is serverless.

    Args:
        endpoint: The endpoint's description.
        config: The description of its configuration; the endpoint's reports 0 instances for serverless variants.
    """
    if any("ServerlessConfig" in variant for variant in config["ProductionVariants"]):
        return None
    return sum(int(variant.get("CurrentInstanceCount", 0)) for variant in endpoint.get("ProductionVariants", []))


def _only_component(client: Any, endpoint: str) -> str:
    """The name of the endpoint's only inference component.

    Raises:
        ConfigurationError: It has none or several.
    """
    response = client.list_inference_components(EndpointNameEquals=endpoint)
    names = sorted(item["InferenceComponentName"] for item in response["InferenceComponents"])
    if not names:
        raise ConfigurationError(f"{endpoint} has no inference component yet. Create one, or wait for its deployment.")
    if len(names) > 1:
        raise ConfigurationError(
            f"{endpoint} has several inference components: {', '.join(names)}. Name one with --component or "
            "SAGEMAKER_INFERENCE_COMPONENT."
        )
    return str(names[0])


def _describe_component(client: Any, name: str, endpoint: dict[str, Any]) -> Deployment:
    """Describe an inference component; its status applies once its endpoint is in service."""
    description = client.describe_inference_component(InferenceComponentName=name)
    specification = description["Specification"]
    model_name = specification.get("ModelName")
    if model_name:
        container, tags = _describe_model(client, model_name)
        image = container.get("Image", "")
    else:
        container = specification["Container"]
        tags = read_tags(client, description.get("InferenceComponentArn"))
        image = container.get("DeployedImage", {}).get("SpecifiedImage", "")
    reported = endpoint if endpoint["EndpointStatus"] != "InService" else description
    return Deployment(
        endpoint=endpoint["EndpointName"],
        status=reported.get("EndpointStatus") or reported["InferenceComponentStatus"],
        failure_reason=reported.get("FailureReason"),
        config=endpoint["EndpointConfigName"],
        model_name=model_name or name,
        image=image,
        environment=container.get("Environment", {}),
        component=name,
        capacity=description.get("RuntimeConfig", {}).get("CurrentCopyCount"),
        tags=tags,
    )
