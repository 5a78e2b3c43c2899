"""Actions on models, endpoint configurations, endpoints and tags, over moto's."""

from functools import partial
from typing import Any

from moto.core.responses import ActionResult, EmptyResult

from localaws.services.sagemaker.component_api import InferenceComponentActions
from localaws.services.sagemaker.containers.artifacts import artifact_exists
from localaws.services.sagemaker.containers.images import ContainerDefinition
from localaws.services.sagemaker.containers.instance_types import has_gpu, preferred_type
from localaws.services.sagemaker.control_plane import ResourceLimitExceeded, one_page, refuse as _refuse
from localaws.services.sagemaker.endpoints.capacity import VariantChange
from localaws.services.sagemaker.endpoints.deployment_policy import DeploymentPolicy, check_deployment_config
from localaws.services.sagemaker.endpoints.endpoint import Endpoint, EndpointFailedError, EndpointInProgressError
from localaws.services.sagemaker.endpoints.records import EndpointConfigRecord, ModelRecord
from localaws.services.sagemaker.endpoints.rollout import first_missing_alarm
from localaws.services.sagemaker.endpoints.scaling import CapacityRefused, variant_resource
from localaws.services.sagemaker.endpoints.settings import AsyncSettings, EndpointSettings, PoolSpec
from localaws.services.sagemaker.endpoints.validation import (
    autoscaled_variants_changed,
    check_config,
    retain_properties,
)
from localaws.services.sagemaker.endpoints.variants import VariantSpec
from localaws.services.sagemaker.inference_components.endpoint import ComponentEndpoint
from localaws.services.sagemaker.quotas import QuotaExceeded
from localaws.services.sagemaker.telemetry.identities import VariantId

SIMPLIFICATIONS = {
    "CreateModel": "Pipelines, multi-model containers, uncompressed artifacts and model packages cannot be deployed.",
    "CreateEndpoint": "Containers are local model servers; images for GPUs run on the CPU. No shadow variants.",
    "UpdateEndpoint": "Waiting times pass on the clock of the local AWS.",
    "UpdateEndpointWeightsAndCapacities": "Not for endpoints of inference components.",
}


#: Regions in which users could not create an asynchronous endpoint (boto/boto3#4275, 2024-09).
_WITHOUT_ASYNC_INFERENCE = frozenset({"eu-south-1"})


