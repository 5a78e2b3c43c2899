"""The endpoints of a plan, with their variants, inference components and autoscaling."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, Literal

from embedstack.errors import ConfigurationError
from embedstack_ops.costs.instance_types import copies_per_instance
from embedstack_ops.costs.plan import (
    Component,
    Endpoint,
    EndpointKind,
    Scaling,
    ScalingAlarm,
    Schedule,
    ServerlessCapacity,
    Step,
    StepScaling,
    TargetTracking,
    Variant,
)
from embedstack_ops.costs.plan_document import PlanDocument, PlannedResource

__all__ = ["EndpointReader"]

_ENDPOINT: Final = "aws_sagemaker_endpoint"
_CONFIGURATION: Final = "aws_sagemaker_endpoint_configuration"
_STACK: Final = "aws_cloudformation_stack"
_DIMENSIONS: Final[Mapping[str, Literal["instances", "copies", "provisioned-concurrency"]]] = {
    "sagemaker:variant:DesiredInstanceCount": "instances",
    "sagemaker:inference-component:DesiredCopyCount": "copies",
    "sagemaker:variant:DesiredProvisionedConcurrency": "provisioned-concurrency",
}
_COOLDOWN = 300


class EndpointReader:
    """Reads the endpoints of a document.

    Attributes:
        unknown: What is known only after the apply, as addresses with the attribute.
        read: Addresses of the resources that the endpoints consist of.
    """

    def __init__(self, document: PlanDocument) -> None:
        self._document = document
        self.unknown: list[str] = []
        self.read: set[str] = set()

    def endpoints(self) -> Iterator[Endpoint]:
        """All endpoints, in the order of the document.

        Raises:
            ConfigurationError: An endpoint has no region or no instance type.
        """
        for resource in self._document.of_type(_ENDPOINT, _STACK):
            endpoint = self._endpoint(resource) if resource.type == _ENDPOINT else self._of_stack(resource)
            if endpoint is not None:
                yield endpoint

    def _endpoint(self, resource: PlannedResource) -> Endpoint | None:
        self.read.add(resource.address)
        configuration = self._configuration(resource)
        if configuration is None:
            self.unknown.append(f"{resource.address}: endpoint_config_name")
            return None
        self.read.add(configuration.address)
        name = str(resource.values.get("name") or resource.address)
        region = _region(resource)
        asynchronous = (configuration.values.get("async_inference_config") or [None])[0]
        planned = configuration.values.get("production_variants") or []
        variants = tuple(
            variant
            for index, values in enumerate(planned)
            if (variant := self._variant(configuration, index, values, name, region, asynchronous)) is not None
        )
        return Endpoint(resource.address, name, region, _kind(planned, asynchronous), variants)

    def _configuration(self, endpoint: PlannedResource) -> PlannedResource | None:
        name = endpoint.values.get("endpoint_config_name")
        if name:
            # In an update, the planned configuration may still have no name: then the reference decides.
            by_name = [each for each in self._document.of_type(_CONFIGURATION) if each.values.get("name") == name]
            if by_name:
                return by_name[0]
        return self._document.referenced(endpoint, "endpoint_config_name", _CONFIGURATION)

    def _variant(
        self,
        configuration: PlannedResource,
        index: int,
        values: Mapping[str, Any],
        endpoint: str,
        region: str,
        asynchronous: Mapping[str, Any] | None,
    ) -> Variant | None:
        name = str(values.get("variant_name") or f"variant-{index}")
        scaling = self.scaling(f"endpoint/{endpoint}/variant/{name}", region)
        serverless = (values.get("serverless_config") or [None])[0]
        weight = float(values.get("initial_variant_weight") or (1 if index == 0 else 0))
        if serverless is not None:
            return self._serverless(configuration, index, serverless, Variant(name, weight=weight, scaling=scaling))
        if not values.get("instance_type"):
            attribute = f"production_variants[{index}].instance_type"
            if self._is_unknown(configuration, index, "instance_type"):
                self.unknown.append(f"{configuration.address}: {attribute}")
                return None
            raise ConfigurationError(
                f"{configuration.address} has no {attribute}, so that {name} cannot be priced. Set an instance type "
                "such as ml.m5.xlarge, or serverless_config."
            )
        managed = (values.get("managed_instance_scaling") or [None])[0] or {}
        client = ((asynchronous or {}).get("client_config") or [{}])[0]
        return Variant(
            name=name,
            instance_types=(str(values["instance_type"]),),
            initial_count=int(values.get("initial_instance_count") or 1),
            weight=weight,
            volume_gb=values.get("volume_size_in_gb"),
            scaling=scaling,
            min_instances=managed.get("min_instance_count"),
            max_instances=managed.get("max_instance_count"),
            async_concurrency=client.get("max_concurrent_invocations_per_instance"),
        )

    def _serverless(
        self, configuration: PlannedResource, index: int, values: Mapping[str, Any], variant: Variant
    ) -> Variant | None:
        needed = ("memory_size_in_mb", "max_concurrency")
        missing = [name for name in needed if values.get(name) is None]
        if missing:
            self.unknown.append(
                f"{configuration.address}: production_variants[{index}].serverless_config[0].{missing[0]}"
            )
            return None
        capacity = ServerlessCapacity(
            memory_mb=int(values["memory_size_in_mb"]),
            max_concurrency=int(values["max_concurrency"]),
            provisioned_concurrency=int(values.get("provisioned_concurrency") or 0),
        )
        return replace(variant, initial_count=0, serverless=capacity)

    @staticmethod
    def _is_unknown(configuration: PlannedResource, index: int, attribute: str) -> bool:
        variants = configuration.unknown.get("production_variants")
        if variants is True:
            return True
        return isinstance(variants, list) and index < len(variants) and bool(variants[index].get(attribute))

    def _of_stack(self, stack: PlannedResource) -> Endpoint | None:
        """A scale-to-zero endpoint, which is a CloudFormation stack."""
        capacity = self._capacity(stack)
        if capacity is None:
            return None
        self.read.add(stack.address)
        region = _region(stack)
        types = tuple(map(str, capacity["instance_types"]))
        if not types:
            raise ConfigurationError(f"{stack.address} has no instance type. Set one such as ml.g5.xlarge.")
        component = str(capacity["component_name"])
        variant = Variant(
            name=str(capacity["variant"]),
            instance_types=types,
            min_instances=int(capacity["min"]),
            max_instances=int(capacity["max"]),
        )
        return Endpoint(
            address=stack.address,
            name=str(capacity["endpoint_name"]),
            region=region,
            kind="scale-to-zero",
            variants=(variant,),
            components=(
                Component(
                    name=component,
                    variant=variant.name,
                    copies=int(capacity["copies"]),
                    copies_per_instance=copies_per_instance(types[0], capacity["requirements"]),
                    scaling=self.scaling(f"inference-component/{component}", region),
                ),
            ),
        )

    def _capacity(self, stack: PlannedResource) -> Mapping[str, Any] | None:
        """The capacity of a stack: by its template, or by the module's terraform_data while that is unknown."""
        template = stack.values.get("template_body")
        if template:
            try:
                return _capacity_of_template(json.loads(template))
            except ValueError:
                return None  # YAML, which this project's modules do not use
        for data in self._document.of_type("terraform_data"):
            if data.module == stack.module and data.name == "capacity" and data.values.get("input"):
                content: Mapping[str, Any] = data.values["input"]
                return content
        if stack.unknown.get("template_body"):
            self.unknown.append(f"{stack.address}: template_body")
        return None

    def scaling(self, resource_id: str, region: str) -> Scaling | None:
        """The autoscaling of a resource by its id at Application Auto Scaling; None without."""
        target = next(self._scaling_of("aws_appautoscaling_target", resource_id, region), None)
        if target is None:
            return None
        policies = list(self._scaling_of("aws_appautoscaling_policy", resource_id, region))
        actions = self._scaling_of("aws_appautoscaling_scheduled_action", resource_id, region)
        return Scaling(
            dimension=_DIMENSIONS[target.values["scalable_dimension"]],
            min=int(target.values["min_capacity"]),
            max=int(target.values["max_capacity"]),
            tracking=tuple(
                _tracking(configuration)
                for policy in policies
                for configuration in policy.values.get("target_tracking_scaling_policy_configuration") or []
            ),
            steps=tuple(
                self._steps(policy, configuration)
                for policy in policies
                for configuration in policy.values.get("step_scaling_policy_configuration") or []
            ),
            schedules=tuple(_schedule(action.values) for action in actions),
        )

    def _scaling_of(self, of_type: str, resource_id: str, region: str) -> Iterator[PlannedResource]:
        return (
            resource
            for resource in self._document.of_type(of_type)
            if resource.values.get("resource_id") == resource_id and resource.region in (region, None)
        )

    def _steps(self, policy: PlannedResource, configuration: Mapping[str, Any]) -> StepScaling:
        return StepScaling(
            adjustment=str(configuration.get("adjustment_type") or "ChangeInCapacity"),
            cooldown=float(configuration.get("cooldown") or 0),
            steps=tuple(
                Step(
                    lower=_bound(step.get("metric_interval_lower_bound")),
                    upper=_bound(step.get("metric_interval_upper_bound")),
                    change=int(step["scaling_adjustment"]),
                )
                for step in configuration.get("step_adjustment") or []
            ),
            alarm=self._alarm_of(policy),
        )

    def _alarm_of(self, policy: PlannedResource) -> ScalingAlarm | None:
        for alarm in self._document.of_type("aws_cloudwatch_metric_alarm"):
            arns: Sequence[str] = alarm.values.get("alarm_actions") or ()
            is_named = policy.values.get("arn") in arns if policy.values.get("arn") else False
            if is_named or self._document.referenced(alarm, "alarm_actions", policy.type) is policy:
                values = alarm.values
                periods = int(values.get("evaluation_periods") or 1)
                return ScalingAlarm(
                    metric=str(values.get("metric_name")),
                    statistic=str(values.get("statistic")),
                    period=int(values.get("period") or 60),
                    evaluation_periods=periods,
                    datapoints=int(values.get("datapoints_to_alarm") or periods),
                    threshold=float(values.get("threshold") or 0),
                    comparison=str(values["comparison_operator"]),
                    missing_data=str(values.get("treat_missing_data") or "missing"),
                )
        return None


