"""The history of alarms, for DescribeAlarmHistory."""

import json
import threading
from collections import deque
from dataclasses import dataclass
from datetime import datetime
from typing import Any

#: Older entries are dropped. AWS keeps entries for 30 days.
_MAX_ENTRIES = 10_000


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One entry; ``kind`` is ``ConfigurationUpdate``, ``StateUpdate`` or ``Action``."""

    account_id: str
    region: str
    alarm_name: str
    alarm_type: str
    timestamp: datetime
    kind: str
    summary: str
    data: str

    def describe(self) -> dict[str, Any]:
        """The API's AlarmHistoryItem."""
        return {
            "AlarmName": self.alarm_name,
            "AlarmType": self.alarm_type,
            "Timestamp": self.timestamp,
            "HistoryItemType": self.kind,
            "HistorySummary": self.summary,
            "HistoryData": self.data,
        }


class AlarmHistory:
    """The latest entries of all alarms, including deleted ones, as on AWS."""

    def __init__(self) -> None:
        """Start without entries."""
        self._lock = threading.Lock()
        self._entries: deque[HistoryEntry] = deque(maxlen=_MAX_ENTRIES)

    def add(
        self, account_id: str, region: str, alarm: Any, at: datetime, kind: str, summary: str, data: dict[str, Any]
    ) -> None:
        """Add an entry for one of moto's alarms."""
        alarm_type = "MetricAlarm" if alarm.rule is None else "CompositeAlarm"
        entry = HistoryEntry(
            account_id, region, alarm.name, alarm_type, at, kind, summary, json.dumps({"version": "1.0", **data})
        )
        with self._lock:
            self._entries.append(entry)

    def entries(self, account_id: str, region: str) -> list[HistoryEntry]:
        """The entries of an account and region, latest first."""
        with self._lock:
            return [
                entry for entry in reversed(self._entries) if (entry.account_id, entry.region) == (account_id, region)
            ]
