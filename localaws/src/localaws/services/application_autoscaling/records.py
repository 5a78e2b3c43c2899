"""What Application Auto Scaling keeps: scalable targets, policies, scheduled actions and scaling activities."""

import uuid
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from localaws.services.application_autoscaling.schedules import Schedule

__all__ = ["Activity", "Capacity", "Movement", "Policy", "ScheduledAction", "Target", "TargetKey"]

NAMESPACE = "sagemaker"
INSTANCES = "sagemaker:variant:DesiredInstanceCount"
PROVISIONED_CONCURRENCY = "sagemaker:variant:DesiredProvisionedConcurrency"
COPIES = "sagemaker:inference-component:DesiredCopyCount"
#: The dimensions of SageMaker, with what a scaling activity's sentences call each.
NOUNS = {
    INSTANCES: "desired instance count",
    PROVISIONED_CONCURRENCY: "desired provisioned concurrency",
    COPIES: "desired copy count",
}
TARGET_TRACKING = "TargetTrackingScaling"
STEP = "StepScaling"


@dataclass(frozen=True, slots=True)
class TargetKey:
    """What a scalable target is identified by within account and region."""

    resource_id: str
    dimension: str

    def __str__(self) -> str:
        return f"service namespace: {NAMESPACE}, resource ID: {self.resource_id}, scalable dimension: {self.dimension}"

    def members(self) -> dict[str, str]:
        """The members of the API that name it."""
        return {
            "ServiceNamespace": NAMESPACE,
            "ResourceId": self.resource_id,
            "ScalableDimension": self.dimension,
        }


@dataclass(frozen=True, slots=True)
class Capacity:
    """A range of capacity."""

    low: int
    high: int

    def clamp(self, wanted: int) -> int:
        """The capacity within the range that is nearest to the wanted one."""
        return min(max(wanted, self.low), self.high)


@dataclass(frozen=True, slots=True)
class Movement:
    """A scale-out or scale-in by a policy, from which its cooldown counts.

    Attributes:
        base: The capacity before it.
        ended: When it was fulfilled, in simulated time; None while it is not.
    """

    base: int
    ended: datetime | None = None


@dataclass(slots=True)
class Policy:
    """A scaling policy.

    Attributes:
        name: Its name, unique within its target.
        arn: Its ARN, which the alarms have as their action.
        kind: TargetTrackingScaling or StepScaling.
        settings: The request's configuration of that kind.
        created: When it was made.
        alarms: Names of the alarms that were made for it: high, then low; none for a step scaling policy.
        scaled_out: Its last scale-out, unless it is of no more consequence.
        scaled_in: Its last scale-in, likewise.
        proposal: What it wanted to scale in to when its low alarm last said so.
    """

    name: str
    arn: str
    kind: str
    settings: dict[str, Any]
    created: datetime
    alarms: list[str] = field(default_factory=list)
    scaled_out: Movement | None = None
    scaled_in: Movement | None = None
    proposal: int | None = None

    @property
    def tracks(self) -> bool:
        """Whether it is a target tracking policy."""
        return self.kind == TARGET_TRACKING

    @property
    def scales_in(self) -> bool:
        """Whether it is a target tracking policy that may remove capacity."""
        return self.tracks and not self.settings.get("DisableScaleIn")


@dataclass(slots=True)
class ScheduledAction:
    """A scheduled action.

    Attributes:
        name: Its name, unique within its target.
        arn: Its ARN.
        expression: The schedule as it was asked for.
        timezone: The time zone as it was asked for; None for none.
        schedule: Both, read.
        created: When it was made.
        low: The MinCapacity that it sets, or None.
        high: The MaxCapacity that it sets, or None.
        start: StartTime, or None.
        end: EndTime, or None.
        due: When it runs next; None when never again.
    """

    name: str
    arn: str
    expression: str
    timezone: str | None
    schedule: Schedule
    created: datetime
    low: int | None
    high: int | None
    start: datetime | None
    end: datetime | None
    due: datetime | None = None

    def plan_after(self, moment: datetime) -> None:
        """Work out when it runs next: at its start, then as its schedule says, until its end."""
        if self.start is not None and self.start > moment:
            due: datetime | None = self.start
        else:
            due = self.schedule.next_after(moment)
        self.due = None if due is not None and self.end is not None and due > self.end else due


@dataclass(slots=True)
class Activity:
    """A scaling activity, as DescribeScalingActivities shows it.

    Attributes:
        key: Whose.
        description: What it does.
        cause: Why.
        started: When.
        status: A ScalingActivityStatusCode.
        message: The StatusMessage, or None.
        ended: When it came to an end; None while it has not.
        not_scaled: NotScaledReasons; none for an activity that scales.
    """

    key: TargetKey
    description: str
    cause: str
    started: datetime
    status: str = "Pending"
    message: str | None = None
    ended: datetime | None = None
    not_scaled: list[dict[str, Any]] = field(default_factory=list)
    id: str = field(default_factory=lambda: str(uuid.uuid4()))

    @property
    def open(self) -> bool:
        """Whether it has not come to an end."""
        return self.status in {"Pending", "InProgress"}

    def end(self, status: str, message: str | None, moment: datetime) -> None:
        """Bring it to an end."""
        self.status, self.message, self.ended = status, message, moment


@dataclass(slots=True)
class Target:
    """A scalable target with all that is defined for it.

    Attributes:
        key: What is scaled.
        arn: Its ARN.
        role_arn: The service-linked role.
        capacity: The range that it is kept in.
        created: When it was registered.
        suspended: The three members of SuspendedState.
        tags: Its tags.
        policies: Its policies by name.
        actions: Its scheduled actions by name.
    """

    key: TargetKey
    arn: str
    role_arn: str
    capacity: Capacity
    created: datetime
    suspended: dict[str, bool]
    tags: dict[str, str]
    policies: dict[str, Policy] = field(default_factory=dict)
    actions: dict[str, ScheduledAction] = field(default_factory=dict)
