"""A standard queue that keeps every message until it is deleted, also under concurrent use.

moto's queue loses messages when a send and a delete run concurrently, delivers a message twice to concurrent receives,
and scans all messages on every call.
"""

import copy
import heapq
import secrets
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, ClassVar

from moto.sqs.exceptions import InvalidParameterValue, ReceiptHandleIsInvalid
from moto.sqs.models import Message, Queue, sqs_backends

if TYPE_CHECKING:
    from localaws.core.clock import SimulatedTime

__all__ = ["MessageQueue", "close_queues", "queue_class"]

#: "Maximum visibility timeout": 12 hours from the first receive (SQS developer guide).
_MAX_VISIBILITY = 43_200
_POLL = 0.5
_COUNTED_SECONDS = 0.1


class MessageQueue(Queue):  # type: ignore[misc]  # moto is untyped
    """A standard queue. Visibility timeouts use the machine's clock, like the consumers of messages."""

    #: Clock of the age of messages; set by a subclass per local AWS.
    simulated: ClassVar["SimulatedTime"]

    def __init__(self, name: str, region: str, account_id: str, **attributes: Any) -> None:
        """Create an empty queue; arguments as in moto."""
        self._stored: dict[str, Message] = {}
        self._handles: dict[str, Message] = {}
        self._order: list[tuple[float, int, Message]] = []
        self._turns = 0
        self._counted, self._counted_until = (0, 0, 0), 0.0
        self.deleted = False
        super().__init__(name, region, account_id, **attributes)

    def __getstate__(self) -> dict[str, Any]:
        """Without the cached counts, which end at a moment of this process's clock."""
        return {**vars(self), "_counted_until": 0.0}

    @property
    def _messages(self) -> list[Message]:
        """The messages, for moto."""
        return list(self._stored.values())

    @_messages.setter
    def _messages(self, messages: Iterable[Message]) -> None:
        # moto assigns an empty list when it creates and when it purges a queue.
        self._stored = {message.id: message for message in messages}
        self._handles, self._order = {}, []

    def add_message(self, message: Message) -> None:
        """Add a message, which can be received after its delay."""
        with self._messages_lock:
            message.simulated_sent = self.simulated.now()
            self._stored[message.id] = message
            self._schedule(message, message.delayed_until / 1000)
            self._messages_lock.notify_all()

    def receive(
        self,
        count: int,
        *,
        wait: float = 0,
        visibility: float | None = None,
        cancelled: Callable[[], bool] = bool,
    ) -> list[Message]:
        """Receive messages; each is hidden for its visibility timeout.

        Args:
            count: Maximum number of messages.
            wait: Seconds to wait for the first message.
            visibility: Visibility timeout in seconds; None for the queue's.
            cancelled: Ends the wait early when it returns True.

        Returns:
            Copies of the messages, with the receipt handles of this receive.
        """
        end = time.monotonic() + wait
        hidden = float(self.visibility_timeout if visibility is None else visibility)
        with self._messages_lock:
            while True:
                if self.deleted or cancelled():
                    return []
                taken, dead = self._take(count, hidden)
                left = end - time.monotonic()
                if taken or dead or left <= 0:
                    break
                until_next = self._order[0][0] - time.time() if self._order else _POLL
                self._messages_lock.wait(max(0.001, min(left, until_next, _POLL)))
        for message in dead:
            message.source_queue_arn = self.queue_arn
            if self.dead_letter_queue is not None:
                self.dead_letter_queue.add_message(message)
        if dead and not taken and time.monotonic() < end:
            return self.receive(count, wait=end - time.monotonic(), visibility=visibility, cancelled=cancelled)
        return taken

    def delete_message(self, receipt_handle: str) -> None:
        """Delete a message by the handle of any receive; idempotent."""
        with self._messages_lock:
            if receipt_handle in self.deleted_messages:
                return
            message = self._handles.pop(receipt_handle, None)
            if message is None:
                raise ReceiptHandleIsInvalid
            self._forget(message)

    def change_visibility(self, receipt_handle: str, seconds: int) -> None:
        """Hide a message for a number of seconds from now; 0 makes it visible."""
        with self._messages_lock:
            message = self._handles.get(receipt_handle)
            if message is None or message.id not in self._stored:
                raise ReceiptHandleIsInvalid
            first = (message.approximate_first_receive_timestamp or 0) / 1000
            if time.time() + seconds - first > _MAX_VISIBILITY:
                raise InvalidParameterValue(
                    f"Value {seconds} for parameter VisibilityTimeout is invalid. Reason: Total VisibilityTimeout for "
                    f"the message is beyond the limit [{_MAX_VISIBILITY} seconds]"
                )
            self._schedule(message, time.time() + seconds)
            self._messages_lock.notify_all()

    def source_of(self, message_id: str) -> str | None:
        """ARN of the source queue of a DLQ message; None for a message that was sent to this queue."""
        return getattr(self._stored.get(message_id), "source_queue_arn", None)

    def close(self) -> None:
        """End pending receives, because the queue is deleted."""
        with self._messages_lock:
            self.deleted = True
            self._messages_lock.notify_all()

    @property
    def approximate_number_of_messages(self) -> int:
        """A cached count for moto, which reads every attribute for each message that is sent."""
        return self._recent_counts()[0]

    @property
    def approximate_number_of_messages_not_visible(self) -> int:
        """A cached count for moto."""
        return self._recent_counts()[1]

    @property
    def approximate_number_of_messages_delayed(self) -> int:
        """A cached count for moto."""
        return self._recent_counts()[2]

    def messages_now(self) -> list[Message]:
        """The messages, whether visible or not."""
        with self._messages_lock:
            return list(self._stored.values())

    def counts(self) -> tuple[int, int, int]:
        """Numbers of visible, hidden and delayed messages."""
        now = time.time() * 1000
        messages = self.messages_now()
        delayed = sum(1 for message in messages if message.delayed_until > now)
        hidden = sum(1 for message in messages if message.visible_at > now >= message.delayed_until)
        return len(messages) - delayed - hidden, hidden, delayed

    def oldest_age(self) -> float:
        """Age of the oldest message in simulated seconds, since it was sent or moved to this dead-letter queue."""
        sent_times = [message.simulated_sent for message in self.messages_now()]
        return max(0.0, (self.simulated.now() - min(sent_times)).total_seconds()) if sent_times else 0.0

    def _recent_counts(self) -> tuple[int, int, int]:
        if time.monotonic() > self._counted_until:
            self._counted, self._counted_until = self.counts(), time.monotonic() + _COUNTED_SECONDS
        return self._counted

    def _schedule(self, message: Message, at: float) -> None:
        """Make a message visible at a moment, in seconds since 1970; replaces its earlier schedule."""
        message.visible_at = at * 1000
        self._turns += 1
        message.turn = self._turns
        heapq.heappush(self._order, (at, message.turn, message))

    def _take(self, count: int, hidden: float) -> tuple[list[Message], list[Message]]:
        """Messages to deliver, and messages that reached maxReceiveCount."""
        taken: list[Message] = []
        dead: list[Message] = []
        now = time.time()
        while self._order and self._order[0][0] <= now and len(taken) < count:
            _, turn, message = heapq.heappop(self._order)
            if turn != message.turn or message.id not in self._stored:
                continue
            if message.sent_timestamp / 1000 + self.message_retention_period <= now:
                self._forget(message)
                continue
            if self._is_dead(message):
                self._forget(message)
                dead.append(message)
                continue
            message.approximate_receive_count += 1
            message.approximate_first_receive_timestamp = message.approximate_first_receive_timestamp or int(now * 1000)
            message.receipt_handle = secrets.token_urlsafe(96)
            self._handles[message.receipt_handle] = message
            message._old_receipt_handles.append(message.receipt_handle)  # noqa: SLF001 - moto's list
            self._schedule(message, now + hidden)
            taken.append(copy.copy(message))
        return taken, dead

    def _is_dead(self, message: Message) -> bool:
        return (
            self.dead_letter_queue is not None
            and bool(self.redrive_policy)
            and message.approximate_receive_count >= self.redrive_policy["maxReceiveCount"]
        )

    def _forget(self, message: Message) -> None:
        self._stored.pop(message.id, None)
        for handle in message._old_receipt_handles:  # noqa: SLF001 - moto's list
            self._handles.pop(handle, None)
            self.deleted_messages.add(handle)
        message._old_receipt_handles = []  # noqa: SLF001 - moto's list


def queue_class(simulated: "SimulatedTime") -> type[MessageQueue]:
    """The class of the queues of one local AWS, which carries its clock without a global variable."""
    # moto registers each model class by its package, so the subclass needs the module's name.
    return type("LocalQueue", (MessageQueue,), {"simulated": simulated, "__module__": MessageQueue.__module__})


def close_queues() -> None:
    """End the pending receives of all queues."""
    for _, _, backend in sqs_backends.iter_backends():
        for queue in list(backend.queues.values()):
            if isinstance(queue, MessageQueue):
                queue.close()
