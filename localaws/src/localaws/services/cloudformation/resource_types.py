"""The resource types that the local AWS implements in addition to moto's."""

from collections.abc import Mapping

from localaws.services.cloudformation.s3vectors_types import S3VECTORS_TYPES
from localaws.services.cloudformation.sagemaker_types import SAGEMAKER_TYPES
from localaws.services.cloudformation.service_resources import ResourceType

__all__ = ["RESOURCE_TYPES", "service_of"]

RESOURCE_TYPES: Mapping[str, ResourceType] = {**SAGEMAKER_TYPES, **S3VECTORS_TYPES}


def service_of(type_name: str) -> str:
    """The service of a resource type: ``AWS::SageMaker`` for ``AWS::SageMaker::Model``."""
    return type_name.rpartition("::")[0]
