"""Checks one target: its description, probes, and what its log and its captured data say."""

import os
import re
import statistics
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import boto3

from embedstack.calls.clock import Clock, SystemClock
from embedstack.errors import EmbedStackError, EndpointUnavailable
from embedstack.health.endpoints import EndpointFacts, EndpointReader
from embedstack.health.probes import Prober, References, describe_error, open_prober, verdict_of
from embedstack.health.states import Observation, ProbeResult, State, Target

if TYPE_CHECKING:
    from collections.abc import Callable

    from embedstack.health.records import Record
    from embedstack.settings.settings import Settings

__all__ = ["CheckPolicy", "Checker"]

#: Probes of a check, and of one whose probes all fail.
PROBES, CONFIRMATIONS = 3, 10
_ENDING = frozenset({"throttled", "asleep", "expired", "denied", "gone"})
# Usual minutes until an endpoint is in service, by kind of endpoint; the rest is a judgement of how long images and
# models load. Twice that, and it is stuck.
_USUAL_MINUTES = {"serverless": 5, "instance": 10, "async": 10, "component": 10}
_GPU_MINUTES = 15
_GPU = re.compile(r"ml\.(g|p|inf|trn)\d")
_WAKE_SECONDS = 900
# Checks in which an endpoint that scales to zero is probed while it is unhealthy, so that probes end.
_MOST_AWAKE_CHECKS = 12
_LIMIT_SECONDS = 3600
_LOG_SECONDS = 3600
_SERVING = frozenset({"InService", "SystemUpdating", "UpdateRollbackFailed", "RollingBack", "Updating"})
_QUOTAS = {
    "bedrock": "On-demand model inference requests (and tokens) per minute for this model",
    "endpoint": "the endpoint's max_concurrency, or the account's concurrency of serverless endpoints",
}


@dataclass(frozen=True, slots=True)
class CheckPolicy:
    """How targets are checked.

    Attributes:
        latency_ms: Target of the median duration of a probe.
        timeout: Timeout of a probe in seconds.
        pause: Seconds between the probes that confirm an outage.
        seconds: Duration after which a check sends no further probe.
    """

    latency_ms: float = 1000.0
    timeout: float = 30.0
    pause: float = 5.0
    seconds: float = 150.0


