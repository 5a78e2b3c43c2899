"""Log streams of containers."""

import uuid
from typing import Protocol

from localaws.services.logs.log_stream import LogStream


class LogSource(Protocol):
    """Something with containers that write logs."""

    @property
    def account_id(self) -> str:
        """The account."""

    @property
    def region(self) -> str:
        """The region."""

    @property
    def log_group(self) -> str:
        """The log group."""

    @property
    def log_stream_prefix(self) -> str:
        """The prefix of the names of the containers' log streams."""


def log_group_arn(source: LogSource) -> str:
    """ARN of the log group, as in a ModelError."""
    return f"arn:aws:logs:{source.region}:{source.account_id}:log-group:{source.log_group}"


def console_link(source: LogSource) -> str:
    """The last sentence of SageMaker's error messages, with a link to the logs."""
    url = f"https://{source.region}.console.aws.amazon.com/cloudwatch/home?region={source.region}"
    return f"See {url}#logEventViewer:group={source.log_group} in account {source.account_id} for more information."


class ContainerLog(LogStream):
    """The log stream of one container."""

    def __init__(self, source: LogSource, kept_events: int) -> None:
        """Create a stream for a new container of the source."""
        name = f"{source.log_stream_prefix}/{uuid.uuid4().hex}"
        super().__init__(source.account_id, source.region, source.log_group, name, kept_events)
