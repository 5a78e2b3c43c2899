"""RegisterScalableTarget: the resources that can be scaled, and the bounds of their capacity."""

import re
import secrets
from datetime import datetime
from typing import Any

from moto.sagemaker.models import sagemaker_backends

from localaws.services.application_autoscaling.errors import TooManyTags, ValidationFailed
from localaws.services.application_autoscaling.records import (
    COPIES,
    INSTANCES,
    NOUNS,
    Capacity,
    Region,
    Target,
    TargetKey,
)
from localaws.services.sagemaker.endpoints.endpoint import Endpoint

__all__ = [
    "check_range",
    "endpoint_name",
    "find_endpoint",
    "least_capacity",
    "register",
    "suspended_state",
    "with_tags",
]

_RESOURCES = {
    COPIES: re.compile(r"inference-component/[^/]+"),
    **{
        dimension: re.compile(r"endpoint/[^/]+/variant/[^/]+")
        for dimension in NOUNS
        if dimension.split(":")[1] == "variant"
    },
}
_SUSPENSIONS = ("DynamicScalingInSuspended", "DynamicScalingOutSuspended", "ScheduledScalingSuspended")
_MAX_TAGS = 50


def target_key(request: dict[str, Any]) -> TargetKey:
    """The target that a request names.

    Raises:
        ValidationFailed: SageMaker has no such dimension, or the resource does not have it.
    """
    key = TargetKey(request["ResourceId"], request["ScalableDimension"])
    pattern = _RESOURCES.get(key.dimension)
    if pattern is None or not pattern.fullmatch(key.resource_id):
        raise ValidationFailed("Unsupported service namespace, resource type or scalable dimension")
    return key


def register(region: Region, request: dict[str, Any], now: datetime) -> Target:
    """Create a scalable target, or change its range or its suspended state.

    Raises:
        ValidationFailed: The range or the instance type is invalid.
    """
    key = target_key(request)
    target = region.targets.get(key)
    low, high = request.get("MinCapacity"), request.get("MaxCapacity")
    if target is None and (low is None or high is None):
        raise ValidationFailed("Both minimum capacity and maximum capacity must be specified for a new scalable target")
    capacity = Capacity(
        target.capacity.low if low is None and target else int(low or 0),
        target.capacity.high if high is None and target else int(high or 0),
    )
    check_range(region, key, capacity.low, capacity.high)
    _check_instance_type(region, key)
    if target is None:
        arn = region.arn("application-autoscaling", f"scalable-target/{secrets.token_hex(17)}")
        tags = with_tags({}, request.get("Tags") or {}, arn)
        suspended = dict.fromkeys(_SUSPENSIONS, False)
        target = Target(key, arn, _role_arn(region), capacity, now, suspended, tags)
        region.targets[key] = target
    target.capacity = capacity
    target.suspended = suspended_state(target.suspended, request.get("SuspendedState") or {})
    return target


def check_range(region: Region, key: TargetKey, low: int | None, high: int | None) -> None:
    """Check the bounds of a capacity.

    Raises:
        ValidationFailed: They are negative, in the wrong order, or zero for a resource that cannot scale to zero.
    """
    least = least_capacity(region, key)
    if low is not None and low < least:
        raise ValidationFailed(f"Minimum capacity cannot be less than {least}")
    if high is not None and high < 0:
        raise ValidationFailed("Maximum capacity cannot be less than 0")
    if low is not None and high is not None and high < low:
        raise ValidationFailed("Maximum capacity cannot be less than minimum capacity")


def least_capacity(region: Region, key: TargetKey) -> int:
    """The minimum capacity: 1 for the instances of a real-time variant, else 0.

    SageMaker developer guide, "Edit a scaling policy": the minimum instance count is 1 or higher; "Autoscale an
    asynchronous endpoint": it may be 0 for these.
    """
    endpoint = find_endpoint(region, key)
    return int(key.dimension == INSTANCES and endpoint is not None and endpoint.settings.async_inference is None)


def endpoint_name(key: TargetKey) -> str | None:
    """The name of a variant's endpoint; None for an inference component."""
    return None if key.dimension == COPIES else key.resource_id.split("/")[1]


def find_endpoint(region: Region, key: TargetKey) -> Endpoint | None:
    """A variant's endpoint; None if it does not exist."""
    endpoint = sagemaker_backends[region.account_id][region.name].endpoints.get(endpoint_name(key))
    return endpoint if isinstance(endpoint, Endpoint) else None


def suspended_state(before: dict[str, bool], changes: dict[str, bool]) -> dict[str, bool]:
    """The SuspendedState after a change of some of its members."""
    return {member: bool(changes.get(member, before[member])) for member in _SUSPENSIONS}


def with_tags(tags: dict[str, str], added: dict[str, str], arn: str) -> dict[str, str]:
    """Merge tags.

    Raises:
        TooManyTags: The result has more than 50 tags.
    """
    merged = {**tags, **added}
    if len(merged) > _MAX_TAGS:
        raise TooManyTags(arn)
    return merged


def _role_arn(region: Region) -> str:
    """The service-linked role, which replaces the request's RoleARN, as AWS does for every service that has one."""
    role = "AWSServiceRoleForApplicationAutoScaling_SageMakerEndpoint"
    arn = region.arn("iam", f"role/aws-service-role/sagemaker.application-autoscaling.amazonaws.com/{role}")
    return arn.replace(f":{region.name}:", "::", 1)


def _check_instance_type(region: Region, key: TargetKey) -> None:
    """Reject burstable instances, which cannot be scaled automatically.

    Raises:
        ValidationFailed: The variant runs on burstable instances.
    """
    endpoint = find_endpoint(region, key)
    if endpoint is None or key.dimension != INSTANCES:
        return
    for spec in endpoint.settings.specs:
        instance_type = spec.production_variant.get("InstanceType") or ""
        if spec.identity.variant == key.resource_id.split("/")[3] and re.match(r"ml\.t\d", instance_type):
            raise ValidationFailed(
                f"You cannot register a variant with {instance_type} instance type as a scalable target. This is "
                "because the burstable performance of these instances can lead to unpredictable behavior with Auto "
                "Scaling."
            )
