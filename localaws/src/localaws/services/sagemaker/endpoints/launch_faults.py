"""Faults on demand in the launch of instances: no capacity, and a container that does not start."""

from dataclasses import dataclass
from typing import Self

__all__ = ["LAUNCH_FAULTS", "LaunchFault"]

# As users quoted it in 2026-08; its beginning is in aws/deep-learning-containers#6673.
_NO_CAPACITY = (
    "Unable to provision requested ML compute capacity due to InsufficientInstanceCapacity error. Please retry using a "
    "different ML instance type or after some time. Consider configuring InstancePools in your EndpointConfig with "
    "multiple instance types for priority-based fallback to improve capacity availability."
)
# From comfyui-on-amazon-sagemaker#2 and other users' reports.
_NOT_STARTED = (
    "CannotStartContainerError. Please ensure the model container for variant {variant} starts correctly when invoked "
    "with 'docker run <image> serve'"
)
#: FailureReason by kind, and the default duration in seconds on the local AWS's clock. Users saw endpoints without
#: capacity fail after about 30 minutes.
LAUNCH_FAULTS: dict[str, tuple[str, float]] = {"capacity": (_NO_CAPACITY, 1800.0), "start": (_NOT_STARTED, 0.0)}


@dataclass(frozen=True, slots=True)
class LaunchFault:
    """A launch that fails.

    Attributes:
        reason: SageMaker's FailureReason.
        seconds: Time until then, on the local AWS's clock.
    """

    reason: str
    seconds: float

    @classmethod
    def of(cls, kind: str, seconds: float | None, variant: str) -> Self:
        """A fault of this kind in a variant; ``seconds`` is None for the default duration."""
        reason, default = LAUNCH_FAULTS[kind]
        return cls(reason.format(variant=variant), default if seconds is None else seconds)
