"""What happened to alarms, as DescribeAlarmHistory tells it."""

import json
import threading
from collections import deque
from dataclasses import dataclass
from datetime import datetime
from typing import Any

#: Entries that are kept. AWS keeps 30 days.
KEPT_ENTRIES = 10_000


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One thing that happened to an alarm."""

    account_id: str
    region: str
    alarm_name: str
    alarm_type: str
    timestamp: datetime
    kind: str
    """``ConfigurationUpdate``, ``StateUpdate`` or ``Action``."""
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
    """The last entries of all alarms; those of a deleted alarm stay, as on AWS."""

    def __init__(self) -> None:
        """Start without entries."""
        self._lock = threading.Lock()
        self._entries: deque[HistoryEntry] = deque(maxlen=KEPT_ENTRIES)

    def add(
        self, account_id: str, region: str, alarm: Any, at: datetime, kind: str, summary: str, data: dict[str, Any]
    ) -> None:
        """Note something about one of moto's alarms."""
        alarm_type = "MetricAlarm" if alarm.rule is None else "CompositeAlarm"
        entry = HistoryEntry(
            account_id, region, alarm.name, alarm_type, at, kind, summary, json.dumps({"version": "1.0", **data})
        )
        with self._lock:
            self._entries.append(entry)

    def entries(self, account_id: str, region: str) -> list[HistoryEntry]:
        """All of an account and region, the latest first."""
        with self._lock:
            return [
                entry for entry in reversed(self._entries) if (entry.account_id, entry.region) == (account_id, region)
            ]
