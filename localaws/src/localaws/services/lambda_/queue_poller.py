"""The poller of an SQS event source: batches of messages become invocations, and processed messages are deleted.

"Using Lambda with Amazon SQS" and "Handling errors for an SQS event source in Lambda" in the Lambda developer guide.
"""

import json
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from moto.sqs.exceptions import SQSException

from localaws.services.lambda_.pool import Throttled

if TYPE_CHECKING:
    from moto.sqs.models import Message

    from localaws.services.lambda_.invocations import FunctionResult
    from localaws.services.sqs.message_queue import MessageQueue

__all__ = ["PollSettings", "QueuePoller", "failed_items"]

#: Maximum number of messages per receive.
_RECEIVE = 10
#: Maximum payload of an invocation.
_BATCH_BYTES = 6_000_000
_POLL_SECONDS = 1.0
_THROTTLE_WAIT = 0.2

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PollSettings:
    """The settings of an event source mapping.

    Attributes:
        batch_size: Maximum number of messages per invocation.
        window: Batching window in seconds.
        concurrency: Maximum number of concurrent invocations.
        partial_failures: Whether the function reports failed messages.
        region: The queue's region, for the records.
    """

    batch_size: int
    window: float
    concurrency: int
    partial_failures: bool
    region: str


class QueuePoller:
    """Polls one queue for one function, from :meth:`start` to :meth:`close`."""

    def __init__(
        self, queue: "MessageQueue", settings: PollSettings, invoke: Callable[[bytes], "FunctionResult"]
    ) -> None:
        """Prepare.

        Args:
            queue: The queue.
            settings: The settings of the mapping.
            invoke: Runs the function with an event.
        """
        self._queue = queue
        self._settings = settings
        self._invoke = invoke
        self._stopped = threading.Event()
        self._slots = threading.Semaphore(settings.concurrency)
        self._busy: set[threading.Thread] = set()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._poll, name="queue-poller", daemon=True)

    def start(self) -> None:
        """Start polling."""
        self._thread.start()

    def close(self, *, wait: bool = True) -> None:
        """Stop polling; with ``wait``, wait for running batches."""
        self._stopped.set()
        if not wait:
            return
        self._thread.join()
        with self._lock:
            busy = list(self._busy)
        for thread in busy:
            thread.join()

    def _poll(self) -> None:
        while not self._stopped.is_set() and not self._queue.deleted:
            if not self._slots.acquire(timeout=_POLL_SECONDS):
                continue
            try:
                batch = self._gather()
            except Exception:
                _logger.exception("reading queue %s failed", self._queue.name)
                self._stopped.wait(_POLL_SECONDS)
                batch = []
            if not batch:
                self._slots.release()
                continue
            thread = threading.Thread(target=self._work, args=(batch,), name="queue-batch", daemon=True)
            with self._lock:
                self._busy.add(thread)
            thread.start()

    def _gather(self) -> "list[Message]":
        """One batch: the available messages, and those that arrive within the window."""
        batch = self._receive(self._settings.batch_size, _POLL_SECONDS)
        end = time.monotonic() + self._settings.window
        while batch and len(batch) < self._settings.batch_size and not self._stopped.is_set():
            remaining = max(0.0, end - time.monotonic())
            more = self._receive(self._settings.batch_size - len(batch), remaining)
            batch += more
            if (not more and not remaining) or sum(len(message.body) for message in batch) > _BATCH_BYTES:
                break
        return batch

    def _receive(self, count: int, wait: float) -> "list[Message]":
        return self._queue.receive(min(count, _RECEIVE), wait=wait, cancelled=self._stopped.is_set)

    def _work(self, batch: "list[Message]") -> None:
        try:
            self._process(batch)
        except InterruptedError:
            return
        except Exception:
            # The messages become visible again.
            _logger.exception("a batch of queue %s failed", self._queue.name)
        finally:
            self._slots.release()
            with self._lock:
                self._busy.discard(threading.current_thread())

    def _process(self, batch: "list[Message]") -> None:
        event = {"Records": [self._record(message) for message in batch]}
        result = self._invoke_retrying(json.dumps(event, separators=(",", ":")).encode())
        if result is None or result.failed:
            return
        ids = {message.id for message in batch}
        failed = failed_items(result.payload, ids) if self._settings.partial_failures else set()
        for message in batch:
            if failed is not None and message.id not in failed:
                self._delete(message)

    def _invoke_retrying(self, event: bytes) -> "FunctionResult | None":
        """Invoke, with retries while the function is throttled and the messages are hidden; None after that."""
        end = time.monotonic() + float(self._queue.visibility_timeout)
        while True:
            try:
                return self._invoke(event)
            except Throttled:
                if time.monotonic() + _THROTTLE_WAIT >= end or self._stopped.wait(_THROTTLE_WAIT):
                    return None

    def _delete(self, message: "Message") -> None:
        try:
            self._queue.delete_message(message.receipt_handle)
        except SQSException:
            _logger.debug("message %s was deleted already", message.id)

    def _record(self, message: "Message") -> dict[str, Any]:
        """A message as a record of the event ("Example Amazon SQS message event")."""
        attributes = {
            "ApproximateReceiveCount": str(message.approximate_receive_count),
            "SentTimestamp": str(message.sent_timestamp),
            "SenderId": message.sender_id,
            "ApproximateFirstReceiveTimestamp": str(message.approximate_first_receive_timestamp),
        }
        if "AWSTraceHeader" in message.system_attributes:
            attributes["AWSTraceHeader"] = message.system_attributes["AWSTraceHeader"]["StringValue"]
        return {
            "messageId": message.id,
            "receiptHandle": message.receipt_handle,
            "body": message.body,
            "attributes": attributes,
            "messageAttributes": {
                name: _attribute(value) for name, value in (message.message_attributes or {}).items()
            },
            "md5OfBody": message.body_md5,
            "eventSource": "aws:sqs",
            "eventSourceARN": self._queue.queue_arn,
            "awsRegion": self._settings.region,
        }


def failed_items(payload: bytes, ids: set[str]) -> set[str] | None:
    """The messages that a function reports as failed.

    Args:
        payload: The function's return value.
        ids: Message ids of the batch.

    Returns:
        Ids of the failed messages; None if the report is invalid, which fails the whole batch:
        "an invalid JSON response, an empty string itemIdentifier, a null itemIdentifier, an itemIdentifier with a bad
        key name, an itemIdentifier value with a message ID that doesn't exist".
    """
    try:
        report = json.loads(payload or b"null")
    except ValueError:
        return None
    if report is None or report == {}:
        return set()
    if not isinstance(report, dict):
        return None
    failures = report.get("batchItemFailures", [])
    if failures is None:
        return set()
    if not isinstance(failures, list):
        return None
    failed = [str(item.get("itemIdentifier")) if isinstance(item, dict) else "" for item in failures]
    return set(failed) if ids.issuperset(failed) else None


def _attribute(value: dict[str, Any]) -> dict[str, Any]:
    """A message attribute in the format of events."""
    attribute: dict[str, Any] = {"stringListValues": [], "binaryListValues": [], "dataType": value["DataType"]}
    if "StringValue" in value:
        attribute["stringValue"] = value["StringValue"]
    if "BinaryValue" in value:
        binary = value["BinaryValue"]
        attribute["binaryValue"] = binary.decode() if isinstance(binary, bytes) else binary
    return attribute
