"""The memory of a target: what a check means together with the checks before it, and the events that result.

A check sends three probes. If all fail, it sends up to ten, so that a target with 30 % random failures counts as down
in 0.3¹⁰ = 0.0006 % of the checks: one in 588 days at one check in five minutes. An outage ends after three good checks
in a row. Random failures are a state of their own: degraded, from 20 % of the probes of an hour.
"""

import hashlib
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, Self

from embedstack.health.states import Observation, State, Target

__all__ = ["Event", "EventKind", "Incident", "Record"]

EventKind = Literal["outage", "degraded", "recovery", "gone"]
Incident = Literal["outage", "degraded"]

#: Good checks in a row that end an outage or a degradation.
GOOD_CHECKS = 3
#: Failed probes of a check that counts as good during an outage.
_GOOD_FAILURES = 1
_HOUR = 3600.0
_THROTTLE_SECONDS = 900.0
# Share of the probes of an hour from which a target is degraded, and below which it no longer is.
_DEGRADED_SHARE, _RESTORED_SHARE = 0.2, 0.05
_DEGRADED_PROBES = 10
# Share of failed probes of an hour that is an outage, although single probes succeed.
_OUTAGE_SHARE, _OUTAGE_PROBES = 0.8, 20
_MAX_ACTIONS = 50
_OUTAGE_STATES = frozenset({State.UNHEALTHY, State.STUCK})
_DEGRADED_STATES = frozenset({State.DEGRADED, State.THROTTLED, State.CREDENTIALS_EXPIRED})


