"""Validation of endpoint configurations and updates, beyond the API's model."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from localaws.services.sagemaker.containers.instance_types import preferred_type

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from localaws.services.sagemaker.endpoints.deployment import Deployment
    from localaws.services.sagemaker.endpoints.records import ModelRecord
    from localaws.services.sagemaker.endpoints.settings import EndpointSettings
    from localaws.services.sagemaker.endpoints.variants import VariantSpec

__all__ = ["autoscaled_variants_changed", "check_config", "retain_properties"]

#: Memory sizes of ProductionVariantServerlessConfig (API reference).
MEMORY_SIZES_MB = (1024, 2048, 3072, 4096, 5120, 6144)


#: Regions that reject a MinInstanceCount of 0 (stdapi-ai/stdapi.ai#43, measured on 2026-08-27; us-east-1 accepts it).
_WITHOUT_SCALE_TO_ZERO = frozenset({"eu-west-3"})


def check_config(request: "Mapping[str, Any]", models: "Mapping[str, ModelRecord]", region: str) -> str | None:
    """SageMaker's message if it rejects a CreateEndpointConfig request whose models exist, or None.

    The limits of serverless variants are those of the developer guide's "Feature exclusions" for Serverless Inference.
    """
    variants: Sequence[dict[str, Any]] = request["ProductionVariants"]
    names = [variant["VariantName"] for variant in variants]
    duplicates = sorted({name for name in names if names.count(name) > 1})
    if duplicates:
        return f'The variant name "{duplicates[0]}" was non-unique within the request.'
    for index, variant in enumerate(variants, start=1):
        reason = (
            _check_variant(variant, f"productionVariants.{index}.member")
            or _check_hosting(variant, request)
            or _check_scale_to_zero(variant, region)
        )
        if reason is None and variant.get("ServerlessConfig"):
            reason = _check_serverless(variant, request, models[variant["ModelName"]])
        if reason is not None:
            return reason
    return None


def _check_variant(variant: "Mapping[str, Any]", path: str) -> str | None:
    name = variant["VariantName"]
    serverless = variant.get("ServerlessConfig")
    instance_settings = ("InstanceType", "InstancePools", "InitialInstanceCount", "AcceleratorType")
    on_instances = [key for key in instance_settings if variant.get(key)]
    if serverless and on_instances:
        return (
            f"Production variant {name} has a ServerlessConfig and {', '.join(on_instances)}: a variant is either "
            "serverless or instance-based."
        )
    if not serverless:
        if variant.get("InstanceType") and variant.get("InstancePools"):
            return f"Production variant {name} must have an InstanceType or InstancePools, not both."
        if not preferred_type(variant) or not variant.get("InitialInstanceCount"):
            return (
                f"Production variant {name} must have a ServerlessConfig, or an InstanceType with an "
                "InitialInstanceCount."
            )
        return None
    if serverless["MemorySizeInMB"] not in MEMORY_SIZES_MB:
        allowed = ", ".join(map(str, MEMORY_SIZES_MB))
        return (
            f"1 validation error detected: Value '{serverless['MemorySizeInMB']}' at "
            f"'{path}.serverlessConfig.memorySizeInMB' failed to satisfy constraint: Member must satisfy enum value "
            f"set: [{allowed}]"
        )
    provisioned = serverless.get("ProvisionedConcurrency")
    if provisioned is not None and provisioned > serverless["MaxConcurrency"]:
        return (
            f"ProvisionedConcurrency {provisioned} of production variant {name} must be less than or equal to its "
            f"MaxConcurrency {serverless['MaxConcurrency']}."
        )
    return None


def _check_hosting(variant: "Mapping[str, Any]", request: "Mapping[str, Any]") -> str | None:
    """Check that a variant is either for inference components, without a model, or has a model."""
    name, scaling = variant["VariantName"], variant.get("ManagedInstanceScaling") or {}
    if variant.get("ModelName"):
        return "ManagedInstanceScaling is only supported for inference component endpoints." if scaling else None
    if variant.get("ServerlessConfig"):
        return f"Serverless production variant {name} must have a ModelName."
    if any(other.get("ModelName") for other in request["ProductionVariants"]):
        return "ModelName must be specified for all production variants, or for none of them."
    if not request.get("ExecutionRoleArn"):
        return f"ExecutionRoleArn must be specified, because production variant {name} has no ModelName."
    low, high = scaling.get("MinInstanceCount"), scaling.get("MaxInstanceCount")
    if low is not None and high is not None and low > high:
        return (
            f"MinInstanceCount {low} of production variant {name} must be less than or equal to its "
            f"MaxInstanceCount {high}."
        )
    return None


def _check_scale_to_zero(variant: "Mapping[str, Any]", region: str) -> str | None:
    scaling = variant.get("ManagedInstanceScaling") or {}
    if region in _WITHOUT_SCALE_TO_ZERO and scaling.get("Status") == "ENABLED" and scaling.get("MinInstanceCount") == 0:
        return "Min instance count needs to be greater than 0 for enabled managed instance scaling"
    return None


def _check_serverless(variant: "Mapping[str, Any]", request: "Mapping[str, Any]", model: "ModelRecord") -> str | None:
    """Check the features that serverless variants do not support."""
    excluded = {
        "multiple production variants": len(request["ProductionVariants"]) > 1,
        "shadow variants": bool(request.get("ShadowProductionVariants")),
        "data capture": bool(request.get("DataCaptureConfig")),
        "asynchronous inference": bool(request.get("AsyncInferenceConfig")),
        "VPC configuration": bool(model.request.get("VpcConfig")),
        "network isolation": bool(model.request.get("EnableNetworkIsolation")),
        "inference pipelines": len(model.containers) > 1,
        "multi-model endpoints": any(container.get("Mode") == "MultiModel" for container in model.containers),
        "uncompressed model data": any(container.get("ModelDataSource") for container in model.containers),
    }
    for feature, present in excluded.items():
        if present:
            return f"Serverless production variant {variant['VariantName']} does not support {feature}."
    return None


def retain_properties(
    settings: "EndpointSettings", deployment: "Deployment | None", excluded: "Collection[str]"
) -> "EndpointSettings":
    """The settings with the current instance counts and weights of variants of the same name.

    Args:
        settings: The new settings.
        deployment: The running deployment.
        excluded: VariantPropertyTypes of the new settings to use: DesiredInstanceCount, DesiredWeight.
    """

    def retain(spec: "VariantSpec") -> "VariantSpec":
        running = deployment.find(spec.identity.variant) if deployment is not None else None
        if running is None:
            return spec
        retained: dict[str, float] = {}
        if "DesiredInstanceCount" not in excluded and not spec.serverless and not running.serverless:
            retained["InitialInstanceCount"] = running.group.desired
        if "DesiredWeight" not in excluded:
            retained["InitialVariantWeight"] = running.weight
        return replace(spec, production_variant={**spec.production_variant, **retained})

    return replace(settings, specs=tuple(retain(spec) for spec in settings.specs))


def autoscaled_variants_changed(
    old: "EndpointSettings", new: "EndpointSettings", is_scalable_target: "Callable[[str], bool]"
) -> str | None:
    """SageMaker's message if an autoscaled variant is removed or changes its instance type, or None.

    Args:
        old: The current settings.
        new: The new settings.
        is_scalable_target: Whether the variant of this name is registered with Application Auto Scaling.
    """
    types = {spec.identity.variant: preferred_type(spec.production_variant) for spec in new.specs}
    changed = [
        spec.identity.variant
        for spec in old.specs
        if types.get(spec.identity.variant) != preferred_type(spec.production_variant)
        or spec.identity.variant not in types
    ]
    autoscaled = [variant for variant in changed if is_scalable_target(variant)]
    if not autoscaled:
        return None
    return (
        f'The variant(s) "[{", ".join(autoscaled)}]" must be deregistered as scalable targets with AWS Application '
        "Auto Scaling before they can be removed or have their instance type updated."
    )
