"""The parts of a Terraform plan that cost money: endpoints with their scaling, functions, stores and alarms."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

__all__ = [
    "Component",
    "Endpoint",
    "EndpointKind",
    "Plan",
    "Resource",
    "Scaling",
    "ScalingAlarm",
    "Schedule",
    "ServerlessCapacity",
    "Step",
    "StepScaling",
    "TargetTracking",
    "Variant",
]

EndpointKind = Literal["serverless", "realtime", "async", "scale-to-zero"]


@dataclass(frozen=True, slots=True)
class TargetTracking:
    """A target tracking policy.

    Attributes:
        metric: Predefined metric type such as ``SageMakerVariantInvocationsPerInstance``, or the name of a metric.
        is_predefined: Whether it is a predefined metric type.
        target: The value that the policy holds.
        scale_in_cooldown: Seconds.
        scale_out_cooldown: Seconds.
        disable_scale_in: Whether it only adds capacity.
        statistic: Statistic of a metric that is not predefined.
    """

    metric: str
    is_predefined: bool
    target: float
    scale_in_cooldown: float
    scale_out_cooldown: float
    disable_scale_in: bool = False
    statistic: str | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """A step adjustment; the bounds are relative to the alarm's threshold, None for infinity."""

    lower: float | None
    upper: float | None
    change: int


@dataclass(frozen=True, slots=True)
class ScalingAlarm:
    """The alarm that triggers a step policy.

    Attributes:
        metric: Name of the metric.
        statistic: Statistic over a period.
        period: Seconds of a datapoint.
        evaluation_periods: Datapoints that are looked at.
        datapoints: Of them, those that must breach.
        threshold: The threshold.
        comparison: CloudWatch's comparison operator.
        missing_data: ``breaching``, ``notBreaching``, ``ignore`` or ``missing``.
    """

    metric: str
    statistic: str
    period: int
    evaluation_periods: int
    datapoints: int
    threshold: float
    comparison: str
    missing_data: str


@dataclass(frozen=True, slots=True)
class StepScaling:
    """A step scaling policy.

    Attributes:
        adjustment: ``ChangeInCapacity``, ``PercentChangeInCapacity`` or ``ExactCapacity``.
        cooldown: Seconds.
        steps: The steps.
        alarm: The alarm that triggers it; None if the plan has none.
    """

    adjustment: str
    cooldown: float
    steps: tuple[Step, ...]
    alarm: ScalingAlarm | None


@dataclass(frozen=True, slots=True)
class Schedule:
    """A scheduled action; a bound that it leaves unchanged is None."""

    name: str
    expression: str
    timezone: str
    min: int | None
    max: int | None


@dataclass(frozen=True, slots=True)
class Scaling:
    """Application Auto Scaling of a variant's instances or provisioned concurrency, or of a component's copies.

    Attributes:
        dimension: ``instances``, ``copies`` or ``provisioned-concurrency``.
        min: Lowest capacity.
        max: Highest capacity.
        tracking: Target tracking policies.
        steps: Step policies.
        schedules: Scheduled actions.
    """

    dimension: Literal["instances", "copies", "provisioned-concurrency"]
    min: int
    max: int
    tracking: tuple[TargetTracking, ...] = ()
    steps: tuple[StepScaling, ...] = ()
    schedules: tuple[Schedule, ...] = ()


@dataclass(frozen=True, slots=True)
class ServerlessCapacity:
    """Memory in MB, concurrency, and provisioned concurrency of a serverless variant."""

    memory_mb: int
    max_concurrency: int
    provisioned_concurrency: int = 0


@dataclass(frozen=True, slots=True)
class Variant:
    """A variant of an endpoint.

    Attributes:
        name: Its name.
        instance_types: Its instance type, or its pools in the order of their priority; empty if it is serverless.
        initial_count: Instances after each deployment.
        weight: Share of the traffic, relative to the other variants.
        volume_gb: Volume of each instance; None for SageMaker's default, which the plan does not know.
        serverless: Its capacity, if it is serverless.
        scaling: Autoscaling of the variant; None without.
        min_instances: Lowest number of managed instances of a scale-to-zero variant.
        max_instances: Highest number of them.
        async_concurrency: Requests that an instance of an asynchronous endpoint processes at a time; None if unset.
    """

    name: str
    instance_types: tuple[str, ...] = ()
    initial_count: int = 1
    weight: float = 1.0
    volume_gb: float | None = None
    serverless: ServerlessCapacity | None = None
    scaling: Scaling | None = None
    min_instances: int | None = None
    max_instances: int | None = None
    async_concurrency: int | None = None


@dataclass(frozen=True, slots=True)
class Component:
    """An inference component.

    Attributes:
        name: Its name.
        variant: The variant that runs it.
        copies: Copies after the creation.
        copies_per_instance: Copies that fit one instance; None if the plan does not tell.
        scaling: Autoscaling of the copies; None without.
    """

    name: str
    variant: str
    copies: int
    copies_per_instance: int | None
    scaling: Scaling | None = None


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An endpoint.

    Attributes:
        address: Address of its resource in the plan.
        name: Its name.
        region: Its region.
        kind: Its kind.
        variants: Its variants.
        components: Its inference components; only scale-to-zero endpoints have any.
    """

    address: str
    name: str
    region: str
    kind: EndpointKind
    variants: tuple[Variant, ...]
    components: tuple[Component, ...] = ()


@dataclass(frozen=True, slots=True)
class Resource:
    """Another resource.

    Attributes:
        address: Its address in the plan.
        type: Terraform's type, such as ``aws_lambda_function``.
        region: Its region.
        values: Its attributes as planned. Attributes that are known only after the apply are missing.
    """

    address: str
    type: str
    region: str
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Plan:
    """A plan or a state.

    Attributes:
        endpoints: The endpoints.
        resources: The other managed resources, in the order of the plan.
        unknown: Addresses of endpoints, with the attribute, whose capacity is known only after the apply.
    """

    endpoints: tuple[Endpoint, ...]
    resources: tuple[Resource, ...]
    unknown: tuple[str, ...] = ()
