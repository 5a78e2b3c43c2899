"""A log stream that a process of the local AWS writes to."""

import threading
import time

from moto.logs.models import logs_backends

__all__ = ["LogStream"]


class LogStream:
    """One log stream. As on AWS, group and stream are created with the first line."""

    #: moto's log streams are not safe for concurrent writers.
    _lock = threading.Lock()

    def __init__(self, account_id: str, region: str, group: str, name: str, kept_events: int) -> None:
        """Prepare; nothing is created yet.

        Args:
            account_id: The account.
            region: The region.
            group: The log group.
            name: The stream.
            kept_events: How many of the latest lines are kept.
        """
        self._account_id = account_id
        self._region = region
        self._group = group
        self._name = name
        self._kept_events = kept_events

    def write(self, line: str) -> None:
        """Add one line with the current time. Empty lines are dropped, since CloudWatch rejects empty events."""
        if not line.strip():
            return
        with self._lock:
            backend = logs_backends[self._account_id][self._region]
            backend.ensure_log_group(self._group)
            streams = backend.groups[self._group].streams
            if self._name not in streams:
                backend.create_log_stream(self._group, self._name)
            events = [{"timestamp": time.time_ns() // 1_000_000, "message": line}]
            backend.put_log_events(self._group, self._name, events)
            stored_events = streams[self._name].events
            if len(stored_events) > self._kept_events:
                del stored_events[: -self._kept_events]
