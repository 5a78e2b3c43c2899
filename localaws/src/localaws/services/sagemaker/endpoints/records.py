"""SageMaker models and endpoint configurations: requests as stored, and their descriptions."""

from typing import Any

from moto.sagemaker.models import FakeEndpointConfig, Model

from localaws.core.timestamps import utc_now

__all__ = ["EndpointConfigRecord", "ModelRecord"]

#: Members of CreateModel and CreateEndpointConfig that the Describe calls return.
_MODEL_MEMBERS = ("PrimaryContainer", "Containers", "InferenceExecutionConfig", "ExecutionRoleArn", "VpcConfig")
_CONFIG_MEMBERS = (
    "ProductionVariants",
    "ShadowProductionVariants",
    "DataCaptureConfig",
    "AsyncInferenceConfig",
    "KmsKeyId",
    "ExplainerConfig",
    "ExecutionRoleArn",
    "VpcConfig",
    "EnableNetworkIsolation",
)


class ModelRecord(Model):  # type: ignore[misc]  # moto is untyped
    """A model. moto returns an empty VpcConfig as {}, AWS omits it; with {}, Terraform would replace the model."""

    def __init__(self, arn: str, request: dict[str, Any]) -> None:
        """Store a CreateModel request. moto's ``__init__`` is not called: it would only set the members again."""
        self.model_name = request["ModelName"]
        self.arn = arn
        self.tags = list(request.get("Tags") or [])
        self.creation_time = utc_now()
        self.request = request

    @property
    def containers(self) -> list[dict[str, Any]]:
        """Every container definition, the primary one first."""
        primary = self.request.get("PrimaryContainer")
        return [primary] if primary else list(self.request.get("Containers") or [])

    @property
    def response_object(self) -> dict[str, Any]:
        """The response of DescribeModel."""
        members = {name: self.request[name] for name in _MODEL_MEMBERS if self.request.get(name)}
        for container in [members.get("PrimaryContainer"), *members.get("Containers", [])]:
            if container is not None:
                container.setdefault("Mode", "SingleModel")
        return {
            "ModelName": self.model_name,
            "ModelArn": self.arn,
            "CreationTime": self.creation_time,
            "EnableNetworkIsolation": bool(self.request.get("EnableNetworkIsolation")),
            **members,
        }

    def summary(self) -> dict[str, Any]:
        """Its entry in ListModels."""
        return {"ModelName": self.model_name, "ModelArn": self.arn, "CreationTime": self.creation_time}


class EndpointConfigRecord(FakeEndpointConfig):  # type: ignore[misc]  # moto is untyped
    """An endpoint configuration. moto's own drops shadow variants and rejects instance types newer than its list."""

    def __init__(self, arn: str, request: dict[str, Any]) -> None:
        """Store a validated CreateEndpointConfig request; moto's ``__init__`` would validate it with its own list."""
        self.endpoint_config_name = request["EndpointConfigName"]
        self.arn = self.endpoint_config_arn = arn
        self.production_variants = [_with_defaults(variant) for variant in request["ProductionVariants"]]
        self.tags = list(request.get("Tags") or [])
        self.creation_time = utc_now()
        self.request = {**request, "ProductionVariants": self.production_variants}

    @property
    def response_object(self) -> dict[str, Any]:
        """The response of DescribeEndpointConfig."""
        return {
            "EndpointConfigName": self.endpoint_config_name,
            "EndpointConfigArn": self.endpoint_config_arn,
            "CreationTime": self.creation_time,
            "EnableNetworkIsolation": bool(self.request.get("EnableNetworkIsolation")),
            **{name: self.request[name] for name in _CONFIG_MEMBERS if self.request.get(name)},
        }


def _with_defaults(variant: dict[str, Any]) -> dict[str, Any]:
    """Add AWS's default weight of 1.0."""
    return {"InitialVariantWeight": 1.0, **variant}
