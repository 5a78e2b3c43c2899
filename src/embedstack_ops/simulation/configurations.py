"""Configurations of endpoints that can be simulated."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from embedstack.errors import ConfigurationError

__all__ = [
    "Alarm",
    "Bedrock",
    "Configuration",
    "Instances",
    "Schedule",
    "Serverless",
    "StepPolicy",
    "TrackingPolicy",
    "backlog_policy",
    "invocations_tracking",
]

#: What an alarm can read: requests per instance (Sum), requests in progress and queued per instance, the same for the
#: queue of an asynchronous endpoint, whether that queue waits without instances, and requests that failed without any.
Metric = Literal["invocations", "concurrency", "backlog", "backlog_without_capacity", "no_capacity_failures"]
MEMORY_SIZES = (1024, 2048, 3072, 4096, 5120, 6144)
_MOST_CONCURRENCY = 200


@dataclass(frozen=True, slots=True)
class Alarm:
    """A CloudWatch alarm on a metric of the endpoint.

    Attributes:
        metric: The metric.
        threshold: The threshold.
        above: Whether values above the threshold breach it; otherwise those below.
        inclusive: Whether the threshold itself breaches.
        period_s: Seconds of a datapoint.
        periods: Datapoints in a row that must breach.
    """

    metric: Metric
    threshold: float
    above: bool = True
    inclusive: bool = False
    period_s: int = 60
    periods: int = 3

    def breaches(self, value: float) -> bool:
        """Whether a datapoint breaches the threshold."""
        if value == self.threshold:
            return self.inclusive
        return (value > self.threshold) == self.above


@dataclass(frozen=True, slots=True)
class TrackingPolicy:
    """Target tracking: keep a metric per instance at its target.

    AWS does not document its alarms; those that it creates read 3 datapoints above the target and 15 minutes below
    90 % of it. High-resolution metrics have datapoints of 10 s.

    Attributes:
        metric: The metric.
        target: Its target value.
        period_s: Seconds of a datapoint: 60, or 10 for high-resolution metrics.
        scale_out_cooldown_s: Seconds between two scale-outs.
        scale_in_cooldown_s: Seconds between two scale-ins.
        scales_in: Whether the policy scales in.
    """

    metric: Metric
    target: float
    period_s: int = 60
    scale_out_cooldown_s: int = 300
    scale_in_cooldown_s: int = 300
    scales_in: bool = True

    def __post_init__(self) -> None:
        """Check the target.

        Raises:
            ConfigurationError: It is not positive.
        """
        if not 0 < self.target < float("inf"):
            raise ConfigurationError(f"The target value of a tracking policy is {self.target:g}. Pass more than 0.")

    @property
    def high(self) -> Alarm:
        """The alarm that scales out."""
        return Alarm(self.metric, self.target, period_s=self.period_s, periods=3)

    @property
    def low(self) -> Alarm:
        """The alarm that scales in."""
        return Alarm(self.metric, 0.9 * self.target, above=False, period_s=self.period_s, periods=900 // self.period_s)


@dataclass(frozen=True, slots=True)
class StepPolicy:
    """Step scaling: change the capacity by an amount that depends on how far an alarm's threshold is exceeded.

    Attributes:
        alarm: The alarm.
        steps: Lower bound, upper bound (relative to the threshold; None for none) and adjustment of each step.
        adjustment: How the capacity changes.
        minimum_change: MinAdjustmentMagnitude, for percentages.
        cooldown_s: Seconds until the policy acts again.
        aggregation: How the alarm's datapoints become one value.
    """

    alarm: Alarm
    steps: Sequence[tuple[float | None, float | None, int]]
    adjustment: Literal["ChangeInCapacity", "PercentChangeInCapacity", "ExactCapacity"] = "ChangeInCapacity"
    minimum_change: int = 0
    cooldown_s: int = 300
    aggregation: Literal["Average", "Minimum", "Maximum"] = "Average"


@dataclass(frozen=True, slots=True)
class Schedule:
    """A scheduled action: from a time on, the range of the capacity.

    Attributes:
        expression: ``cron(…)``, ``rate(…)`` or ``at(…)``, as in Application Auto Scaling.
        minimum: Smallest capacity; None keeps it.
        maximum: Largest capacity; None keeps it.
        timezone: IANA name.
    """

    expression: str
    minimum: int | None = None
    maximum: int | None = None
    timezone: str = "UTC"


@dataclass(frozen=True, slots=True)
class Serverless:
    """A serverless endpoint.

    Attributes:
        name: Name in results.
        memory_mb: Memory of a container.
        max_concurrency: Largest number of requests in progress; further ones are throttled.
        provisioned: Provisioned concurrency.
        keep_alive_s: Seconds that an idle container lives. AWS does not document it.
        bills_setup: Whether a cold start is billed. AWS does not document it.
        rounds_up: Whether each duration is rounded up to a millisecond.
    """

    name: str
    memory_mb: int = 2048
    max_concurrency: int = 10
    provisioned: int = 0
    keep_alive_s: float = 300
    bills_setup: bool = False
    rounds_up: bool = True

    def __post_init__(self) -> None:
        """Check the limits of serverless endpoints.

        Raises:
            ConfigurationError: One of them is exceeded.
        """
        if self.memory_mb not in MEMORY_SIZES:
            sizes = ", ".join(map(str, MEMORY_SIZES))
            raise ConfigurationError(
                f"{self.name}: a serverless endpoint has {self.memory_mb} MB. Choose from {sizes}."
            )
        if not 1 <= self.max_concurrency <= _MOST_CONCURRENCY or not 0 <= self.provisioned <= self.max_concurrency:
            raise ConfigurationError(
                f"{self.name}: max_concurrency is {self.max_concurrency} and provisioned concurrency "
                f"{self.provisioned}. Pass 1 to {_MOST_CONCURRENCY}, and no more provisioned than that."
            )


@dataclass(frozen=True, slots=True)
class Instances:
    """An endpoint on instances: real-time, asynchronous or scale-to-zero; or other machines at an hourly price.

    Attributes:
        name: Name in results.
        instance_type: Instance type, such as ``ml.g5.xlarge``.
        minimum: Smallest number of instances.
        maximum: Largest number of instances.
        initial: Number at the start; None for the minimum.
        concurrency: Requests that an instance serves at the same time.
        component: SageMaker's component in the price book.
        longest_wait_s: Seconds after which a waiting request fails; None for queues.
        tracking: Target tracking policies.
        steps: Step scaling policies.
        schedules: Scheduled actions.
        release_s: Seconds from a scale-in until the instance is no longer billed.
        volume_gb: Volume of an instance.
        hourly_price: US dollars per hour instead of the price book's, for machines outside SageMaker.
        metric_delay_s: Seconds from the end of a datapoint to the scaling action: 1 to 2 minutes on AWS.
        launch_failures: Probability that a launch fails for lack of capacity, after ``launch_failure_s``.
        launch_failure_s: Seconds until such a failure.
        bills_startup: Whether an instance is billed from its launch instead of from its first service.
        publishes_zero: Whether invocations per instance are 0 instead of missing in minutes without requests. On AWS
            they are missing, so that an idle endpoint does not scale in by that metric.
    """

    name: str
    instance_type: str
    minimum: int = 1
    maximum: int = 1
    initial: int | None = None
    concurrency: int = 1
    component: Literal["hosting", "async"] = "hosting"
    longest_wait_s: float | None = 60
    tracking: Sequence[TrackingPolicy] = ()
    steps: Sequence[StepPolicy] = ()
    schedules: Sequence[Schedule] = ()
    release_s: float = 0
    volume_gb: int | None = None
    hourly_price: Decimal | None = None
    metric_delay_s: float = 90
    launch_failures: float = 0
    launch_failure_s: float = 1800
    bills_startup: bool = True
    publishes_zero: bool = False

    def __post_init__(self) -> None:
        """Check the capacity and the policies.

        Raises:
            ConfigurationError: The range is empty, or a policy reads a metric that the endpoint does not publish.
        """
        if not 0 <= self.minimum <= self.maximum or self.maximum < 1 or self.concurrency < 1:
            raise ConfigurationError(
                f"{self.name}: capacity {self.minimum} to {self.maximum} with {self.concurrency} requests each. "
                "Pass 0 <= min <= max, with a max and a concurrency of at least 1."
            )
        if not self.minimum <= self.start <= self.maximum:
            raise ConfigurationError(f"{self.name}: {self.start} instances at the start are outside the range.")
        if not 0 <= self.launch_failures < 1:
            raise ConfigurationError(f"{self.name}: launch_failures is {self.launch_failures:g}. Pass 0 to below 1.")
        reads = {policy.metric for policy in self.tracking} | {policy.alarm.metric for policy in self.steps}
        if self.component == "async" and "invocations" in reads:
            raise ConfigurationError(
                f"{self.name}: a policy on InvocationsPerInstance never acts at an asynchronous endpoint, which does "
                "not publish it. Track ApproximateBacklogSizePerInstance."
            )

    @property
    def start(self) -> int:
        """Number of instances at the start."""
        return self.minimum if self.initial is None else self.initial


@dataclass(frozen=True, slots=True)
class Bedrock:
    """A model on Bedrock, on demand.

    Attributes:
        name: Name in results.
        model: Model id, such as ``amazon.titan-embed-text-v2:0``.
        requests_per_minute: Quota; None for none.
        tokens_per_minute: Quota; None for none.
    """

    name: str
    model: str
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None


Configuration = Serverless | Instances | Bedrock


def invocations_tracking(
    target: float, *, scale_out_cooldown_s: int = 300, scale_in_cooldown_s: int = 300
) -> TrackingPolicy:
    """Target tracking of requests per minute and instance."""
    return TrackingPolicy(
        "invocations", target, scale_out_cooldown_s=scale_out_cooldown_s, scale_in_cooldown_s=scale_in_cooldown_s
    )


def backlog_policy(cooldown_s: int, *, metric: Metric = "backlog_without_capacity", periods: int = 2) -> StepPolicy:
    """The policy that adds an instance when requests wait, or fail, without any."""
    alarm = Alarm(metric, 1, inclusive=True, periods=periods)
    return StepPolicy(alarm, [(0, None, 1)], cooldown_s=cooldown_s, aggregation="Maximum")