@dataclass(slots=True)
class Event:
    """Something that a person is told.

    Attributes:
        id: Identifies the event, so that a receiver can drop a repeated notification.
        at: When it happened, in seconds since the epoch.
        target: Name of the endpoint or model.
        kind: ``outage``, ``degraded``, ``recovery`` or ``gone``.
        state: The target's state.
        reason: Why.
        seconds: Duration of the outage or degradation that a recovery ends.
        pending: Receivers that have not got it yet: ``sns``, ``cloudwatch``.
    """

    id: str
    at: float
    target: str
    kind: EventKind
    state: str
    reason: str
    seconds: float | None = None
    pending: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Record:
    """What is remembered of a target.

    Attributes:
        kind: The target's kind.
        state: Its state.
        reason: Why.
        since: When this state began, in seconds since the epoch.
        checked: Time of the last check; 0 before the first.
        incident: The open outage or degradation.
        incident_since: When it began.
        good_checks: Good checks in a row.
        window: Probes of the last hour: time, number, failed number.
        throttles: Probes of the last 15 minutes: time, number, throttled number.
        wrong: Whether each of the last six probes returned wrong vectors.
        last_good_config: Configuration with which the endpoint was healthy.
        acknowledged: Whether a person knows that the target is gone.
        awake_checks: Checks with probes of an endpoint that scales to zero since it woke up.
        waking_since: When it was woken up; None if it was not.
        limit_checked: When the token limit was last probed.
        capture_seen: When data capture last wrote an object.
        actions: Recovery actions: time, action, result.
        milliseconds: Median duration of the last good probes.
        notes: Facts beside the state.
    """

    kind: str
    state: str = State.NOT_CHECKED
    reason: str = "not checked yet"
    since: float = 0.0
    checked: float = 0.0
    incident: Incident | None = None
    incident_since: float = 0.0
    good_checks: int = 0
    window: list[tuple[float, int, int]] = field(default_factory=list)
    throttles: list[tuple[float, int, int]] = field(default_factory=list)
    wrong: list[bool] = field(default_factory=list)
    last_good_config: str | None = None
    acknowledged: bool = False
    awake_checks: int = 0
    waking_since: float | None = None
    limit_checked: float = 0.0
    capture_seen: float | None = None
    actions: list[tuple[float, str, str]] = field(default_factory=list)
    milliseconds: float | None = None
    notes: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, document: dict[str, Any]) -> Self:
        """A record from its JSON object; members of another version are ignored."""
        known = {one.name for one in fields(cls)}
        return cls(**{name: value for name, value in document.items() if name in known})

    def to_json(self) -> dict[str, Any]:
        """The record as a JSON object."""
        return asdict(self)

    def failed_share(self) -> float:
        """Share of the probes of the last hour that failed; 0 without probes."""
        total = sum(number for _, number, _ in self.window)
        return sum(failed for *_, failed in self.window) / total if total else 0.0

    def throttled_share(self) -> float:
        """Share of the probes of the last 15 minutes that were throttled; 0 without probes."""
        total = sum(number for _, number, _ in self.throttles)
        return sum(throttled for *_, throttled in self.throttles) / total if total else 0.0

    def note_action(self, at: float, action: str, result: str) -> None:
        """Remember a recovery action."""
        self.actions = [*self.actions, (at, action, result)][-_MAX_ACTIONS:]

    def actions_since(self, at: float) -> int:
        """The number of recovery actions since a time."""
        return sum(time > at for time, *_ in self.actions)

    def update(self, target: Target, observation: Observation, at: float) -> list[Event]:
        """Add a check.

        Args:
            target: The target.
            observation: What the check observed.
            at: Time of the check in seconds since the epoch. A clock that went backwards counts as standing still.

        Returns:
            The events that result: at most one.
        """
        at = max(at, self.checked)
        self.checked = at
        self._remember(observation, at)
        state, reason = self._judge(observation)
        events = self._open_or_close(target, state, reason, at, failed=observation.count("failed"))
        if self.incident == "outage" and state in (State.HEALTHY, State.DEGRADED):
            # Until it has been good for long enough, the target stays what it was.
            reason = f"recovering: {self.good_checks} of {GOOD_CHECKS} good checks"
            state = State.UNHEALTHY
        elif self.incident == "degraded" and state is State.HEALTHY:
            reason = f"recovering: {self.good_checks} of {GOOD_CHECKS} good checks"
            state = State.DEGRADED
        if state != self.state or not self.since:
            self.since = at
        self.state, self.reason = state, reason
        return events

    def _remember(self, observation: Observation, at: float) -> None:
        total = observation.count("good", "failed", "wrong")
        if total:
            self.window.append((at, total, observation.count("failed", "wrong")))
            self.wrong = [*self.wrong, *(p.verdict == "wrong" for p in observation.probes)][-6:]
        self.window = [entry for entry in self.window if entry[0] > at - _HOUR]
        if observation.probes:
            self.throttles.append((at, len(observation.probes), observation.count("throttled")))
        self.throttles = [entry for entry in self.throttles if entry[0] > at - _THROTTLE_SECONDS]
        if observation.milliseconds is not None:
            self.milliseconds = observation.milliseconds
        self.notes = list(observation.notes)
        if observation.state is State.HEALTHY and observation.config and observation.count("good"):
            self.last_good_config = observation.config
        if observation.state is not State.GONE:
            self.acknowledged = False

    def _judge(self, observation: Observation) -> tuple[State, str]:
        """The state by this check and by the probes of the last hour."""
        if observation.state not in (State.HEALTHY, State.DEGRADED) or self.incident == "outage":
            # The failures before a recovery do not count against it.
            return observation.state, observation.reason
        total = sum(number for _, number, _ in self.window)
        share = self.failed_share()
        summary = f"{share:.0%} of {total} probes in the last hour failed"
        if total >= _OUTAGE_PROBES and share >= _OUTAGE_SHARE:
            return State.UNHEALTHY, f"{summary}. {observation.reason}".rstrip(" .") + "."
        is_degraded = share >= (_RESTORED_SHARE if self.incident == "degraded" else _DEGRADED_SHARE)
        if total >= _DEGRADED_PROBES and is_degraded:
            return State.DEGRADED, f"{summary}. {observation.reason}".rstrip(" .") + "."
        return observation.state, observation.reason

    def _open_or_close(self, target: Target, state: State, reason: str, at: float, *, failed: int) -> list[Event]:
        if state is State.GONE:
            self.good_checks = 0
            is_new = self.state != State.GONE
            self.incident = None
            return [self._event(target, "gone", state, reason, at)] if is_new else []
        serves = state in (State.HEALTHY, State.DEGRADED)
        good = serves and failed <= _GOOD_FAILURES if self.incident == "outage" else state is State.HEALTHY
        self.good_checks = self.good_checks + 1 if good else 0
        if state in _OUTAGE_STATES and self.incident != "outage":
            self.incident, self.incident_since = "outage", at
            return [self._event(target, "outage", state, reason, at)]
        if state in _DEGRADED_STATES and self.incident is None:
            self.incident, self.incident_since = "degraded", at
            return [self._event(target, "degraded", state, reason, at)]
        if self.incident is not None and self.good_checks >= GOOD_CHECKS:
            seconds = at - self.incident_since
            self.incident = None
            # These failures belong to the incident that ends here.
            self.window = []
            reason = f"{GOOD_CHECKS} good checks in a row"
            return [self._event(target, "recovery", state, reason, at, seconds)]
        return []

    @staticmethod
    def _event(
        target: Target, kind: EventKind, state: State, reason: str, at: float, seconds: float | None = None
    ) -> Event:
        identity = hashlib.sha256(f"{target.name}\n{kind}\n{at!r}".encode()).hexdigest()[:16]
        return Event(identity, at, target.name, kind, state.value, reason, seconds, ["sns", "cloudwatch"])
