"""Message move tasks: everything in a dead-letter queue goes back to where it failed."""

import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from moto.sqs.exceptions import SQSException

from localaws.services.sqs.message_queue import MessageQueue

__all__ = ["MessageMoves", "MoveTask"]


@dataclass(frozen=True, slots=True)
class MoveTask:
    """One task, finished: there is nothing to wait for on this machine.

    Attributes:
        source: ARN of the dead-letter queue.
        destination: ARN of the queue that was named; None where messages went back to where they came from.
        moved: Messages moved.
        started: Milliseconds since 1970.
    """

    source: str
    destination: str | None
    moved: int
    started: int = field(default_factory=lambda: int(time.time() * 1000))

    def describe(self) -> dict[str, Any]:
        """As ListMessageMoveTasks has it; a finished task has no handle."""
        described: dict[str, Any] = {
            "Status": "COMPLETED",
            "SourceArn": self.source,
            "ApproximateNumberOfMessagesMoved": self.moved,
            "ApproximateNumberOfMessagesToMove": self.moved,
            "StartedTimestamp": self.started,
        }
        if self.destination:
            described["DestinationArn"] = self.destination
        return described


class MessageMoves:
    """The tasks of a local AWS."""

    def __init__(self) -> None:
        """Start without tasks."""
        self._tasks: list[MoveTask] = []

    def start(self, queues: Mapping[str, Any], source_arn: str, destination_arn: str | None) -> str:
        """Move everything that can be received now.

        Returns:
            The task's handle.

        Raises:
            SQSException: A queue is not there, or the source is no dead-letter queue.
        """
        by_arn = {queue.queue_arn: queue for queue in queues.values()}
        source = by_arn.get(source_arn)
        if not isinstance(source, MessageQueue) or (destination_arn and destination_arn not in by_arn):
            raise SQSException(
                "ResourceNotFoundException",
                "The resource that you specified for the SourceArn parameter doesn't exist.",
            )
        if not any(queue.dead_letter_queue is source for queue in queues.values()):
            raise SQSException("InvalidParameterValue", "Source queue must be configured as a Dead Letter Queue.")
        moved = 0
        for message, origin in source.take_all():
            target = by_arn.get(destination_arn or origin or "")
            if target is None:
                source.add_message(message)
                continue
            # A moved message is a new one: "messages are assigned a new messageID and enqueueTime" (SQS developer
            # guide, "Learn how to configure a dead-letter queue redrive").
            message.id = str(uuid.uuid4())
            message.approximate_receive_count = 0
            message.approximate_first_receive_timestamp = None
            message.delayed_until = 0.0
            message.mark_sent()
            target.add_message(message)
            moved += 1
        self._tasks.insert(0, MoveTask(source_arn, destination_arn, moved))
        return str(uuid.uuid4())

    def tasks(self, source_arn: str) -> list[MoveTask]:
        """The tasks of a dead-letter queue, the latest first."""
        return [task for task in self._tasks if task.source == source_arn]
