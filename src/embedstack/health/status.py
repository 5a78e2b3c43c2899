"""The status: the data behind a page, the JSON output of ``embedstack health`` and its exit code.

{
  "version": 1,
  "checked": "2026-12-01T07:05:00Z",         time of the last check
  "healthy": false,                          whether no target has a problem
  "targets": [
    {
      "name": "alex-embedding-endpoint",
      "kind": "endpoint",                    endpoint, reranker or bedrock
      "state": "unhealthy",                  see embedstack.health.states.State
      "reason": "serves nothing: …",
      "since": "2026-12-01T07:00:00Z",       when this state began
      "checked": "2026-12-01T07:05:00Z",
      "latency_ms": 41.5,                    median of the last good probes, or null
      "failed_share": 1.0,                   of the probes of the last hour
      "throttled_share": 0.0,                of the probes of the last 15 minutes
      "incident": "outage",                  outage, degraded or null
      "incident_since": "2026-12-01T07:00:00Z",
      "acknowledged": false,                 whether a person knows that it is gone
      "notes": ["not checked: …"],
      "actions": [{"at": "…", "action": "wake", "result": "done"}]
    }
  ],
  "events": [
    {"id": "…", "at": "…", "target": "…", "kind": "outage", "state": "…", "reason": "…", "seconds": null}
  ],
  "undelivered": 0,                          events that SNS or CloudWatch did not get yet
  "ledger": {"lost": 0, "degraded": false}   the ledger of costs, or null without one; lost calls are those of all time
}
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from embedstack.health.states import State

if TYPE_CHECKING:
    from embedstack.health.records import Event, Record

__all__ = ["exit_code", "status_document"]

_GOOD = frozenset({State.HEALTHY, State.ASLEEP, State.STARTING, State.NOT_CHECKED})
_RECENT_EVENTS = 50


def status_document(
    records: Mapping[str, "Record"],
    events: Iterable["Event"],
    *,
    checked: float,
    undelivered: int,
    lost_records: int | None = None,
) -> dict[str, Any]:
    """The status as a JSON object.

    Args:
        records: The records by name of the target.
        events: All events, oldest first.
        checked: Time of the last check in seconds since the epoch.
        undelivered: Events that a receiver did not get yet.
        lost_records: Records that the ledger of costs lost, or -1 if it cannot be read; None without a ledger.
    """
    ledger = None if lost_records is None else {"lost": lost_records, "degraded": lost_records != 0}
    return {
        "version": 1,
        "checked": _time(checked),
        "healthy": not any(_has_problem(record) for record in records.values()),
        "targets": [_target(name, record) for name, record in sorted(records.items())],
        "events": [_event(event) for event in list(events)[-_RECENT_EVENTS:]],
        "undelivered": undelivered,
        "ledger": ledger,
    }


def exit_code(status: Mapping[str, Any]) -> int:
    """The exit code for cron.

    Returns:
        0 if nothing has a problem; 1 if a target has one; 2 if no target could be checked; 3 if an event
        could not be delivered.
    """
    if not status["healthy"]:
        return 1
    if status["targets"] and all(target["state"] == State.NOT_CHECKED for target in status["targets"]):
        return 2
    return 3 if status["undelivered"] else 0


def _has_problem(record: "Record") -> bool:
    return record.state not in _GOOD and not record.acknowledged


def _target(name: str, record: "Record") -> dict[str, Any]:
    return {
        "name": name,
        "kind": record.kind,
        "state": record.state,
        "reason": record.reason,
        "since": _time(record.since),
        "checked": _time(record.checked),
        "latency_ms": None if record.milliseconds is None else round(record.milliseconds, 1),
        "failed_share": round(record.failed_share(), 4),
        "throttled_share": round(record.throttled_share(), 4),
        "incident": record.incident,
        "incident_since": _time(record.incident_since) if record.incident else None,
        "acknowledged": record.acknowledged,
        "notes": record.notes,
        "actions": [
            {"at": _time(at), "action": action, "result": result} for at, action, result in record.actions[-10:]
        ],
    }


def _event(event: "Event") -> dict[str, Any]:
    return {
        "id": event.id,
        "at": _time(event.at),
        "target": event.target,
        "kind": event.kind,
        "state": event.state,
        "reason": event.reason,
        "seconds": event.seconds,
    }


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
