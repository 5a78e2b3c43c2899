"""Actions on inference components, which moto does not have."""

from typing import Any

from moto.core.responses import ActionResult, EmptyResult

from localaws.services.sagemaker.containers.artifacts import artifact_exists
from localaws.services.sagemaker.containers.images import ContainerDefinition
from localaws.services.sagemaker.control_plane import ControlPlane, one_page, refuse
from localaws.services.sagemaker.inference_components.component import ComponentInProgressError, InferenceComponent
from localaws.services.sagemaker.inference_components.endpoint import ComponentEndpoint
from localaws.services.sagemaker.inference_components.specs import ComponentSpec
from localaws.services.sagemaker.telemetry.identities import ComponentId, VariantId

__all__ = ["InferenceComponentActions"]

SIMPLIFICATIONS = {
    "CreateInferenceComponent": "One Specification, none per instance type. Resources of instances are estimated.",
    "UpdateInferenceComponent": "All copies are replaced in one batch, and alarms do not roll back.",
}

_SORT_KEYS = {"Name": "name", "Status": "status", "CreationTime": "creation_time"}


class InferenceComponentActions(ControlPlane):
    """The actions on inference components."""

    def create_inference_component(self) -> ActionResult:
        """CreateInferenceComponent: responds immediately; the copies start in the background."""
        request = self._checked_request()
        name, arn = (
            request["InferenceComponentName"],
            self._arn("inference-component", request["InferenceComponentName"]),
        )
        if self.host.components.find(self.current_account, self.region, name) is not None:
            refuse(f'Cannot create already existing inference component "{arn}".')
        endpoint = self._component_endpoint(request["EndpointName"])
        variant = self._hosting_variant(endpoint, request.get("VariantName"))
        if request.get("Specifications"):
            raise NotImplementedError("CreateInferenceComponent with Specifications (one for each instance type)")
        if not request.get("Specification"):
            refuse("Specification must be specified.")
        if request.get("RuntimeConfig") is None:
            refuse("RuntimeConfig must be specified.")
        copies = request["RuntimeConfig"]["CopyCount"]
        if copies == 0:
            # Measured in stdapi-ai/stdapi.ai#43; by the API's model 0 is valid.
            refuse("Inference components copy count an integer larger than 0")
        pool = endpoint.pools[variant]
        hosted_by = VariantId(self.current_account, self.region, endpoint.endpoint_name, variant)
        spec = self._spec(ComponentId(hosted_by, name), request["Specification"])
        self.host.components.create(arn, endpoint.arn, list(request.get("Tags") or []), spec, copies, pool)
        return ActionResult({"InferenceComponentArn": arn})

    def describe_inference_component(self) -> ActionResult:
        """DescribeInferenceComponent."""
        return ActionResult(self._component(self._checked_request()["InferenceComponentName"]).describe())

    def list_inference_components(self) -> ActionResult:
        """ListInferenceComponents, with its filters, order and pages."""
        request = self._checked_request()
        components = [
            component
            for component in self.host.components.all_in(self.current_account, self.region)
            if _matches(component, request)
        ]
        key = _SORT_KEYS[request.get("SortBy") or "CreationTime"]
        return one_page("InferenceComponents", components, request, sorted_by=key, size=10)

    def update_inference_component(self) -> ActionResult:
        """UpdateInferenceComponent: another specification, another number of copies, or both."""
        request = self._checked_request()
        component = self._component(request["InferenceComponentName"])
        if request.get("Specifications"):
            raise NotImplementedError("UpdateInferenceComponent with Specifications (one for each instance type)")
        deployment = request.get("DeploymentConfig")
        if deployment and deployment.get("AutoRollbackConfiguration"):
            raise NotImplementedError("UpdateInferenceComponent with an AutoRollbackConfiguration")
        specification, runtime = request.get("Specification"), request.get("RuntimeConfig")
        if not specification and not runtime:
            refuse("Either Specification or RuntimeConfig must be specified.")
        spec = self._spec(component.spec.identity, specification) if specification else None
        return self._update(component, spec, runtime["CopyCount"] if runtime else None, deployment)

    def update_inference_component_runtime_config(self) -> ActionResult:
        """UpdateInferenceComponentRuntimeConfig: another number of copies."""
        request = self._checked_request()
        component = self._component(request["InferenceComponentName"])
        return self._update(component, None, request["DesiredRuntimeConfig"]["CopyCount"], None)

    def delete_inference_component(self) -> ActionResult:
        """DeleteInferenceComponent: the status is Deleting until all copies have stopped."""
        component = self._component(self._checked_request()["InferenceComponentName"])
        try:
            self.host.components.delete(component)
        except ComponentInProgressError:
            refuse(f'Cannot delete in-progress inference component "{component.arn}".')
        return EmptyResult()

    def _update(
        self,
        component: InferenceComponent,
        spec: ComponentSpec | None,
        copies: int | None,
        deployment: dict[str, Any] | None,
    ) -> ActionResult:
        endpoint = self._component_endpoint(component.spec.identity.endpoint)
        pool = endpoint.pools[component.spec.identity.variant]
        if copies is not None:
            _check_copies(copies, is_managed=pool.spec.is_managed)
        try:
            self.host.components.update(component, spec=spec, copies=copies, deployment_config=deployment)
        except ComponentInProgressError:
            refuse(f'Cannot update in-progress inference component "{component.arn}".')
        return ActionResult({"InferenceComponentArn": component.arn})

    def _component_endpoint(self, name: str) -> ComponentEndpoint:
        """The endpoint to place copies on.

        Raises:
            AWSValidationException: It does not exist, hosts models itself, or is changing.
        """
        endpoint = self._endpoint(name)
        if not isinstance(endpoint, ComponentEndpoint):
            refuse(
                "Inference Components are not supported in this Endpoint. Please make sure this endpoint can deploy "
                "inference components."
            )
        if endpoint.endpoint_status != "InService":
            refuse(f'Cannot update in-progress endpoint "{endpoint.arn}".')
        return endpoint

    def _hosting_variant(self, endpoint: ComponentEndpoint, name: str | None) -> str:
        if name is None and len(endpoint.pools) == 1:
            return next(iter(endpoint.pools))
        if name not in endpoint.pools:
            refuse(f'Could not find variant "{name}" of endpoint "{endpoint.arn}".')
        return name

    def _spec(self, identity: ComponentId, specification: dict[str, Any]) -> ComponentSpec:
        """Resolve a Specification.

        Raises:
            AWSValidationException: Its model does not exist, or it lacks something.
            NotImplementedError: It uses a feature that the local AWS does not implement.
        """
        for feature in ("BaseInferenceComponentName", "InstanceType"):
            if specification.get(feature):
                raise NotImplementedError(f"an inference component with {feature}")
        model_name, container = specification.get("ModelName"), specification.get("Container") or {}
        if bool(model_name) == bool(container):
            refuse("Exactly one of ModelName and Container must be specified.")
        if not specification.get("ComputeResourceRequirements"):
            refuse("ComputeResourceRequirements must be specified.")
        if model_name:
            model = self._model(model_name)
            if len(model.containers) > 1:
                raise NotImplementedError("an inference component with an inference pipeline")
            definition = model.containers[0]
        else:
            url = container.get("ArtifactUrl")
            if url and not artifact_exists(url, self.current_account):
                refuse(f"Could not find model data at {url}.")
            definition = {
                "Image": container.get("Image"),
                "ModelDataUrl": url,
                "Environment": container.get("Environment"),
            }
        return ComponentSpec(identity, ContainerDefinition.from_request(definition), specification)


def _check_copies(copies: int, *, is_managed: bool) -> None:
    if copies == 0 and not is_managed:
        refuse("CopyCount can be 0 only where the endpoint's variant has ManagedInstanceScaling enabled.")


def _matches(component: InferenceComponent, request: dict[str, Any]) -> bool:
    """Whether a component matches ListInferenceComponents' filters."""
    identity = component.spec.identity
    exact = {
        "StatusEquals": component.status,
        "EndpointNameEquals": identity.endpoint,
        "VariantNameEquals": identity.variant,
    }
    moments = {"CreationTime": component.creation_time, "LastModifiedTime": component.last_modified_time}
    return (
        (request.get("NameContains") or "").lower() in component.name.lower()
        and all(request.get(member) in (None, value) for member, value in exact.items())
        and all(
            request.get(f"{member}After") is None or at > request[f"{member}After"] for member, at in moments.items()
        )
        and all(
            request.get(f"{member}Before") is None or at < request[f"{member}Before"] for member, at in moments.items()
        )
    )
