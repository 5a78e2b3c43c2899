"""What containers print, as CloudWatch log streams."""

import threading
import time
import uuid
from typing import Protocol

from moto.logs.models import logs_backends


class LogSource(Protocol):
    """Something whose containers print."""

    @property
    def account_id(self) -> str:
        """Whose."""

    @property
    def region(self) -> str:
        """Where."""

    @property
    def log_group(self) -> str:
        """The log group that SageMaker gives it."""

    @property
    def log_stream_prefix(self) -> str:
        """What the name of each container's log stream begins with."""


def log_group_arn(source: LogSource) -> str:
    """ARN of the log group, as a ModelError reports it."""
    return f"arn:aws:logs:{source.region}:{source.account_id}:log-group:{source.log_group}"


def console_link(source: LogSource) -> str:
    """The sentence about where the logs are, with which SageMaker ends its error messages."""
    url = f"https://{source.region}.console.aws.amazon.com/cloudwatch/home?region={source.region}"
    return f"See {url}#logEventViewer:group={source.log_group} in account {source.account_id} for more information."


class LogStream:
    """One log stream; the group and the stream appear with the first line, as on AWS."""

    #: moto's log streams are not safe for concurrent writers.
    _lock = threading.Lock()

    def __init__(self, account_id: str, region: str, group: str, name: str, kept_events: int) -> None:
        """Prepare.

        Args:
            account_id: Whose.
            region: Where.
            group: The log group.
            name: The stream.
            kept_events: Older lines than so many are dropped.
        """
        self._account_id = account_id
        self._region = region
        self._group = group
        self._name = name
        self._kept_events = kept_events

    def write(self, line: str) -> None:
        """Add one line, stamped now. An empty line is dropped, because CloudWatch refuses empty events."""
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
            kept = streams[self._name].events
            if len(kept) > self._kept_events:
                del kept[: -self._kept_events]


class ContainerLog(LogStream):
    """One container's log stream."""

    def __init__(self, source: LogSource, kept_events: int) -> None:
        """Name a stream for a new container of the source."""
        name = f"{source.log_stream_prefix}/{uuid.uuid4().hex}"
        super().__init__(source.account_id, source.region, source.log_group, name, kept_events)
