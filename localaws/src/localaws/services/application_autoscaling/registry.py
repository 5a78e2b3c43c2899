"""The scalable targets of every account and region, and the scaling activities of those that were there."""

import threading
import uuid
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from localaws.services.application_autoscaling.records import Activity, Policy, ScheduledAction, Target, TargetKey

__all__ = ["Region", "Registry"]

#: AWS keeps activities for six weeks; what a long test run makes must not grow without end.
_ACTIVITIES = 1000


@dataclass(slots=True)
class Region:
    """What one account has in one region; read and change it under the registry's lock."""

    account_id: str
    name: str
    targets: dict[TargetKey, Target] = field(default_factory=dict)
    activities: deque[Activity] = field(default_factory=lambda: deque(maxlen=_ACTIVITIES))

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
        """A policy by its ARN, with its target."""
        for target in self.targets.values():
            for policy in target.policies.values():
                if policy.arn == arn:
                    return target, policy
        return None

    def due_actions(self) -> Iterator[tuple[Target, ScheduledAction]]:
        """Every scheduled action that will run once more."""
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
        """What an account has in a region."""
        with self.lock:
            return self._regions.setdefault((account_id, name), Region(account_id, name))

    def regions(self) -> list[Region]:
        """Every region that was ever asked for."""
        with self.lock:
            return list(self._regions.values())
