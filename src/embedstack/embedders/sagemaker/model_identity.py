"""The model that an endpoint serves, from its description in SageMaker: its container's environment, or its tags."""

import logging
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from embedstack.aws.clients import aws_response_errors, create_client
from embedstack.errors import EmbedStackError
from embedstack.models.model_info import ModelIdentity

if TYPE_CHECKING:
    import boto3

    from embedstack.settings.settings import Settings

__all__ = ["MODEL_TAG", "REVISION_TAG", "container_identity", "read_tags", "receives_requests", "served_models"]

_logger = logging.getLogger(__name__)

#: Tags with which Terraform names the model in an artifact or an image.
MODEL_TAG, REVISION_TAG = "embedstack:model-id", "embedstack:model-revision"

_CONNECT_TIMEOUT_SECONDS, _READ_TIMEOUT_SECONDS = 2, 5
# Not a path such as /opt/ml/model, which names no model.
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")


def served_models(
    settings: "Settings", endpoint: str, routing: Mapping[str, str], session: "boto3.Session | None" = None
) -> list[ModelIdentity]:
    """The models that may serve a request; empty if SageMaker does not name them or the credentials do not allow it.

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
    if not models:
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


def _served_models(client: Any, endpoint: str, routing: Mapping[str, str]) -> list[ModelIdentity]:
    if component := routing.get("InferenceComponentName"):
        description = client.describe_inference_component(InferenceComponentName=component)
        specification = description["Specification"]
        if name := specification.get("ModelName"):
            return _of_models(client, [name])
        identity = _identity(client, specification["Container"], description.get("InferenceComponentArn"))
        return [identity] if identity else []
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


def _of_models(client: Any, names: list[str]) -> list[ModelIdentity]:
    identities = []
    for name in dict.fromkeys(names):
        model = client.describe_model(ModelName=name)
        containers = [model["PrimaryContainer"]] if "PrimaryContainer" in model else model.get("Containers", [])[-1:]
        identities += [_identity(client, container, model.get("ModelArn")) for container in containers]
    return [identity for identity in identities if identity is not None]


def _identity(client: Any, container: Mapping[str, Any], arn: str | None) -> ModelIdentity | None:
    environment = container.get("Environment") or {}
    return container_identity(environment, {}) or container_identity({}, read_tags(client, arn))