class SageMaker(InferenceComponentActions):
    """The actions whose behaviour moto lacks; all others are moto's."""

    def create_model(self) -> ActionResult:
        """CreateModel. As on AWS, the artifact must exist in S3."""
        request = self._checked_request()
        models, arn = self.sagemaker_backend._models, self._arn("model", request["ModelName"])  # noqa: SLF001 - moto has no public access
        if request["ModelName"] in models:
            _refuse(f'Cannot create already existing model "{arn}".')
        record = ModelRecord(arn, request)
        if not record.containers:
            _refuse("Either PrimaryContainer or Containers must be specified.")
        for container in record.containers:
            url = container.get("ModelDataUrl")
            if url and not artifact_exists(url, self.current_account):
                _refuse(f"Could not find model data at {url}.")
        models[record.model_name] = record
        return ActionResult({"ModelArn": arn})

    def describe_model(self) -> ActionResult:
        """DescribeModel."""
        return ActionResult(self._model(self._checked_request()["ModelName"]).response_object)

    def list_models(self) -> ActionResult:
        """ListModels, with its filters, order and pages."""
        request = self._checked_request()
        records = [
            record
            for record in self.sagemaker_backend._models.values()  # noqa: SLF001 - moto has no public access
            if (request.get("NameContains") or "").lower() in record.model_name.lower()
            and _is_within(record.creation_time, request.get("CreationTimeAfter"), request.get("CreationTimeBefore"))
        ]
        key = "model_name" if request.get("SortBy") == "Name" else "creation_time"
        return one_page("Models", records, request, sorted_by=key, size=100)

    def delete_model(self) -> ActionResult:
        """DeleteModel. Endpoints that run the model are not affected."""
        record = self._model(self._checked_request()["ModelName"])
        del self.sagemaker_backend._models[record.model_name]  # noqa: SLF001 - moto has no public access
        return EmptyResult()

    def create_endpoint_config(self) -> ActionResult:
        """CreateEndpointConfig."""
        request = self._checked_request()
        name, arn = request["EndpointConfigName"], self._arn("endpoint-config", request["EndpointConfigName"])
        configs = self.sagemaker_backend.endpoint_configs
        if name in configs:
            _refuse(f'Cannot create already existing endpoint configuration "{arn}".')
        models = {}
        for variant in request["ProductionVariants"]:
            if variant.get("ModelName"):
                models[variant["ModelName"]] = self._model(variant["ModelName"])
        reason = check_config(request, models, self.region)
        if reason is not None:
            _refuse(reason)
        configs[name] = EndpointConfigRecord(arn, request)
        return ActionResult({"EndpointConfigArn": arn})

    def describe_endpoint_config(self) -> ActionResult:
        """DescribeEndpointConfig."""
        return ActionResult(self._config(self._checked_request()["EndpointConfigName"]).response_object)

    def delete_endpoint_config(self) -> ActionResult:
        """DeleteEndpointConfig. Endpoints that use the configuration are not affected."""
        record = self._config(self._checked_request()["EndpointConfigName"])
        del self.sagemaker_backend.endpoint_configs[record.endpoint_config_name]
        return EmptyResult()

    def create_endpoint(self) -> ActionResult:
        """CreateEndpoint: responds immediately; the endpoint starts in the background."""
        request = self._checked_request()
        name, arn = request["EndpointName"], self._arn("endpoint", request["EndpointName"])
        endpoints = self.sagemaker_backend.endpoints
        # CreateEndpoint's reference: the name is unique in account and region, and case-insensitive.
        if any(existing.lower() == name.lower() for existing in endpoints):
            _refuse(f'Cannot create already existing endpoint "{arn}".')
        settings = self._settings(name, self._config(request["EndpointConfigName"]))
        deployment_config = request.get("DeploymentConfig")
        self._check_deployment_config(deployment_config, settings)
        tags = list(request.get("Tags") or [])
        try:
            endpoints[name] = self.host.create(name, arn, tags, settings, deployment_config)
        except QuotaExceeded as error:
            raise ResourceLimitExceeded(str(error)) from error
        return ActionResult({"EndpointArn": arn})

    def describe_endpoint(self) -> ActionResult:
        """DescribeEndpoint."""
        return ActionResult(self._endpoint(self._checked_request()["EndpointName"]).response_object)

    def update_endpoint(self) -> ActionResult:
        """UpdateEndpoint: blue/green to another configuration, in the background."""
        request = self._checked_request()
        endpoint = self._endpoint(request["EndpointName"])
        settings = self._settings(endpoint.endpoint_name, self._config(request["EndpointConfigName"]))
        was_serverless, becomes_serverless = endpoint.settings.is_serverless, settings.is_serverless
        if becomes_serverless and not was_serverless:
            _refuse(f'Cannot update instance-based endpoint "{endpoint.arn}" to a serverless configuration.')
        if endpoint.settings.async_inference is not None and settings.async_inference is None:
            _refuse(
                f"The AsyncInferenceConfig parameter cannot be removed from this endpoint {endpoint.endpoint_name}."
            )
        reason = self._component_conflict(endpoint, settings)
        if reason is not None:
            _refuse(reason)
        reason = autoscaled_variants_changed(endpoint.settings, settings, partial(self._is_autoscaled, endpoint))
        if reason is not None:
            _refuse(reason)
        if request.get("RetainAllVariantProperties") and not settings.pools:
            listed = request.get("ExcludeRetainedVariantProperties") or []
            excluded = {each["VariantPropertyType"] for each in listed}
            settings = retain_properties(settings, endpoint.traffic.current, excluded)
        deployment_config = request.get("DeploymentConfig")
        if deployment_config is None and request.get("RetainDeploymentConfig"):
            deployment_config = endpoint.last_deployment_config
        self._check_deployment_config(deployment_config, settings)
        self._check_alarms(deployment_config)
        try:
            self.host.update(endpoint, settings, deployment_config)
        except EndpointInProgressError:
            _refuse(f'Cannot update in-progress endpoint "{endpoint.arn}".')
        except EndpointFailedError:
            _refuse(f'Cannot update failed endpoint "{endpoint.arn}": it can only be deleted.')
        except QuotaExceeded as error:
            raise ResourceLimitExceeded(str(error)) from error
        return ActionResult({"EndpointArn": endpoint.arn})

    def update_endpoint_weights_and_capacities(self) -> ActionResult:
        """UpdateEndpointWeightsAndCapacities: changes weights immediately, instances in the background."""
        request = self._checked_request()
        endpoint = self._endpoint(request["EndpointName"])
        if isinstance(endpoint, ComponentEndpoint):
            raise NotImplementedError("UpdateEndpointWeightsAndCapacities of an endpoint of inference components")
        changes = [VariantChange.from_request(change) for change in request["DesiredWeightsAndCapacities"]]
        try:
            self.host.change_capacity(endpoint, changes)
        except QuotaExceeded as error:
            raise ResourceLimitExceeded(str(error)) from error
        except CapacityRefused as error:
            _refuse(str(error))
        return ActionResult({"EndpointArn": endpoint.arn})

    def delete_endpoint(self) -> ActionResult:
        """DeleteEndpoint: the status is Deleting until all containers have stopped."""
        endpoint = self._endpoint(self._checked_request()["EndpointName"])
        endpoints = self.sagemaker_backend.endpoints
        try:
            self.host.delete(endpoint, lambda: endpoints.pop(endpoint.endpoint_name, None))
        except EndpointInProgressError:
            _refuse(f'Cannot update in-progress endpoint "{endpoint.arn}".')
        return EmptyResult()

    def add_tags(self) -> ActionResult:
        """AddTags: moto appends; AWS replaces the value of an existing key."""
        request = self._checked_request()
        resource = self._tagged_resource(request["ResourceArn"])
        merged = {tag["Key"]: tag["Value"] for tag in [*resource.tags, *request["Tags"]]}
        resource.tags = [{"Key": key, "Value": value} for key, value in merged.items()]
        return ActionResult({"Tags": resource.tags})

    def list_tags(self) -> ActionResult:
        """ListTags."""
        return ActionResult({"Tags": self._tagged_resource(self._checked_request()["ResourceArn"]).tags})

    def delete_tags(self) -> ActionResult:
        """DeleteTags."""
        request = self._checked_request()
        resource = self._tagged_resource(request["ResourceArn"])
        resource.tags = [tag for tag in resource.tags if tag["Key"] not in request["TagKeys"]]
        return EmptyResult()

    def _settings(self, endpoint: str, config: EndpointConfigRecord) -> EndpointSettings:
        """Resolve a configuration to what a deployment needs.

        Raises:
            AWSValidationException: A model of it was deleted.
            NotImplementedError: It uses a feature that the local AWS does not implement.
        """
        if config.request.get("ShadowProductionVariants"):
            raise NotImplementedError("CreateEndpoint with ShadowProductionVariants")
        if config.request.get("AsyncInferenceConfig") and self.region in _WITHOUT_ASYNC_INFERENCE:
            _refuse("One or more endpoint features are not supported using this configuration")
        specs, pools = [], []
        for variant in config.production_variants:
            instance_type = preferred_type(variant)
            if instance_type and self.host.config.refuse_gpu_instances and has_gpu(instance_type):
                raise NotImplementedError(
                    f"CreateEndpoint on {instance_type}, whose GPUs this machine may not replace by its CPU "
                    "(LOCALAWS_REFUSE_GPU_INSTANCES=1)"
                )
            identity = VariantId(self.current_account, self.region, endpoint, variant["VariantName"])
            if not variant.get("ModelName"):
                pools.append(PoolSpec(identity, variant))
                continue
            model = self._model(variant["ModelName"])
            if len(model.containers) > 1:
                raise NotImplementedError("CreateEndpoint for an inference pipeline (more than one container)")
            specs.append(VariantSpec(identity, ContainerDefinition.from_request(model.containers[0]), variant))
        data_capture = config.request.get("DataCaptureConfig")
        for feature in ("AsyncInferenceConfig", "DataCaptureConfig"):
            if pools and config.request.get(feature):
                raise NotImplementedError(f"CreateEndpoint with {feature} for inference components")
        return EndpointSettings(
            config.endpoint_config_name,
            tuple(specs),
            data_capture,
            pools=tuple(pools),
            async_inference=AsyncSettings.from_request(config.request.get("AsyncInferenceConfig")),
        )

    def _component_conflict(self, endpoint: Endpoint, settings: EndpointSettings) -> str | None:
        """Why inference components prevent an update to these settings; None if they do not."""
        if bool(endpoint.settings.pools) != bool(settings.pools):
            return f'Cannot update endpoint "{endpoint.arn}" from models to inference components, or back.'
        hosted = self.host.components.on_endpoint(self.current_account, self.region, endpoint.endpoint_name)
        remaining = {pool.identity.variant for pool in settings.pools}
        removed = sorted({component.spec.identity.variant for component in hosted} - remaining)
        if removed:
            return f'Cannot remove production variant "{removed[0]}" of endpoint "{endpoint.arn}": it hosts components.'
        return None

    def _is_autoscaled(self, endpoint: Endpoint, variant: str) -> bool:
        resource = variant_resource(endpoint.endpoint_name, variant)
        return self.host.is_scalable_target(self.current_account, self.region, resource)

    def _check_deployment_config(self, config: dict[str, Any] | None, settings: EndpointSettings) -> None:
        if config and settings.pools:
            raise NotImplementedError("an endpoint of inference components with a DeploymentConfig")
        reason = check_deployment_config(config or {}, settings)
        if reason is not None:
            _refuse(reason)

    def _check_alarms(self, config: dict[str, Any] | None) -> None:
        missing = first_missing_alarm(self.current_account, self.region, DeploymentPolicy(config or {}).alarms)
        if missing is not None:
            _refuse(f'Could not find CloudWatch alarm "{missing}" of the auto-rollback configuration.')


def _is_within(moment: Any, after: Any, before: Any) -> bool:
    return (after is None or moment > after) and (before is None or moment < before)