class Checker:
    """Checks targets one by one; safe to use from several threads, each with targets of its own."""

    def __init__(
        self,
        settings: "Settings",
        references: References,
        policy: CheckPolicy | None = None,
        *,
        clock: Clock | None = None,
        open_prober: "Callable[[Target, EndpointFacts | None, Settings, References, float], Prober]" = open_prober,
    ) -> None:
        """Prepare.

        Args:
            settings: Region, credentials and models.
            references: Results of earlier probes.
            policy: How targets are checked.
            clock: Waits between probes.
            open_prober: Makes a prober for a target.
        """
        self._settings = settings
        self._references = references
        self._policy = policy or CheckPolicy()
        self._clock = clock or SystemClock()
        self._open_prober = open_prober
        self.reader = EndpointReader(settings)
        # A prober costs clients and connections, and is kept while it fits the endpoint's description.
        self._probers: dict[str, tuple[EndpointFacts | None, Prober]] = {}

    def check(self, target: Target, record: "Record", now: float) -> Observation:
        """Check a target.

        Args:
            target: The target.
            record: Its memory, whose bookkeeping of probes this updates.
            now: Time in seconds since the epoch.
        """
        if target.kind == "bedrock":
            return self._probe(target, None, record, now, ())
        try:
            facts = self.reader.describe(target.name, self._settings.component_of(target.name))
        except EmbedStackError as error:
            return self._undescribed(target, record, now, error)
        observation = self._by_status(target, facts, record, now)
        if observation is None:
            observation = self._probe(target, facts, record, now, self._capture_notes(target, facts, record, now))
        return _with_facts(observation, facts)

    def wake(self, target: Target, record: "Record", now: float) -> None:
        """Send a request to an endpoint that is scaled to zero, which makes SageMaker start an instance.

        Raises:
            EmbedStackError: The request failed in another way than by the missing capacity.
        """
        result = self._prober(target, None).probe()
        record.waking_since = now
        if result.verdict not in ("asleep", "good"):
            raise EndpointUnavailable(result.reason)

    def _undescribed(self, target: Target, record: "Record", now: float, error: EmbedStackError) -> Observation:
        match verdict_of(error):
            case "gone":
                return Observation(State.GONE, describe_error(error))
            case "expired":
                return Observation(State.CREDENTIALS_EXPIRED, self._expiry(error))
        note = f"not checked: status ({describe_error(error)})"
        if self._settings.component_of(target.name) is not None:
            # A probe could keep it awake.
            return Observation(State.NOT_CHECKED, note, notes=(note,))
        return self._probe(target, None, record, now, (note,))

    def _by_status(self, target: Target, facts: EndpointFacts, record: "Record", now: float) -> Observation | None:
        """What the description alone says; None if a probe is needed."""
        if facts.status == "Creating":
            return self._starting(target, facts, now)
        if facts.status == "Deleting":
            return Observation(State.GONE, f"{target.name} is being deleted.")
        if facts.status not in _SERVING:
            return self._failed(target, facts, now)
        if not facts.scales_to_zero:
            return None
        if facts.capacity == 0:
            record.awake_checks = 0
            return _asleep(target, record, now)
        record.waking_since = None
        if facts.kind == "async":
            return Observation(State.HEALTHY, "in service; asynchronous endpoints are not probed")
        if record.awake_checks and (record.incident is None or record.awake_checks >= _MOST_AWAKE_CHECKS):
            return Observation(State.HEALTHY, "awake; probed once after it woke up, since probes would keep it awake")
        record.awake_checks += 1
        return None

    def _starting(self, target: Target, facts: EndpointFacts, now: float) -> Observation:
        usual = _GPU_MINUTES if _GPU.match(facts.instance_type or "") else _USUAL_MINUTES[facts.kind]
        minutes = (now - facts.created) / 60
        if minutes <= 2 * usual:
            return Observation(State.STARTING, f"creating for {minutes:.0f} minutes; usual are {usual}")
        has_log, finding = self.reader.log_findings(target.name, facts, facts.created)
        if has_log:
            cause = f"container restarts{f'; {finding}' if finding else ''}. Read its log."
        elif has_log is None:
            return Observation(
                State.STUCK,
                f"stuck: creating for {minutes:.0f} minutes; usual are {usual}.",
                notes=(f"not checked: {finding}",),
            )
        else:
            cause = (
                "no capacity suspected, since no container has written a log. Wait, or use another instance type than "
                f"{facts.instance_type}."
            )
        return Observation(State.STUCK, f"stuck: creating for {minutes:.0f} minutes; {cause}")

    def _failed(self, target: Target, facts: EndpointFacts, now: float) -> Observation:
        reason = facts.failure_reason or f"its status is {facts.status}"
        has_log, finding = self.reader.log_findings(target.name, facts, now - _LOG_SECONDS)
        notes = (f"not checked: {finding}",) if has_log is None else ()
        if "CannotStartContainer" in reason and has_log is False:
            ami = facts.inference_ami or "the default"
            reason = (
                f"fails below the container: {reason} No container wrote a log, so its host image (InferenceAmiVersion "
                f"{ami}) may be older than the container's CUDA. Redeploy the last good configuration."
            )
        elif finding and has_log:
            reason = f"{reason} ({finding})"
        return Observation(State.UNHEALTHY, f"deployment failed: {reason}", notes=notes)

    def _capture_notes(self, target: Target, facts: EndpointFacts, record: "Record", now: float) -> tuple[str, ...]:
        if facts.capture_uri is None:
            return ()
        try:
            if self.reader.capture_is_writing(target.name, facts, now):
                record.capture_seen = now
                return ()
        except EmbedStackError as error:
            return (f"not checked: data capture ({describe_error(error)})",)
        if record.checked == 0 or (record.capture_seen is None and record.state != State.HEALTHY):
            return ()
        since = "the first check" if record.capture_seen is None else _time(record.capture_seen)
        return (f"data capture silent since {since}: check that the execution role may write to {facts.capture_uri}",)

    def _probe(
        self, target: Target, facts: EndpointFacts | None, record: "Record", now: float, notes: tuple[str, ...]
    ) -> Observation:
        try:
            prober = self._prober(target, facts)
        except EmbedStackError as error:
            probes: tuple[ProbeResult, ...] = (ProbeResult(verdict_of(error), describe_error(error)),)
        else:
            probes = self._send(prober, is_throttled=record.state == State.THROTTLED)
            if probes[-1].verdict == "good" and now - record.limit_checked >= _LIMIT_SECONDS:
                record.limit_checked = now
                notes = (*notes, *filter(None, [prober.probe_limit()]))
        return self._conclude(target, facts, record, probes, notes, now)

    def _prober(self, target: Target, facts: EndpointFacts | None) -> Prober:
        described, prober = self._probers.get(target.name, (None, None))
        if prober is not None and (facts is None or _served(facts) == _served(described)):
            return prober
        if prober is not None:
            prober.close()
        prober = self._open_prober(target, facts, self._settings, self._references, self._policy.timeout)
        self._probers[target.name] = facts, prober
        return prober

    def _send(self, prober: Prober, *, is_throttled: bool) -> tuple[ProbeResult, ...]:
        """Three probes; up to ten while all of them fail. One while the target throttles, so that probes back off."""
        started = self._clock.now()
        probes: list[ProbeResult] = []
        while len(probes) < (1 if is_throttled else PROBES):
            probes.append(prober.probe())
            if probes[-1].verdict in _ENDING:
                return tuple(probes)
        while all(probe.verdict == "failed" for probe in probes) and len(probes) < CONFIRMATIONS:
            if self._clock.now() - started > self._policy.seconds:
                break
            self._clock.sleep(self._policy.pause, threading.Event())
            probes.append(prober.probe())
        return tuple(probes)

    def _conclude(
        self,
        target: Target,
        facts: EndpointFacts | None,
        record: "Record",
        probes: tuple[ProbeResult, ...],
        notes: tuple[str, ...],
        now: float,
    ) -> Observation:
        last, total = probes[-1], len(probes)
        verdicts = [probe.verdict for probe in probes]
        reason = next((probe.reason for probe in reversed(probes) if probe.reason), "")
        match last.verdict:
            case "asleep":
                return Observation(State.ASLEEP, "scaled to zero", probes, notes=notes)
            case "gone":
                return Observation(State.GONE, reason, probes, notes=notes)
            case "denied":
                note = f"not checked: {reason}"
                return Observation(State.NOT_CHECKED, note, probes, notes=(*notes, note))
            case "expired":
                return Observation(State.CREDENTIALS_EXPIRED, self._expiry(None), probes, notes=notes)
            case "throttled":
                return Observation(State.THROTTLED, _throttled_reason(target, record, probes, now), probes, notes=notes)
        durations = [probe.milliseconds for probe in probes if probe.verdict == "good"]
        median = statistics.median(durations) if durations else None
        if "wrong" in verdicts:
            state, reason = State.UNHEALTHY, _wrong_reason(facts, record, probes)
        elif median is None:
            state, reason = State.UNHEALTHY, f"serves nothing: {total} of {total} probes failed; the last: {reason}"
            if facts is not None:
                has_log, finding = self.reader.log_findings(target.name, facts, now - _LOG_SECONDS)
                notes = (*notes, f"not checked: {finding}") if has_log is None else notes
                reason = f"{reason} ({finding})" if has_log and finding else reason
        elif median > self._policy.latency_ms:
            state = State.DEGRADED
            reason = (
                f"slow: the median of {len(durations)} probes is {median:,.0f} ms, the target "
                f"{self._policy.latency_ms:,.0f} ms"
            )
        else:
            state = State.HEALTHY
            failed = verdicts.count("failed")
            reason = f"{failed} of {total} probes failed; the last: {reason}" if failed else ""
        return Observation(state, reason, probes, milliseconds=median, notes=notes)

    def _expiry(self, error: EmbedStackError | None) -> str:
        """When the credentials expired, if anything says so."""
        credentials = boto3.Session(region_name=self._settings.aws_region).get_credentials()
        expiry = getattr(credentials, "_expiry_time", None)
        text = _time(expiry.timestamp()) if expiry is not None else os.environ.get("AWS_CREDENTIAL_EXPIRATION")
        when = f"at {text}" if text else "at an unknown time"
        remedy = describe_error(error) if error is not None else "Renew them."
        return f"the AWS credentials expired {when}. {remedy}"


