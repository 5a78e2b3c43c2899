"""Finds the copies of the inference component that an invocation is for."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from localaws.services.sagemaker.inference_components.endpoint import ComponentEndpoint
from localaws.services.sagemaker_runtime.errors import InvocationError

if TYPE_CHECKING:
    from localaws.services.sagemaker.containers.group import ContainerGroup
    from localaws.services.sagemaker.endpoints.endpoint import Endpoint
    from localaws.services.sagemaker.host import EndpointHost
    from localaws.services.sagemaker.inference_components.specs import ComponentSpec

__all__ = ["COMPONENT_HEADER", "Copies", "find_copies", "no_capacity"]

COMPONENT_HEADER = "X-Amzn-SageMaker-Inference-Component"


@dataclass(frozen=True, slots=True)
class Copies:
    """The copies of an inference component, for one request.

    Attributes:
        spec: The component's specification.
        group: The copies.
    """

    spec: "ComponentSpec"
    group: "ContainerGroup"
    #: A component is never serverless.
    serverless: ClassVar[None] = None


def find_copies(
    host: "EndpointHost", account_id: str, region: str, endpoint: "Endpoint", name: str | None
) -> Copies | None:
    """The copies that the header of a request names; None for a request to an endpoint's own models.

    Args:
        host: The endpoints and components.
        account_id: The caller's account.
        region: The caller's region.
        endpoint: The endpoint that the request names.
        name: The header's value, or None.

    Raises:
        InvocationError: The endpoint does not accept the header or requires it, the component does not exist, or it
            has no copies.
    """
    if not isinstance(endpoint, ComponentEndpoint):
        if name is not None:
            raise _invalid(
                "Inference Component Name header is not allowed for endpoints to which you dont plan to deploy "
                "inference components. Please remove the Inference Component Name header and try again."
            )
        return None
    if name is None:
        message = (
            "Inference Component Name header is required for endpoints to which you plan to deploy inference "
            "components. Please include Inference Component Name header or consider using SageMaker models."
        )
        raise _invalid(message)
    component = host.components.find(account_id, region, name)
    if component is None or component.spec.identity.endpoint != endpoint.endpoint_name:
        raise _invalid(f"Inference Component {name} of account {account_id} not found.")
    group = component.group
    if group is None:
        raise no_capacity(host, component.spec)
    return Copies(component.spec, group)


def no_capacity(host: "EndpointHost", spec: "ComponentSpec") -> InvocationError:
    """The error of a request while no copy runs. An alarm on its metric scales the component out from zero.

    The message is from AWS's post on scaling to zero (machine learning blog, December 2024).
    """
    host.metrics.record(spec.identity, [("NoCapacityInvocationFailures", 1.0)])
    return _invalid(
        "Inference Component has no capacity to process this request. ApplicationAutoScaling may be in-progress (if "
        "configured) or try to increase the capacity by invoking UpdateInferenceComponentRuntimeConfig API."
    )


def _invalid(message: str) -> InvocationError:
    return InvocationError(400, "ValidationError", {"message": message})
