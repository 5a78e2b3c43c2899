"""Turns the endpoints of a Terraform plan into configurations to simulate."""

from embedstack.errors import ConfigurationError
from embedstack_ops.costs.plan import Endpoint, Plan, Scaling, ScalingAlarm, StepScaling, TargetTracking, Variant
from embedstack_ops.simulation.configurations import (
    Alarm,
    Configuration,
    Instances,
    Metric,
    Schedule,
    Serverless,
    StepPolicy,
    TrackingPolicy,
)

__all__ = ["plan_configurations"]

#: The simulated metric of each of CloudWatch's, with the seconds of a datapoint.
_METRICS: dict[str, tuple[Metric, int]] = {
    "SageMakerVariantInvocationsPerInstance": ("invocations", 60),
    "SageMakerInferenceComponentInvocationsPerCopy": ("invocations", 60),
    "SageMakerVariantConcurrentRequestsPerModelHighResolution": ("concurrency", 10),
    "SageMakerInferenceComponentConcurrentRequestsPerCopyHighResolution": ("concurrency", 10),
    "InvocationsPerInstance": ("invocations", 60),
    "InvocationsPerCopy": ("invocations", 60),
    "ConcurrentRequestsPerModel": ("concurrency", 60),
    "ConcurrentRequestsPerCopy": ("concurrency", 60),
    "ApproximateBacklogSizePerInstance": ("backlog", 60),
    "HasBacklogWithoutCapacity": ("backlog_without_capacity", 60),
    "NoCapacityInvocationFailures": ("no_capacity_failures", 60),
}
_DEFAULT_ASYNC_CONCURRENCY = 4
_RELEASE_S = 720


def plan_configurations(plan: Plan, *, concurrency: int = 1) -> list[tuple[str, Configuration]]:
    """The configurations of a plan's endpoints, each with its region.

    The first variant of an endpoint stands for all of its traffic. A copy of an inference component is simulated with
    an instance of its own.

    Args:
        plan: The plan.
        concurrency: Requests that an instance serves at the same time, where the plan does not say.

    Raises:
        ConfigurationError: The plan has no endpoint, or one of a kind or metric that cannot be simulated.
    """
    if not plan.endpoints:
        raise ConfigurationError("The plan has no endpoint to simulate. Pass the plan of a root with endpoints.")
    return [(endpoint.region, _configuration(endpoint, concurrency)) for endpoint in plan.endpoints]


def _configuration(endpoint: Endpoint, concurrency: int) -> Configuration:
    if len(endpoint.variants) != 1:
        raise ConfigurationError(
            f"{endpoint.address} has {len(endpoint.variants)} variants. Simulate a plan with one variant per endpoint."
        )
    variant = endpoint.variants[0]
    if variant.serverless is not None:
        capacity = variant.serverless
        return Serverless(
            endpoint.name,
            memory_mb=capacity.memory_mb,
            max_concurrency=capacity.max_concurrency,
            provisioned=capacity.provisioned_concurrency,
        )
    if not variant.instance_types:
        raise ConfigurationError(f"{endpoint.address} has no instance type in the plan. Set instance_type.")
    if endpoint.kind == "async":
        return _instances(endpoint, variant, variant.scaling, variant.async_concurrency or _DEFAULT_ASYNC_CONCURRENCY)
    if endpoint.kind == "scale-to-zero":
        scaling = endpoint.components[0].scaling if endpoint.components else None
        return _instances(endpoint, variant, scaling, concurrency)
    return _instances(endpoint, variant, variant.scaling, concurrency)


def _instances(endpoint: Endpoint, variant: Variant, scaling: Scaling | None, concurrency: int) -> Instances:
    is_async, sleeps = endpoint.kind == "async", endpoint.kind == "scale-to-zero"
    initial = variant.initial_count
    if sleeps:
        initial = endpoint.components[0].copies if endpoint.components else 1
    if scaling is not None:
        initial = min(max(initial, scaling.min), scaling.max)
    return Instances(
        endpoint.name,
        variant.instance_types[0],
        minimum=initial if scaling is None else scaling.min,
        maximum=initial if scaling is None else scaling.max,
        initial=initial,
        concurrency=concurrency,
        component="async" if is_async else "hosting",
        longest_wait_s=None if is_async else 60,
        tracking=tuple(_tracking(endpoint, policy) for policy in scaling.tracking) if scaling else (),
        steps=tuple(_step(endpoint, policy) for policy in scaling.steps) if scaling else (),
        schedules=tuple(
            Schedule(action.expression, action.min, action.max, action.timezone) for action in scaling.schedules
        )
        if scaling
        else (),
        release_s=_RELEASE_S if sleeps else 0,
        volume_gb=None if variant.volume_gb is None else round(variant.volume_gb),
    )


def _tracking(endpoint: Endpoint, policy: TargetTracking) -> TrackingPolicy:
    metric, period = _metric(endpoint, policy.metric)
    return TrackingPolicy(
        metric,
        policy.target,
        period_s=period,
        scale_out_cooldown_s=round(policy.scale_out_cooldown),
        scale_in_cooldown_s=round(policy.scale_in_cooldown),
        scales_in=not policy.disable_scale_in,
    )


def _step(endpoint: Endpoint, policy: StepScaling) -> StepPolicy:
    if policy.alarm is None:
        raise ConfigurationError(f"{endpoint.address} has a step policy without an alarm in the plan. Add the alarm.")
    match policy.adjustment:
        case "ChangeInCapacity" | "PercentChangeInCapacity" | "ExactCapacity" as adjustment:
            steps = tuple((step.lower, step.upper, step.change) for step in policy.steps)
            alarm = _alarm(endpoint, policy.alarm)
            return StepPolicy(alarm, steps, adjustment=adjustment, cooldown_s=round(policy.cooldown))
        case other:
            raise ConfigurationError(f"{endpoint.address} has the unknown adjustment type {other!r}. Correct it.")


def _alarm(endpoint: Endpoint, alarm: ScalingAlarm) -> Alarm:
    return Alarm(
        _metric(endpoint, alarm.metric)[0],
        alarm.threshold,
        above=alarm.comparison.startswith("Greater"),
        inclusive="OrEqual" in alarm.comparison,
        period_s=alarm.period,
        periods=alarm.evaluation_periods,
    )


def _metric(endpoint: Endpoint, name: str) -> tuple[Metric, int]:
    if name not in _METRICS:
        raise ConfigurationError(
            f"{endpoint.address} scales on the metric {name}, which the simulator does not know. "
            f"Known metrics: {', '.join(sorted(_METRICS))}."
        )
    return _METRICS[name]