def _served(facts: EndpointFacts | None) -> tuple[object, ...]:
    """What a prober depends on."""
    return () if facts is None else (facts.config, facts.component, facts.identity)


def _with_facts(observation: Observation, facts: EndpointFacts) -> Observation:
    return Observation(
        observation.state,
        observation.reason,
        observation.probes,
        observation.milliseconds,
        facts.config,
        facts.capacity,
        observation.notes,
    )


def _asleep(target: Target, record: "Record", now: float) -> Observation:
    if record.waking_since is None:
        return Observation(State.ASLEEP, f"{target.name} is scaled to zero; it was not probed")
    minutes = (now - record.waking_since) / 60
    if now - record.waking_since > _WAKE_SECONDS:
        return Observation(
            State.STUCK,
            f"does not wake: it was woken up {minutes:.0f} minutes ago and has no instance. Check its scaling policies "
            "and the capacity of its instance type.",
        )
    return Observation(State.STARTING, f"waking up for {minutes:.0f} minutes; 5 to 10 are usual")


def _throttled_reason(target: Target, record: "Record", probes: tuple[ProbeResult, ...], now: float) -> str:
    entries = [(number, throttled) for at, number, throttled in record.throttles if at > now - 900]
    total = sum(number for number, _ in entries) + len(probes)
    throttled = sum(number for _, number in entries) + 1
    quota = _QUOTAS["bedrock" if target.kind == "bedrock" else "endpoint"]
    return (
        f"{throttled} of {total} probes in 15 minutes were throttled ({throttled / total:.0%}). Send fewer requests, "
        f"or raise the quota: {quota}."
    )


def _wrong_reason(facts: EndpointFacts | None, record: "Record", probes: tuple[ProbeResult, ...]) -> str:
    flags = [*record.wrong, *(probe.verdict == "wrong" for probe in probes)][-6:]
    reason = next(probe.reason for probe in reversed(probes) if probe.verdict == "wrong")
    reason = reason if reason.startswith("wrong ") else f"wrong vectors: {reason}"
    if all(probe.verdict == "wrong" for probe in probes):
        return reason
    if facts is not None and facts.instances > 1 and sum(flags) > 1:
        return f"one of several instances ({facts.instances}): {sum(flags)} of {len(flags)} probes returned {reason}"
    return f"{sum(flags)} of {len(flags)} probes returned {reason}"


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
