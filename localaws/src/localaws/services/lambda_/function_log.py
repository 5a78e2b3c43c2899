"""The log of one execution environment: a CloudWatch stream, the metrics in it, and the tail of an invocation."""

import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from localaws.services.logs.log_stream import LogStream

if TYPE_CHECKING:
    from localaws.services.lambda_.metrics import FunctionMetrics
    from localaws.services.lambda_.record import FunctionRecord

__all__ = ["FunctionLog"]

#: LogResult holds "up to 4 KB" of the log (API reference of Invoke).
_TAIL_BYTES = 4096


class FunctionLog:
    """Takes lines, Lambda's and the function's.

    Attributes:
        group: The log group.
        stream: The stream, named by day and version as Lambda's are.
    """

    def __init__(self, function: "FunctionRecord", kept_events: int, metrics: "FunctionMetrics") -> None:
        """Name a stream for a new environment.

        Args:
            function: Whose.
            kept_events: Older lines than so many are dropped.
            metrics: Take what is printed in the embedded metric format.
        """
        self.group = str(function.logging["LogGroup"])
        self.stream = f"{datetime.now(UTC):%Y/%m/%d}/[{function.version}]{uuid.uuid4().hex}"
        self._function = function
        self._metrics = metrics
        self._events = LogStream(function.account_id, function.region, self.group, self.stream, kept_events)
        self._tail = bytearray()

    @property
    def tail(self) -> bytes:
        """The end of what was written since :meth:`begin`."""
        return bytes(self._tail)

    def begin(self) -> None:
        """An invocation begins."""
        self._tail.clear()

    def __call__(self, line: str) -> None:
        """Write a line; an empty one is none."""
        if not line:
            return
        self._events.write(line)
        self._metrics.extract(self._function.account_id, self._function.region, line)
        self._tail += line.encode() + b"\n"
        del self._tail[:-_TAIL_BYTES]
