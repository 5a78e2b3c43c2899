"""What containers print, as CloudWatch log streams."""

import uuid
from typing import Protocol

from localaws.services.logs.log_stream import LogStream


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


class ContainerLog(LogStream):
    """One container's log stream."""

    def __init__(self, source: LogSource, kept_events: int) -> None:
        """Name a stream for a new container of the source."""
        name = f"{source.log_stream_prefix}/{uuid.uuid4().hex}"
        super().__init__(source.account_id, source.region, source.log_group, name, kept_events)