def _region(resource: PlannedResource) -> str:
    if resource.region is None:
        raise ConfigurationError(
            f"The plan does not tell the region of {resource.address}: its provider has none, and no data.aws_region "
            "was read. Pass --region."
        )
    return resource.region


def _kind(variants: Sequence[Mapping[str, Any]], asynchronous: object) -> EndpointKind:
    if any(variant.get("serverless_config") for variant in variants):
        return "serverless"
    if any(variant.get("managed_instance_scaling") for variant in variants):
        return "scale-to-zero"
    return "async" if asynchronous else "realtime"


def _capacity_of_template(template: Mapping[str, Any]) -> Mapping[str, Any] | None:
    by_type = {resource["Type"]: resource["Properties"] for resource in template.get("Resources", {}).values()}
    configuration = by_type.get("AWS::SageMaker::EndpointConfig")
    component = by_type.get("AWS::SageMaker::InferenceComponent")
    endpoint = by_type.get("AWS::SageMaker::Endpoint")
    if configuration is None or component is None or endpoint is None:
        return None
    variant = configuration["ProductionVariants"][0]
    managed = variant.get("ManagedInstanceScaling", {})
    pools = sorted(variant.get("InstancePools", ()), key=lambda pool: pool["Priority"])
    return {
        "component_name": component["InferenceComponentName"],
        "copies": component["RuntimeConfig"]["CopyCount"],
        "endpoint_name": endpoint["EndpointName"],
        "instance_types": [pool["InstanceType"] for pool in pools] or [variant["InstanceType"]],
        "max": managed.get("MaxInstanceCount", variant.get("InitialInstanceCount", 1)),
        "min": managed.get("MinInstanceCount", variant.get("InitialInstanceCount", 1)),
        "requirements": component["Specification"]["ComputeResourceRequirements"],
        "variant": variant["VariantName"],
    }


