"""UpdateEndpoint's own rules: what a new configuration keeps of the old one, and what it must not change."""

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from localaws.services.sagemaker.endpoints.deployment import Deployment
    from localaws.services.sagemaker.endpoints.endpoint import EndpointSettings
    from localaws.services.sagemaker.endpoints.variants import VariantSpec

__all__ = ["autoscaled_variants_changed", "retain_properties"]


def retain_properties(
    settings: "EndpointSettings", deployment: "Deployment | None", excluded: "Collection[str]"
) -> "EndpointSettings":
    """The settings with the instance counts and weights that variants of the same name have now.

    Args:
        settings: The new ones.
        deployment: What runs.
        excluded: VariantPropertyTypes that the new settings decide: DesiredInstanceCount, DesiredWeight.
    """

    def retain(spec: "VariantSpec") -> "VariantSpec":
        running = deployment.find(spec.identity.variant) if deployment is not None else None
        if running is None:
            return spec
        kept: dict[str, float] = {}
        if "DesiredInstanceCount" not in excluded and not spec.serverless and not running.serverless:
            kept["InitialInstanceCount"] = running.group.desired
        if "DesiredWeight" not in excluded:
            kept["InitialVariantWeight"] = running.weight
        return replace(spec, production_variant={**spec.production_variant, **kept})

    return replace(settings, specs=tuple(retain(spec) for spec in settings.specs))


def autoscaled_variants_changed(
    old: "EndpointSettings", new: "EndpointSettings", is_scalable_target: "Callable[[str], bool]"
) -> str | None:
    """SageMaker's refusal to remove a variant that is scaled automatically or to change its instance type, or None.

    Args:
        old: What the endpoint has.
        new: What it shall have.
        is_scalable_target: Whether the variant of this name is registered with Application Auto Scaling.
    """
    types = {spec.identity.variant: spec.production_variant.get("InstanceType") for spec in new.specs}
    changed = [
        spec.identity.variant
        for spec in old.specs
        if types.get(spec.identity.variant) != spec.production_variant.get("InstanceType")
        or spec.identity.variant not in types
    ]
    refused = [variant for variant in changed if is_scalable_target(variant)]
    if not refused:
        return None
    return (
        f'The variant(s) "[{", ".join(refused)}]" must be deregistered as scalable targets with AWS Application Auto '
        "Scaling before they can be removed or have their instance type updated."
    )
