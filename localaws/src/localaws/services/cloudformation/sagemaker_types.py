"""CloudFormation's resource types of SageMaker, mapped to the service's API.

Properties, create-only properties and primary identifiers are those of the published schemas (us-east-1, 2026-11).
"""

from dataclasses import dataclass, field

__all__ = ["SAGEMAKER_TYPES", "SageMakerType"]


@dataclass(frozen=True, slots=True)
class SageMakerType:
    """One resource type.

    Attributes:
        noun: The noun in the API's actions: ``Endpoint`` in ``CreateEndpoint``.
        properties: Properties that a template may set.
        create_only: Properties whose change makes CloudFormation replace the resource.
        updatable: Whether the API has an Update operation.
        status: The member of the Describe response with the status; None if creation is synchronous.
        tag_with_stack: Whether the resource gets the tags aws:cloudformation:*.
        attributes: Attributes for Fn::GetAtt, as paths in the Describe response.
    """

    noun: str
    properties: frozenset[str]
    create_only: frozenset[str] = frozenset()
    updatable: bool = False
    status: str | None = None
    tag_with_stack: bool = False
    attributes: frozenset[str] = field(default_factory=frozenset)

    @property
    def lowercase_name(self) -> bool:
        """Names may have capitals."""
        return False

    @property
    def taggable(self) -> bool:
        """All types have tags."""
        return True

    @property
    def name_property(self) -> str:
        """The property, and the API's member, that names the resource."""
        return f"{self.noun}Name"

    @property
    def arn_member(self) -> str:
        """The API's member with the ARN, which is the value of Ref."""
        return f"{self.noun}Arn"

    @property
    def attribute_names(self) -> frozenset[str]:
        """The attributes for Fn::GetAtt."""
        return self.attributes | {self.name_property, self.arn_member}


_MODEL = frozenset({
    "Containers", "EnableNetworkIsolation", "ExecutionRoleArn", "InferenceExecutionConfig", "ModelName",
    "PrimaryContainer", "VpcConfig",
})  # fmt: skip
_CONFIG = frozenset({
    "AsyncInferenceConfig", "DataCaptureConfig", "EnableNetworkIsolation", "EndpointConfigName", "ExecutionRoleArn",
    "ExplainerConfig", "KmsKeyId", "MetricsConfig", "ProductionVariants", "ShadowProductionVariants", "VpcConfig",
})  # fmt: skip

SAGEMAKER_TYPES = {
    "AWS::SageMaker::Model": SageMakerType("Model", _MODEL | {"Tags"}, create_only=_MODEL, tag_with_stack=True),
    "AWS::SageMaker::EndpointConfig": SageMakerType("EndpointConfig", _CONFIG | {"Tags"}, create_only=_CONFIG),
    "AWS::SageMaker::Endpoint": SageMakerType(
        "Endpoint",
        frozenset({
            "DeploymentConfig", "EndpointConfigName", "EndpointName", "ExcludeRetainedVariantProperties",
            "RetainAllVariantProperties", "RetainDeploymentConfig", "Tags",
        }),
        create_only=frozenset({"EndpointName"}),
        updatable=True,
        status="EndpointStatus",
    ),
    "AWS::SageMaker::InferenceComponent": SageMakerType(
        "InferenceComponent",
        frozenset({
            "DeploymentConfig", "EndpointName", "InferenceComponentName", "RuntimeConfig", "Specification",
            "Specifications", "Tags", "VariantName",
        }),
        updatable=True,
        status="InferenceComponentStatus",
        attributes=frozenset({
            "CreationTime", "LastModifiedTime", "FailureReason", "InferenceComponentStatus",
            "RuntimeConfig.DesiredCopyCount", "RuntimeConfig.CurrentCopyCount",
        }),
    ),
}  # fmt: skip
