"""The document pipeline's dead-letter queue (DLQ): messages that failed, with reasons, to be resent or deleted."""

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from fnmatch import fnmatchcase
from itertools import takewhile
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_plus

from botocore.exceptions import BotoCoreError, ClientError

from embedstack.aws.clients import create_client
from embedstack.aws.errors import translate_error

if TYPE_CHECKING:
    from embedstack.settings.settings import Settings

__all__ = ["DeadLetterMessage", "DeadLetterQueue"]

# Maximum messages in one call of ReceiveMessage or ChangeMessageVisibilityBatch (SQS API Reference).
_BATCH = 10
# How long messages are hidden from other readers, in seconds: enough to read a hundred thousand messages.
_VISIBILITY_TIMEOUT_SECONDS = 900
_NO_DOCUMENT = "a message without a document"


@dataclass(frozen=True, slots=True)
class DeadLetterMessage:
    """A message of the DLQ.

    Attributes:
        id: The SQS message id.
        sources: The S3 objects that the message names, as ``s3://bucket/key``.
        reason: Why the message failed; "failed repeatedly" if SQS moved it after ``maxReceiveCount`` attempts.
        sent: When the message was sent to the DLQ.
        body: The message body, which is resent.
        receipt: The SQS receipt handle, by which the message is deleted.
    """

    id: str
    sources: tuple[str, ...]
    reason: str
    sent: datetime
    body: str
    receipt: str

    def is_about(self, pattern: str) -> bool:
        """Whether an object's address or key equals a pattern or matches it, such as ``*.pdf`` or ``handbook/*``."""
        names = [name for source in self.sources for name in (source, source.split("/", 3)[-1])]
        return any(name == pattern or fnmatchcase(name, pattern) for name in names)

    @property
    def kind(self) -> str:
        """The reason without its sentence: ``DocumentRefused: encrypted``."""
        words = list(takewhile(lambda part: " " not in part, self.reason.split(": ")))
        return ": ".join(words) or self.reason


class DeadLetterQueue:
    """Reads a DLQ, and resends or deletes its messages. Not thread-safe."""

    def __init__(self, settings: "Settings", dlq_url: str, queue_url: str) -> None:
        """Create a client. No request is sent.

        Args:
            settings: Region and credentials.
            dlq_url: The DLQ.
            queue_url: The queue that messages are resent to.
        """
        self._client: Any = create_client("sqs", settings)
        self._dlq_url = dlq_url
        self._queue_url = queue_url
        self._receipts: dict[str, str] = {}
        self._now = datetime.now(UTC)

    def read(self) -> Iterator[DeadLetterMessage]:
        """Each message that is in the DLQ now, once. Resend or delete it while reading: its receipt handle expires.

        Messages are hidden from other readers for 15 minutes. When reading ends, messages that were neither resent nor
        deleted become visible again.

        Raises:
            ConfigurationError: The credentials do not allow reading the DLQ.
            ServiceUnavailable: SQS cannot be reached.
        """
        seen: set[str] = set()
        started: datetime | None = None
        try:
            while received := self._receive():
                started = started or self._now
                messages = [_parse(message) for message in received]
                self._receipts.update((message.id, message.receipt) for message in messages)
                # A message that was resent and failed again is a new message. Reading it too could loop forever.
                new = [message for message in messages if message.id not in seen and message.sent <= started]
                seen.update(message.id for message in new)
                yield from new
        finally:
            self._release()

    def resend(self, message: DeadLetterMessage) -> None:
        """Send a message to the pipeline's queue again and delete it from the DLQ.

        A process that is killed in between leaves it in both queues, which is harmless: ingestion is idempotent.
        """
        try:
            self._client.send_message(QueueUrl=self._queue_url, MessageBody=message.body)
        except (BotoCoreError, ClientError) as error:
            raise translate_error(
                error, "sqs", resource=self._queue_url, region=self._client.meta.region_name
            ) from error
        self.delete(message)

    def delete(self, message: DeadLetterMessage) -> None:
        """Delete a message permanently."""
        try:
            self._client.delete_message(QueueUrl=self._dlq_url, ReceiptHandle=message.receipt)
        except (BotoCoreError, ClientError) as error:
            raise translate_error(error, "sqs", resource=self._dlq_url, region=self._client.meta.region_name) from error
        self._receipts.pop(message.id, None)

    def _release(self) -> None:
        """Make messages visible to other readers. Failures are ignored: the visibility timeout ends anyway."""
        receipts = list(self._receipts.values())
        self._receipts.clear()
        for start in range(0, len(receipts), _BATCH):
            entries = [
                {"Id": str(number), "ReceiptHandle": receipt, "VisibilityTimeout": 0}
                for number, receipt in enumerate(receipts[start : start + _BATCH])
            ]
            with suppress(BotoCoreError, ClientError):
                self._client.change_message_visibility_batch(QueueUrl=self._dlq_url, Entries=entries)

    def _receive(self) -> list[dict[str, Any]]:
        try:
            response = self._client.receive_message(
                QueueUrl=self._dlq_url,
                MaxNumberOfMessages=_BATCH,
                VisibilityTimeout=_VISIBILITY_TIMEOUT_SECONDS,
                WaitTimeSeconds=1,
                MessageAttributeNames=["All"],
                MessageSystemAttributeNames=["SentTimestamp"],
            )
        except (BotoCoreError, ClientError) as error:
            raise translate_error(error, "sqs", resource=self._dlq_url, region=self._client.meta.region_name) from error
        self._now = _response_time(response)
        messages: list[dict[str, Any]] = response.get("Messages", [])
        return messages


def _response_time(response: dict[str, Any]) -> datetime:
    """The time of the SQS server, whose clock dates messages, rounded up to the next second."""
    date = response["ResponseMetadata"].get("HTTPHeaders", {}).get("date")
    return (parsedate_to_datetime(date) if date else datetime.now(UTC)) + timedelta(seconds=1)


def _parse(message: dict[str, Any]) -> DeadLetterMessage:
    attributes = {name: value.get("StringValue", "") for name, value in message.get("MessageAttributes", {}).items()}
    body = message["Body"]
    return DeadLetterMessage(
        id=message["MessageId"],
        sources=_sources(body),
        reason=attributes.get("Reason", "failed repeatedly"),
        sent=datetime.fromtimestamp(int(message["Attributes"]["SentTimestamp"]) / 1000, UTC),
        body=body,
        receipt=message["ReceiptHandle"],
    )


def _sources(body: str) -> tuple[str, ...]:
    """The S3 objects that a message body names: an S3 event notification, or ``{"bucket", "key"}``."""
    try:
        message = json.loads(body)
        if "Records" in message:
            objects = [record["s3"] for record in message["Records"]]
            sources = (f"s3://{s3['bucket']['name']}/{unquote_plus(s3['object']['key'])}" for s3 in objects)
            return tuple(dict.fromkeys(sources))
        return (f"s3://{message['bucket']}/{message['key']}",)
    except (ValueError, KeyError, TypeError):
        return (_NO_DOCUMENT,)
