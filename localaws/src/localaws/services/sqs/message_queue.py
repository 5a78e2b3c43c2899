"""A standard queue that keeps every message exactly until it is deleted, however many send and receive at once.

moto's queue loses messages where one is sent while another is deleted, hands one out twice where two receive at the
same time, and looks through all of its messages for every call.
"""

import copy
import heapq
import itertools
import secrets
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, ClassVar

from moto.sqs.exceptions import InvalidParameterValue, ReceiptHandleIsInvalid
from moto.sqs.models import Message, Queue

if TYPE_CHECKING:
    from localaws.core.clock import SimulatedTime

__all__ = ["MessageQueue"]

#: "Maximum visibility timeout": 12 hours from the first receive (SQS developer guide).
_MAX_VISIBILITY = 43_200
_POLL = 0.5
_COUNTED_SECONDS = 0.1


class MessageQueue(Queue):  # type: ignore[misc]  # moto is untyped
    """A standard queue. Visibility goes by the machine's clock, as what works on messages does."""

    #: By which the age of messages is measured; a subclass per local AWS has it.
    simulated: ClassVar["SimulatedTime"]

    def __init__(self, name: str, region: str, account_id: str, **attributes: Any) -> None:
        """Make an empty queue; arguments as moto's."""
        self._stored: dict[str, Message] = {}
        self._handles: dict[str, Message] = {}
        self._order: list[tuple[float, int, Message]] = []
        self._numbers = itertools.count()
        self._counted, self._counted_until = (0, 0, 0), 0.0
        self.deleted = False
        super().__init__(name, region, account_id, **attributes)

    @property
    def _messages(self) -> list[Message]:
        """What moto's counts go by."""
        return list(self._stored.values())

    @_messages.setter
    def _messages(self, messages: Iterable[Message]) -> None:
        # moto empties a queue like this: when it is made, and when it is purged.
        self._stored = {message.id: message for message in messages}
        self._handles, self._order = {}, []

    def add_message(self, message: Message) -> None:
        """Keep a message; it can be received as soon as its delay is over."""
        with self._messages_lock:
            message.simulated_sent = self.simulated.seconds()
            self._stored[message.id] = message
            self._enter(message, message.delayed_until / 1000)
            self._messages_lock.notify_all()

    def receive(
        self,
        count: int,
        *,
        wait: float = 0,
        visibility: float | None = None,
        cancelled: Callable[[], bool] = bool,
    ) -> list[Message]:
        """Take messages; each is hidden from others for its visibility timeout.

        Args:
            count: How many at most.
            wait: Seconds to wait for the first one.
            visibility: Seconds; None for the queue's.
            cancelled: Ends the wait early.

        Returns:
            Copies, with the receipt handles of this receive.
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
        """Delete a message by the handle of any receive; again is fine."""
        with self._messages_lock:
            if receipt_handle in self.deleted_messages:
                return
            message = self._handles.pop(receipt_handle, None)
            if message is None:
                raise ReceiptHandleIsInvalid
            self._forget(message)

    def change_visibility(self, receipt_handle: str, seconds: int) -> None:
        """Hide a message from now on for so long; 0 shows it."""
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
            self._enter(message, time.time() + seconds)
            self._messages_lock.notify_all()

    def source_of(self, message_id: str) -> str | None:
        """ARN of the queue that a message failed in; None where it was sent here."""
        return getattr(self._stored.get(message_id), "source_queue_arn", None)

    def close(self) -> None:
        """Nobody can wait for messages any longer: the queue is deleted."""
        with self._messages_lock:
            self.deleted = True
            self._messages_lock.notify_all()

    @property
    def approximate_number_of_messages(self) -> int:
        """For moto, which looks at every attribute for every message that is sent: at most a moment old."""
        return self._recent_counts()[0]

    @property
    def approximate_number_of_messages_not_visible(self) -> int:
        """For moto, as above."""
        return self._recent_counts()[1]

    @property
    def approximate_number_of_messages_delayed(self) -> int:
        """For moto, as above."""
        return self._recent_counts()[2]

    def counts(self) -> tuple[int, int, int]:
        """Messages that can be received, that are being worked on, and that are delayed."""
        now = time.time() * 1000
        messages = self._messages_now()
        delayed = sum(1 for message in messages if message.delayed_until > now)
        hidden = sum(1 for message in messages if message.visible_at > now >= message.delayed_until)
        return len(messages) - delayed - hidden, hidden, delayed

    def oldest_age(self) -> float:
        """Simulated seconds since the oldest message was sent, or came here from the queue it failed in."""
        sent = [message.simulated_sent for message in self._messages_now()]
        return max(0.0, self.simulated.seconds() - min(sent)) if sent else 0.0

    def _recent_counts(self) -> tuple[int, int, int]:
        if time.monotonic() > self._counted_until:
            self._counted, self._counted_until = self.counts(), time.monotonic() + _COUNTED_SECONDS
        return self._counted

    def _messages_now(self) -> list[Message]:
        with self._messages_lock:
            return list(self._stored.values())

    def _enter(self, message: Message, at: float) -> None:
        """Let a message be received from a moment on, in seconds since 1970; earlier entries of it are void."""
        message.visible_at = at * 1000
        message.turn = next(self._numbers)
        heapq.heappush(self._order, (at, message.turn, message))

    def _take(self, count: int, hidden: float) -> tuple[list[Message], list[Message]]:
        """Messages to hand out, and those that were handed out too often."""
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
            if self._is_spent(message):
                self._forget(message)
                dead.append(message)
                continue
            message.approximate_receive_count += 1
            message.approximate_first_receive_timestamp = message.approximate_first_receive_timestamp or int(now * 1000)
            message.receipt_handle = secrets.token_urlsafe(96)
            self._handles[message.receipt_handle] = message
            message._old_receipt_handles.append(message.receipt_handle)  # noqa: SLF001 - moto's own list
            self._enter(message, now + hidden)
            taken.append(copy.copy(message))
        return taken, dead

    def _is_spent(self, message: Message) -> bool:
        return (
            self.dead_letter_queue is not None
            and bool(self.redrive_policy)
            and message.approximate_receive_count >= self.redrive_policy["maxReceiveCount"]
        )

    def _forget(self, message: Message) -> None:
        self._stored.pop(message.id, None)
        for handle in message._old_receipt_handles:  # noqa: SLF001 - moto's own list
            self._handles.pop(handle, None)
            self.deleted_messages.add(handle)
        message._old_receipt_handles = []  # noqa: SLF001 - moto's own list
