"""What containers print, as CloudWatch log streams."""

import threading
import time
import uuid
from typing import TYPE_CHECKING

from moto.logs.models import logs_backends

if TYPE_CHECKING:
    from embedstack.localaws.metrics import VariantId


def log_group_name(endpoint: str) -> str:
    """The log group SageMaker gives an endpoint."""
    return f"/aws/sagemaker/Endpoints/{endpoint}"


def log_group_arn(variant: "VariantId") -> str:
    """ARN of the endpoint's log group, as a ModelError reports it."""
    return f"arn:aws:logs:{variant.region}:{variant.account_id}:log-group:{log_group_name(variant.endpoint)}"


def console_link(variant: "VariantId") -> str:
    """The sentence about where the logs are, with which SageMaker ends its error messages."""
    url = f"https://{variant.region}.console.aws.amazon.com/cloudwatch/home?region={variant.region}"
    group = log_group_name(variant.endpoint)
    return f"See {url}#logEventViewer:group={group} in account {variant.account_id} for more information."


class ContainerLog:
    """One container's log stream; the group and the stream appear with the first line, as on AWS."""

    #: moto's log streams are not safe for concurrent writers.
    _lock = threading.Lock()

    def __init__(self, variant: "VariantId", kept_events: int) -> None:
        self._variant = variant
        self._kept_events = kept_events
        self._group = log_group_name(variant.endpoint)
        self._stream = f"{variant.variant}/{uuid.uuid4().hex}"

    def write(self, line: str) -> None:
        """Add one line, stamped now. An empty line is dropped, because CloudWatch refuses empty events."""
        if not line.strip():
            return
        with self._lock:
            backend = logs_backends[self._variant.account_id][self._variant.region]
            backend.ensure_log_group(self._group)
            streams = backend.groups[self._group].streams
            if self._stream not in streams:
                backend.create_log_stream(self._group, self._stream)
            events = [{"timestamp": time.time_ns() // 1_000_000, "message": line}]
            backend.put_log_events(self._group, self._stream, events)
            kept = streams[self._stream].events
            if len(kept) > self._kept_events:
                del kept[: -self._kept_events]
