"""The model that an endpoint serves, from its description in SageMaker: its container's environment, or its tags."""

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

from botocore.exceptions import BotoCoreError, ClientError

from embedstack.aws.clients import aws_response_errors, create_client
from embedstack.embedders.prompts import Kind
from embedstack.errors import ConfigurationError, EmbedStackError
from embedstack.models.model_info import ModelIdentity

if TYPE_CHECKING:
    import boto3

    from embedstack.models.model_info import ModelInfo
    from embedstack.settings.settings import Settings

__all__ = [
    "MODEL_TAG",
    "REVISION_TAG",
    "ServedModel",
    "container_identity",
    "read_tags",
    "receives_requests",
    "served_models",
]

_logger = logging.getLogger(__name__)

#: Tags with which Terraform names the model in an artifact or an image.
MODEL_TAG, REVISION_TAG = "embedstack:model-id", "embedstack:model-revision"

_CONNECT_TIMEOUT_SECONDS, _READ_TIMEOUT_SECONDS = 2, 5
# Not a path such as /opt/ml/model, which names no model.
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")


# Variables with which Text Embeddings Inference puts a prompt before every text of requests without prompt_name; no
# member of a request disables it (router/src/lib.rs and core/src/tokenization.rs).
_DEFAULT_PROMPTS = ("DEFAULT_PROMPT", "DEFAULT_PROMPT_NAME")


@dataclass(frozen=True, slots=True)
class ServedModel:
    """What an endpoint's description says of a container.

    Attributes:
        identity: The model; None if the description does not name it.
        default_prompt: The environment variable that makes the container put a prompt before every text; None without.
    """

    identity: ModelIdentity | None
    default_prompt: str | None

    def require(self, info: "ModelInfo", prompts: Mapping[str, str], source: str) -> None:
        """Check that the container serves the expected model, and that no text would get two prompts.

        Args:
            info: The expected model.
            prompts: The client's prompts.
            source: What serves this model, for the message: ``Endpoint x``.

        Raises:
            ModelMismatch: It is another model.
            ConfigurationError: The container and the client would both add a prompt.
        """
        if self.identity is not None:
            self.identity.require(info, source)
        if self.default_prompt and any(prompts.get(kind) for kind in get_args(Kind)):
            raise ConfigurationError(
                f"{source} puts a prompt before every text ({self.default_prompt} in its container's environment), and "
                f"the client adds the prompts of {info.model_id} too. Remove the variable from the container, or set "
                "EMBEDDING_QUERY_PROMPT and EMBEDDING_DOCUMENT_PROMPT to the empty prompt, '\"\"'."
            )


def served_models(
    settings: "Settings", endpoint: str, routing: Mapping[str, str], session: "boto3.Session | None" = None
) -> list[ServedModel]:
    """The models that may serve a request; empty if the credentials do not allow to describe the endpoint.

    Args:
        settings: Region and address of AWS, and whether to verify the model.
        endpoint: Name of the endpoint.
        routing: ``TargetVariant`` or ``InferenceComponentName`` of the request.
        session: A custom boto3 session.
    """
    if not settings.sagemaker_verify_model:
        return []
    try:
        client = create_client(
            "sagemaker",
            settings,
            attempts=1,
            connect_timeout=_CONNECT_TIMEOUT_SECONDS,
            read_timeout=_READ_TIMEOUT_SECONDS,
            session=session,
        )
        with aws_response_errors():
            models = _served_models(client, endpoint, routing)
    except (BotoCoreError, ClientError, EmbedStackError) as error:
        reason = error.response.get("Error", {}).get("Code") if isinstance(error, ClientError) else type(error).__name__
        _logger.info(
            "The model of endpoint %s is not verified: SageMaker's description cannot be read (%s).", endpoint, reason
        )
        return []
    if not any(model.identity for model in models):
        _logger.info("The model of endpoint %s is not verified: its description does not name it.", endpoint)
    return models


def container_identity(environment: Mapping[str, str], tags: Mapping[str, str]) -> ModelIdentity | None:
    """The model that a container serves; None if neither its environment nor a tag names it.

    Args:
        environment: Environment variables of the container.
        tags: Tags of the model or of the inference component.
    """
    model_id = environment.get("HF_MODEL_ID", "")
    if _HUB_ID.fullmatch(model_id):
        return ModelIdentity(model_id, environment.get("HF_MODEL_REVISION") or None)
    return ModelIdentity(tags[MODEL_TAG], tags.get(REVISION_TAG) or None) if tags.get(MODEL_TAG) else None


def read_tags(client: Any, arn: str | None) -> dict[str, str]:
    """Tags of a resource; none if the credentials may not read them.

    Args:
        client: A boto3 client of ``sagemaker``.
        arn: The resource; None for no tags.
    """
    if arn is None:
        return {}
    try:
        tags = client.list_tags(ResourceArn=arn)["Tags"]
    except ClientError:
        return {}
    return {tag["Key"]: tag["Value"] for tag in tags}


def receives_requests(endpoint: Mapping[str, Any], variant: Mapping[str, Any]) -> bool:
    """Whether a variant receives requests without a target variant: with a weight of 0 it receives only targeted ones.

    Args:
        endpoint: Description of the endpoint.
        variant: The variant in the description of the endpoint's configuration.
    """
    weights = {one["VariantName"]: one.get("CurrentWeight") for one in endpoint.get("ProductionVariants", [])}
    weight = weights.get(variant["VariantName"])
    return bool(variant.get("InitialVariantWeight", 1) if weight is None else weight)


def _served_models(client: Any, endpoint: str, routing: Mapping[str, str]) -> list[ServedModel]:
    if component := routing.get("InferenceComponentName"):
        description = client.describe_inference_component(InferenceComponentName=component)
        specification = description["Specification"]
        if name := specification.get("ModelName"):
            return _of_models(client, [name])
        return [_served_model(client, specification["Container"], description.get("InferenceComponentArn"))]
    description = client.describe_endpoint(EndpointName=endpoint)
    config = client.describe_endpoint_config(EndpointConfigName=description["EndpointConfigName"])
    target = routing.get("TargetVariant")
    return _of_models(
        client,
        [
            variant["ModelName"]
            for variant in config["ProductionVariants"]
            if "ModelName" in variant
            and (variant["VariantName"] == target if target else receives_requests(description, variant))
        ],
    )


def _of_models(client: Any, names: list[str]) -> list[ServedModel]:
    served = []
    for name in dict.fromkeys(names):
        model = client.describe_model(ModelName=name)
        containers = [model["PrimaryContainer"]] if "PrimaryContainer" in model else model.get("Containers", [])[-1:]
        served += [_served_model(client, container, model.get("ModelArn")) for container in containers]
    return served


def _served_model(client: Any, container: Mapping[str, Any], arn: str | None) -> ServedModel:
    environment = container.get("Environment") or {}
    identity = container_identity(environment, {}) or container_identity({}, read_tags(client, arn))
    return ServedModel(identity, next((name for name in _DEFAULT_PROMPTS if environment.get(name)), None))