def _tracking(configuration: Mapping[str, Any]) -> TargetTracking:
    predefined = (configuration.get("predefined_metric_specification") or [None])[0]
    custom = (configuration.get("customized_metric_specification") or [None])[0] or {}
    cooldowns = [configuration.get(name) for name in ("scale_in_cooldown", "scale_out_cooldown")]
    return TargetTracking(
        metric=str(predefined["predefined_metric_type"] if predefined else custom.get("metric_name")),
        is_predefined=predefined is not None,
        target=float(configuration["target_value"]),
        scale_in_cooldown=float(_COOLDOWN if cooldowns[0] is None else cooldowns[0]),
        scale_out_cooldown=float(_COOLDOWN if cooldowns[1] is None else cooldowns[1]),
        disable_scale_in=bool(configuration.get("disable_scale_in")),
        statistic=None if predefined else custom.get("statistic"),
    )


def _schedule(values: Mapping[str, Any]) -> Schedule:
    action = (values.get("scalable_target_action") or [{}])[0]
    bounds = [action.get(name) for name in ("min_capacity", "max_capacity")]
    low, high = (None if bound in (None, "") else int(bound) for bound in bounds)
    return Schedule(str(values["name"]), str(values["schedule"]), str(values.get("timezone") or "UTC"), low, high)


def _bound(text: object) -> float | None:
    return None if text in (None, "") else float(str(text))
