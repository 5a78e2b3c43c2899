"""The monitor: checks every target, remembers, notifies and recovers."""

import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any

from embedstack.costs.ledger import Ledger, open_ledger
from embedstack.errors import ConfigurationError, EmbedStackError, StoreUnavailable
from embedstack.health.checks import Checker, CheckPolicy
from embedstack.health.notifications import Notifier
from embedstack.health.records import Event, Record
from embedstack.health.recovery import Recovery
from embedstack.health.states import Observation, Target
from embedstack.health.status import status_document
from embedstack.health.storage import Storage, StoredReferences, append_history, open_storage
from embedstack.settings.settings import load_settings

if TYPE_CHECKING:
    from embedstack.resilience import CircuitBreaker
    from embedstack.settings.settings import Settings

__all__ = ["HealthMonitor", "configured_targets", "load_monitor"]

_logger = logging.getLogger(__name__)

_STATE = "state.json"
_CONCURRENCY = 8
_MAX_EVENTS = 1000


class HealthMonitor:
    """Checks targets and keeps their records in a storage. One monitor writes a storage at a time."""

    def __init__(
        self,
        targets: Sequence[Target],
        checker: Checker,
        storage: Storage,
        notifier: Notifier,
        recovery: Recovery,
        *,
        references: StoredReferences | None = None,
        now: Callable[[], float] = time.time,
        lost_records: Callable[[], int] | None = None,
    ) -> None:
        """Prepare; the state of earlier checks is read by each check.

        Args:
            targets: What is checked.
            checker: Checks a target.
            storage: Keeps state and history.
            notifier: Sends events and figures.
            recovery: Runs recovery actions.
            references: Saved after each check.
            now: Seconds since the epoch.
            lost_records: Number of records that the ledger of costs lost, or -1 if it cannot be read; None without a
                ledger.
        """
        self._targets = {target.name: target for target in targets}
        self._checker = checker
        self._storage = storage
        self._notifier = notifier
        self._recovery = recovery
        self._references = references
        self._now = now
        self._lost_records = lost_records
        self._records: dict[str, Record] = {}
        self._events: list[Event] = []

    def run(self) -> dict[str, Any]:
        """Check every target once, and send what is due.

        Returns:
            The status; see :mod:`embedstack.health.status`.

        Raises:
            ConfigurationError: The stored state is damaged.
            EmbedStackError: The state cannot be read, or not written; then events were sent nevertheless.
        """
        self._records, self._events = _read_state(self._storage)
        at = self._now()
        records = {name: self._record(target) for name, target in self._targets.items()}
        with ThreadPoolExecutor(min(_CONCURRENCY, max(1, len(records)))) as executor:
            observations = dict(
                zip(
                    self._targets,
                    executor.map(
                        lambda target: self._observe(target, records[target.name], at), self._targets.values()
                    ),
                    strict=True,
                )
            )
        for name, observation in observations.items():
            self._events += records[name].update(self._targets[name], observation, at)
            self._recovery.act(self._targets[name], records[name], observation, at)
        self._events = [*(event for event in self._events if event.pending), *self._events[-_MAX_EVENTS:]]
        self._events = sorted({event.id: event for event in self._events}.values(), key=lambda event: event.at)
        # Before sending, so that an event survives a monitor that is killed.
        problem = self._save()
        due = [event for event in self._events if event.pending]
        undelivered = self._notifier.deliver(due)
        self._notifier.publish_figures(records, at)
        if due:
            problem = self._save()
        self._append_history(observations, at)
        if problem is not None:
            raise problem
        return self.status(undelivered)

    def status(self, undelivered: int | None = None) -> dict[str, Any]:
        """The status of the last check, also of another monitor with the same storage.

        Args:
            undelivered: Events that a receiver did not get; None reads the state and counts those that are due.
        """
        if undelivered is None:
            self._records, self._events = _read_state(self._storage)
            undelivered = sum(bool(event.pending) for event in self._events)
        records = {name: record for name, record in self._records.items() if name in self._targets}
        return status_document(
            records,
            self._events,
            checked=max((record.checked for record in records.values()), default=0.0),
            undelivered=undelivered,
            lost_records=None if self._lost_records is None else self._lost_records(),
        )

    def acknowledge(self, name: str) -> None:
        """Take note that a target is gone, so that it is no longer a problem.

        Raises:
            ConfigurationError: The target is unknown, or not gone.
        """
        self._records, self._events = _read_state(self._storage)
        record = self._records.get(name)
        if record is None or record.state != "gone":
            state = "unknown to this monitor" if record is None else record.state
            raise ConfigurationError(f"{name} is {state}, not gone. Only a target that is gone can be acknowledged.")
        record.acknowledged = True
        problem = self._save()
        if problem is not None:
            raise problem

    def _record(self, target: Target) -> Record:
        return self._records.setdefault(target.name, Record(target.kind))

    def _observe(self, target: Target, record: Record, at: float) -> Observation:
        return self._checker.check(target, record, at)

    def _save(self) -> EmbedStackError | None:
        """Write the state; the error if that fails."""
        document = {
            "version": 1,
            "records": {name: record.to_json() for name, record in self._records.items()},
            "events": [asdict(event) for event in self._events],
        }
        try:
            self._storage.write(_STATE, json.dumps(document).encode())
            if self._references is not None:
                self._references.save()
        except EmbedStackError as error:
            _logger.warning("The health state was not written: %s", error)
            return error
        return None

    def _append_history(self, observations: Mapping[str, Observation], at: float) -> None:
        lines = [
            {
                "at": at,
                "target": name,
                "state": self._records[name].state,
                "reason": self._records[name].reason,
                "probes": len(observation.probes),
                "failed": observation.count("failed", "wrong"),
                "throttled": observation.count("throttled"),
                "latency_ms": observation.milliseconds,
            }
            for name, observation in observations.items()
        ]
        try:
            append_history(self._storage, at, lines)
        except EmbedStackError as error:
            _logger.warning("The health history was not written: %s", error)


