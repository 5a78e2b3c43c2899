"""Scalable targets, policies, scheduled actions and scaling activities, by account and region."""

import threading
import uuid
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from embedstack.aws.schedule_expressions import Schedule

__all__ = [
    "Activity",
    "Capacity",
    "Movement",
    "Policy",
    "Region",
    "Registry",
    "ScheduledAction",
    "Target",
    "TargetKey",
]

NAMESPACE = "sagemaker"
INSTANCES = "sagemaker:variant:DesiredInstanceCount"
PROVISIONED_CONCURRENCY = "sagemaker:variant:DesiredProvisionedConcurrency"
COPIES = "sagemaker:inference-component:DesiredCopyCount"
#: SageMaker's scalable dimensions, with the nouns used in scaling activities.
NOUNS = {
    INSTANCES: "desired instance count",
    PROVISIONED_CONCURRENCY: "desired provisioned concurrency",
    COPIES: "desired copy count",
}
#: AWS keeps activities for six weeks.
_MAX_ACTIVITIES = 1000
TARGET_TRACKING = "TargetTrackingScaling"
STEP = "StepScaling"


@dataclass(frozen=True, slots=True)
class TargetKey:
    """The identity of a scalable target within an account and region."""

    resource_id: str
    dimension: str

    def __str__(self) -> str:
        return f"service namespace: {NAMESPACE}, resource ID: {self.resource_id}, scalable dimension: {self.dimension}"

    def members(self) -> dict[str, str]:
        """The API's members that identify it."""
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

    def clamp(self, capacity: int) -> int:
        """The value within the range that is nearest to a capacity."""
        return min(max(capacity, self.low), self.high)


@dataclass(frozen=True, slots=True)
class Movement:
    """A scale-out or scale-in by a policy, which starts its cooldown.

    Attributes:
        base: The capacity before.
        ended: Simulated time of completion; None while in progress.
    """

    base: int
    ended: datetime | None = None


@dataclass(slots=True)
class Policy:
    """A scaling policy.

    Attributes:
        name: Its name, unique within its target.
        arn: Its ARN, which is the action of its alarms.
        kind: TargetTrackingScaling or StepScaling.
        settings: The request's configuration of that kind.
        created: Creation time.
        alarms: Names of the alarms created for it: high, then low; none for a step scaling policy.
        scaled_out: Its last scale-out; None if no cooldown depends on it.
        scaled_in: Its last scale-in; None if no cooldown depends on it.
        proposal: The capacity that it last proposed to scale in to.
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
        expression: The schedule expression of the request.
        timezone: The time zone of the request, or None.
        schedule: The parsed expression.
        created: Creation time.
        low: The MinCapacity that it sets, or None.
        high: The MaxCapacity that it sets, or None.
        start: StartTime, or None.
        end: EndTime, or None.
        due: Time of the next run; None if there is none.
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
        """Plan the next run after a moment: at the start time, then by the schedule until the end time."""
        if self.start is not None and self.start > moment:
            due: datetime | None = self.start
        else:
            due = self.schedule.next_after(moment)
        self.due = None if due is not None and self.end is not None and due > self.end else due


@dataclass(slots=True)
class Activity:
    """A scaling activity.

    Attributes:
        key: The scalable target.
        description: The Description.
        cause: The Cause.
        started: Start time.
        status: A ScalingActivityStatusCode.
        message: The StatusMessage, or None.
        ended: End time; None while it is open.
        not_scaled: NotScaledReasons; empty for an activity that scales.
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
        """Whether it has not ended."""
        return self.status in {"Pending", "InProgress"}

    def end(self, status: str, message: str | None, moment: datetime) -> None:
        """End it with a status."""
        self.status, self.message, self.ended = status, message, moment


@dataclass(slots=True)
class Target:
    """A scalable target with its policies and scheduled actions.

    Attributes:
        key: The resource and its dimension.
        arn: Its ARN.
        role_arn: The service-linked role.
        capacity: The range of its capacity.
        created: Time of registration.
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


@dataclass(slots=True)
class Region:
    """The targets and activities of one account in one region, guarded by the registry's lock."""

    account_id: str
    name: str
    targets: dict[TargetKey, Target] = field(default_factory=dict)
    activities: deque[Activity] = field(default_factory=lambda: deque(maxlen=_MAX_ACTIVITIES))

    def arn(self, service: str, resource: str) -> str:
        """An ARN of this account and region."""
        partition = {"cn": "aws-cn", "us-gov": "aws-us-gov"}.get(self.name.rpartition("-")[0].rpartition("-")[0], "aws")
        return f"arn:{partition}:{service}:{self.name}:{self.account_id}:{resource}"

    def policy_arn(self, key: TargetKey, name: str) -> str:
        """The ARN of a new scaling policy."""
        resource = f"scalingPolicy:{uuid.uuid4()}:resource/sagemaker/{key.resource_id}:policyName/{name}"
        return self.arn("autoscaling", resource)

    def action_arn(self, key: TargetKey, name: str) -> str:
        """The ARN of a new scheduled action."""
        resource = f"scheduledAction:{uuid.uuid4()}:resource/sagemaker/{key.resource_id}:scheduledActionName/{name}"
        return self.arn("autoscaling", resource)

    def policy(self, arn: str) -> tuple[Target, Policy] | None:
        """Find a policy with its target by its ARN."""
        for target in self.targets.values():
            for policy in target.policies.values():
                if policy.arn == arn:
                    return target, policy
        return None

    def planned_actions(self) -> Iterator[tuple[Target, ScheduledAction]]:
        """Every scheduled action that has another run."""
        for target in self.targets.values():
            for action in target.actions.values():
                if action.due is not None:
                    yield target, action


class Registry:
    """Regions by account and name, under one lock."""

    def __init__(self) -> None:
        """Prepare an empty registry."""
        self.lock = threading.RLock()
        self._regions: dict[tuple[str, str], Region] = {}

    def region(self, account_id: str, name: str) -> Region:
        """The targets and activities of an account in a region."""
        with self.lock:
            return self._regions.setdefault((account_id, name), Region(account_id, name))

    def end_open_changes(self, moment: datetime) -> None:
        """End the activities and movements of an earlier local AWS."""
        with self.lock:
            for region in self._regions.values():
                for activity in region.activities:
                    if activity.open:
                        activity.end("Failed", "The local AWS was stopped.", moment)
                for policy in (policy for target in region.targets.values() for policy in target.policies.values()):
                    policy.scaled_out = _ended(policy.scaled_out, moment)
                    policy.scaled_in = _ended(policy.scaled_in, moment)

    def regions(self) -> list[Region]:
        """All regions in use."""
        with self.lock:
            return list(self._regions.values())


def _ended(movement: Movement | None, moment: datetime) -> Movement | None:
    return movement if movement is None or movement.ended is not None else Movement(movement.base, moment)
