"""What SageMaker says of a deployed endpoint: its status, its configuration and the model behind it."""

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from botocore.exceptions import BotoCoreError, ClientError

from embedstack.aws.clients import aws_response_errors, create_client, translate_error
from embedstack.embedders.sagemaker.model_identity import container_identity, read_tags, receives_requests
from embedstack.errors import ConfigurationError, ModelMismatch
from embedstack.models.model_info import ModelIdentity, ModelInfo, known_model

if TYPE_CHECKING:
    from collections.abc import Mapping

    from embedstack.settings.settings import Settings

__all__ = ["Deployment", "describe_deployment", "instances"]


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
        component: Inference component that requests have to name; None on an endpoint without them.
        is_async: Whether it takes requests from a queue only.
        capacity: Instances, or copies of the component, that run now; None where SageMaker counts none: serverless.
        tags: Tags of the model, or of an inference component without one.
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
        """The model that is served, by the container's environment or by tags; None where neither says so."""
        return container_identity(self.environment, self.tags)

    @property
    def model_id(self) -> str | None:
        """The served model's id on the Hugging Face Hub; None where nothing says it."""
        return self.identity.model_id if self.identity else None

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
            ConfigurationError: The endpoint does not say which model it serves, or nothing is recorded of it.
        """
        if self.identity is None:
            raise ConfigurationError(
                f"{self.endpoint} does not say which model it serves, neither by HF_MODEL_ID in its container's "
                "environment nor by tags of its model: name it, for example --model "
                "sentence-transformers/all-MiniLM-L6-v2."
            )
        return replace(known_model(self.identity.model_id), revision=self.identity.revision)


def describe_deployment(endpoint: str, settings: "Settings", component: str | None = None) -> Deployment:
    """Ask SageMaker about an endpoint, its configuration and its model.

    Args:
        endpoint: Its name.
        settings: Region and credentials, and the configured inference component.
        component: Inference component to ask about, on an endpoint that has them; the configured one otherwise, or
            the only one that the endpoint has.

    Raises:
        EndpointNotFound: There is no such endpoint in this account and region.
        ConfigurationError: No region or credentials, or they do not allow to ask; or the endpoint's inference
            component cannot be told.
        EndpointUnavailable: AWS cannot be reached.
        IntegrityError: Its response cannot be read.
        ModelMismatch: Requests go to variants with different models.
    """
    client = create_client("sagemaker", settings)
    try:
        with aws_response_errors():
            return _describe(client, endpoint, settings, component)
    except (BotoCoreError, ClientError) as error:
        raise translate_error(error, endpoint=endpoint, region=client.meta.region_name) from error


def _describe(client: Any, endpoint: str, settings: "Settings", component: str | None) -> Deployment:
    found = client.describe_endpoint(EndpointName=endpoint)
    config = client.describe_endpoint_config(EndpointConfigName=found["EndpointConfigName"])
    variants = config["ProductionVariants"]
    model_name = variants[0].get("ModelName")
    if model_name is None:
        name = component or settings.component_of(endpoint) or _only_component(client, endpoint)
        return _describe_component(client, name, found)
    container, tags = _describe_model(client, model_name)
    deployment = Deployment(
        endpoint=endpoint,
        status=found["EndpointStatus"],
        failure_reason=found.get("FailureReason"),
        config=found["EndpointConfigName"],
        model_name=model_name,
        image=container.get("Image", ""),
        environment=container.get("Environment", {}),
        is_async="AsyncInferenceConfig" in config,
        capacity=instances(found, config),
        tags=tags,
    )
    others = {variant["ModelName"] for variant in variants[1:] if receives_requests(found, variant)} - {model_name}
    for other in sorted(others):
        container, tags = _describe_model(client, other)
        _require_same_model(endpoint, deployment.identity, container_identity(container.get("Environment", {}), tags))
    return deployment


def _describe_model(client: Any, name: str) -> tuple[dict[str, Any], dict[str, str]]:
    """A model's container, and the model's tags."""
    model = client.describe_model(ModelName=name)
    # Of a pipeline the last container answers.
    container = model.get("PrimaryContainer") or model["Containers"][-1]
    return container, read_tags(client, model.get("ModelArn"))


def _require_same_model(endpoint: str, first: ModelIdentity | None, other: ModelIdentity | None) -> None:
    if first and other and not first.matches(other):
        raise ModelMismatch(
            f"{endpoint} answers by {first} or by {other}, whichever variant gets a request: their vectors cannot be "
            "compared. Set the weight of all but one variant to 0, and call these by their names."
        )


def instances(endpoint: "Mapping[str, Any]", config: "Mapping[str, Any]") -> int | None:
    """Instances that run behind an endpoint; None where it is serverless.

    Args:
        endpoint: Its description.
        config: The description of its configuration: of a serverless variant too 0 instances are told.
    """
    if any("ServerlessConfig" in variant for variant in config["ProductionVariants"]):
        return None
    return sum(int(variant.get("CurrentInstanceCount", 0)) for variant in endpoint.get("ProductionVariants", []))


def _only_component(client: Any, endpoint: str) -> str:
    """The name of the endpoint's inference component.

    Raises:
        ConfigurationError: It has none, or several.
    """
    answer = client.list_inference_components(EndpointNameEquals=endpoint)
    names = sorted(found["InferenceComponentName"] for found in answer["InferenceComponents"])
    if not names:
        raise ConfigurationError(f"{endpoint} has no inference component yet, and so nothing that it could answer by.")
    if len(names) > 1:
        raise ConfigurationError(
            f"{endpoint} has several inference components: name one, by --component or "
            f"SAGEMAKER_INFERENCE_COMPONENT. There are {', '.join(names)}."
        )
    return str(names[0])


def _describe_component(client: Any, name: str, endpoint: dict[str, Any]) -> Deployment:
    """An inference component's deployment; its status counts, once its endpoint is in service."""
    found = client.describe_inference_component(InferenceComponentName=name)
    specification = found["Specification"]
    model_name = specification.get("ModelName")
    if model_name:
        container, tags = _describe_model(client, model_name)
        image = container.get("Image", "")
    else:
        container = specification["Container"]
        tags = read_tags(client, found.get("InferenceComponentArn"))
        image = container.get("DeployedImage", {}).get("SpecifiedImage", "")
    shown = endpoint if endpoint["EndpointStatus"] != "InService" else found
    return Deployment(
        endpoint=endpoint["EndpointName"],
        status=shown.get("EndpointStatus") or shown["InferenceComponentStatus"],
        failure_reason=shown.get("FailureReason"),
        config=endpoint["EndpointConfigName"],
        model_name=model_name or name,
        image=image,
        environment=container.get("Environment", {}),
        component=name,
        capacity=found.get("RuntimeConfig", {}).get("CurrentCopyCount"),
        tags=tags,
    )