def configured_targets(settings: "Settings", names: Sequence[str] = ()) -> list[Target]:
    """The targets of the settings.

    Args:
        settings: HEALTH_ENDPOINTS, HEALTH_RERANKERS and HEALTH_BEDROCK_MODELS.
        names: Check only these; one that the settings do not name is an endpoint.

    Raises:
        ConfigurationError: There is nothing to check.
    """
    targets = [Target(kind, name) for kind, listed in settings.health_targets.items() for name in listed]
    if names:
        known = {target.name: target for target in targets}
        targets = [known.get(name, Target("endpoint", name)) for name in names]
    if not targets:
        raise ConfigurationError(
            "There is nothing to check: set HEALTH_ENDPOINTS, HEALTH_BEDROCK_MODELS or SAGEMAKER_ENDPOINT, or pass "
            "--endpoint."
        )
    return targets


def load_monitor(
    settings: "Settings | None" = None,
    *,
    endpoints: Sequence[str] = (),
    breakers: "Mapping[str, CircuitBreaker] | None" = None,
    now: Callable[[], float] = time.time,
) -> HealthMonitor:
    """The monitor that the settings describe.

    Args:
        settings: Configuration; read from the environment by default.
        endpoints: Check only these endpoints or models.
        breakers: Circuit breakers of this process by name of the target, to be opened and closed.
        now: Seconds since the epoch.

    Raises:
        ConfigurationError: A setting is missing or invalid.
    """
    settings = settings or load_settings()
    targets = configured_targets(settings, endpoints)
    storage = open_storage(settings)
    references = StoredReferences(storage)
    policy = CheckPolicy(latency_ms=settings.health_latency_ms, timeout=settings.health_timeout_seconds)
    checker = Checker(settings, references, policy)
    recovery = Recovery(
        checker,
        actions=settings.recovery_actions,
        per_hour=settings.health_actions_per_hour,
        breakers=breakers,
    )
    ledger = open_ledger(settings)
    return HealthMonitor(
        targets, checker, storage, Notifier(settings), recovery, references=references, now=now,
        lost_records=None if ledger is None else partial(_lost_records, ledger),
    )  # fmt: skip


def _lost_records(ledger: Ledger) -> int:
    try:
        return ledger.lost()
    except StoreUnavailable as error:
        _logger.warning("The ledger of costs cannot be read: %s", error)
        return -1


def _read_state(storage: Storage) -> tuple[dict[str, Record], list[Event]]:
    content = storage.read(_STATE)
    if content is None:
        return {}, []
    try:
        document = json.loads(content)
        records = {name: Record.of(record) for name, record in document["records"].items()}
        return records, [Event(**event) for event in document["events"]]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ConfigurationError(
            f"The health state ({_STATE} in HEALTH_STATE) is damaged: {error}. Restore an older version, or delete it "
            "to begin without history."
        ) from error
