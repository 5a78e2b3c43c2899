"""The states of a target, and what one check of it observed."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

__all__ = ["Observation", "ProbeResult", "State", "Target", "TargetKind", "Verdict"]

TargetKind = Literal["endpoint", "reranker", "bedrock"]
#: How a probe ended. ``wrong``: the response is not valid, or differs from the reference.
Verdict = Literal["good", "failed", "wrong", "throttled", "asleep", "expired", "denied", "gone"]


class State(StrEnum):
    """The state of a target.

    Attributes:
        HEALTHY: Serves correct vectors within the latency target.
        DEGRADED: Serves, but slowly, or at least 20 % of the probes of the last hour failed.
        STARTING: Is being created.
        STUCK: Has been starting or waking up for longer than its type needs.
        ASLEEP: Scaled to zero.
        THROTTLED: Rejects probes because of too many requests.
        CREDENTIALS_EXPIRED: The monitor's credentials have expired.
        UNHEALTHY: Serves nothing, or wrong vectors.
        GONE: Does not exist.
        NOT_CHECKED: The monitor lacks a permission.
    """

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    STARTING = "starting"
    STUCK = "stuck"
    ASLEEP = "asleep"
    THROTTLED = "throttled"
    CREDENTIALS_EXPIRED = "credentials expired"
    UNHEALTHY = "unhealthy"
    GONE = "gone"
    NOT_CHECKED = "not checked"


@dataclass(frozen=True, slots=True)
class Target:
    """What is checked.

    Attributes:
        kind: ``endpoint`` embeds, ``reranker`` is an endpoint that scores, ``bedrock`` is an embedding model.
        name: Name of the endpoint, or Bedrock's id of the model.
    """

    kind: TargetKind
    name: str


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """One probe.

    Attributes:
        verdict: How it ended.
        reason: Why it was not good; empty for a good one.
        milliseconds: Its duration.
    """

    verdict: Verdict
    reason: str = ""
    milliseconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Observation:
    """What one check of a target observed.

    Attributes:
        state: The state by this check alone; :mod:`embedstack.health.records` adds the history.
        reason: Why, with what to do.
        probes: The probes, in order.
        milliseconds: Median duration of the good probes; None without any.
        config: Endpoint configuration in use; None for Bedrock.
        capacity: Running instances or copies; None if serverless or unknown.
        notes: Facts beside the state: what was not checked and why, data capture that is silent.
    """

    state: State
    reason: str
    probes: tuple[ProbeResult, ...] = ()
    milliseconds: float | None = None
    config: str | None = None
    capacity: int | None = None
    notes: tuple[str, ...] = field(default=())

    def count(self, *verdicts: Verdict) -> int:
        """How many probes ended in one of these ways."""
        return sum(probe.verdict in verdicts for probe in self.probes)
