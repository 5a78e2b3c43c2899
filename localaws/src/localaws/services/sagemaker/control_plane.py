"""The base of SageMaker's actions: checked requests, resources by name, and validation errors."""

from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from moto.core.responses import ActionResult
from moto.core.utils import get_service_model
from moto.sagemaker.exceptions import AWSValidationException, SagemakerClientError
from moto.sagemaker.responses import SageMakerResponse

from localaws.core.request_validation import check_request
from localaws.services.sagemaker.endpoints.endpoint import Endpoint

if TYPE_CHECKING:
    from collections.abc import Mapping

    from localaws.services.sagemaker.endpoints.records import EndpointConfigRecord, ModelRecord
    from localaws.services.sagemaker.host import EndpointHost
    from localaws.services.sagemaker.inference_components.component import InferenceComponent

__all__ = ["ControlPlane", "ResourceLimitExceeded", "one_page", "refuse"]


class ResourceLimitExceeded(SagemakerClientError):  # type: ignore[misc]  # moto is untyped
    """A request exceeds a service quota."""

    code = "ResourceLimitExceeded"


class ControlPlane(SageMakerResponse):  # type: ignore[misc]  # moto is untyped
    """Reads requests and finds the resources that they name, in the caller's account and region."""

    host: ClassVar["EndpointHost"]

    def _checked_request(self) -> dict[str, Any]:
        """The request's parameters, checked against the API's model.

        Raises:
            AWSValidationException: They violate it.
        """
        operation = get_service_model("sagemaker").operation_model(self._get_action())
        message = check_request(operation.input_shape, self.params)
        if message is not None:
            refuse(message)
        return dict(self.params)

    def _model(self, name: str) -> "ModelRecord":
        record: ModelRecord | None = self.sagemaker_backend._models.get(name)  # noqa: SLF001 - moto has no public access
        return record or refuse(f'Could not find model "{self._arn("model", name)}".')

    def _config(self, name: str) -> "EndpointConfigRecord":
        record: EndpointConfigRecord | None = self.sagemaker_backend.endpoint_configs.get(name)
        return record or refuse(f'Could not find endpoint configuration "{self._arn("endpoint-config", name)}".')

    def _endpoint(self, name: str) -> Endpoint:
        endpoint: Endpoint | None = self.sagemaker_backend.endpoints.get(name)
        return endpoint or refuse(f'Could not find endpoint "{self._arn("endpoint", name)}".')

    def _component(self, name: str) -> "InferenceComponent":
        component = self.host.components.find(self.current_account, self.region, name)
        return component or refuse(f'Could not find inference component "{self._arn("inference-component", name)}".')

    def _tagged_resource(self, arn: str) -> Any:
        kind, _, name = arn.rpartition(":")[2].partition("/")
        if kind == "inference-component":
            return self._component(name)
        resource = self.sagemaker_backend._get_resource_from_arn(arn)  # noqa: SLF001 - moto has no public access
        return resource or refuse(f'Could not find resource "{arn}".')

    def _arn(self, kind: str, name: str) -> str:
        return f"arn:{self.partition}:sagemaker:{self.region}:{self.current_account}:{kind}/{name}"


def one_page(
    name: str, records: "list[Any]", request: "Mapping[str, Any]", *, sorted_by: str, size: int
) -> ActionResult:
    """The response to a List call: the requested page in the requested order.

    Args:
        name: The response's member.
        records: All records; each has a ``summary``.
        request: The call's parameters.
        sorted_by: Attribute to sort by.
        size: Default length of a page.
    """
    records.sort(key=lambda each: getattr(each, sorted_by), reverse=request.get("SortOrder") != "Ascending")
    first, size = int(request.get("NextToken") or 0), request.get("MaxResults") or size
    page = {name: [each.summary() for each in records[first : first + size]]}
    if first + size < len(records):
        return ActionResult({**page, "NextToken": str(first + size)})
    return ActionResult(page)


def refuse(message: str) -> NoReturn:
    """Respond with a ValidationException.

    Raises:
        AWSValidationException: Always.
    """
    raise AWSValidationException(message)
