"""The queues of the document pipeline: what waits; what could not be ingested, why, and the way back."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import takewhile
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_plus

from botocore.exceptions import BotoCoreError, ClientError

from embedstack.aws import create_client, translate_error

if TYPE_CHECKING:
    from embedstack.settings import Settings

__all__ = ["DeadLetter", "DeadLetters", "count_messages"]

# What a call may take and give (SQS: ReceiveMessage).
_PAGE = 10
# How long letters are withheld from others while somebody looks at them, in seconds. Released at the end.
_LOOKED_AT_SECONDS = 120


def count_messages(client: Any, queue_url: str) -> int:
    """Messages that are in a queue, those included that somebody works on; SQS counts approximately.

    Args:
        client: boto3's, of SQS.
        queue_url: The queue.
    """
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    attributes = client.get_queue_attributes(QueueUrl=queue_url, AttributeNames=names)["Attributes"]
    return sum(int(attributes[name]) for name in names)


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that was given up.

    Attributes:
        id: SQS's message id.
        sources: The documents that it is about, as ``s3://bucket/key``.
        reason: Why it was given up; "failed again and again" where SQS moved it after so many attempts.
        sent: When it was first sent.
        body: What to send again.
        receipt: SQS's receipt handle, which deletes or releases it.
    """

    id: str
    sources: tuple[str, ...]
    reason: str
    sent: datetime
    body: str
    receipt: str

    @property
    def kind(self) -> str:
        """The reason without its sentence: ``DocumentRefused: encrypted``."""
        words = list(takewhile(lambda part: " " not in part, self.reason.split(": ")))
        return ": ".join(words) or self.reason


class DeadLetters:
    """Letters of one dead-letter queue, looked at one by one."""

    def __init__(self, settings: "Settings", dlq_url: str, queue_url: str) -> None:
        """Open both queues.

        Args:
            settings: Region and credentials.
            dlq_url: The dead-letter queue.
            queue_url: The queue that letters go back to.
        """
        self._client: Any = create_client("sqs", settings)
        self._dlq_url = dlq_url
        self._queue_url = queue_url

    def read(self) -> Iterator[DeadLetter]:
        """Every letter once. Each is withheld from others for two minutes, or until it is released.

        Raises:
            ConfigurationError: The queue cannot be read with these credentials.
            EndpointUnavailable: AWS cannot be reached.
        """
        seen: set[str] = set()
        while page := self._receive():
            new = [message for message in page if message["MessageId"] not in seen]
            if not new:
                return
            seen.update(message["MessageId"] for message in new)
            yield from map(_letter, new)

    def send_back(self, letter: DeadLetter) -> None:
        """Send a letter to the pipeline once more, and take it out of the dead-letter queue.

        Killed in between, it is in both: the pipeline stores nothing twice.
        """
        try:
            self._client.send_message(QueueUrl=self._queue_url, MessageBody=letter.body)
        except (BotoCoreError, ClientError) as error:
            raise translate_error(error, endpoint=self._queue_url) from error
        self.delete(letter)

    def delete(self, letter: DeadLetter) -> None:
        """Give a letter up for good."""
        try:
            self._client.delete_message(QueueUrl=self._dlq_url, ReceiptHandle=letter.receipt)
        except (BotoCoreError, ClientError) as error:
            raise translate_error(error, endpoint=self._dlq_url) from error

    def release(self, letter: DeadLetter) -> None:
        """Leave a letter where it is, for the next who looks."""
        try:
            self._client.change_message_visibility(
                QueueUrl=self._dlq_url, ReceiptHandle=letter.receipt, VisibilityTimeout=0
            )
        except (BotoCoreError, ClientError) as error:
            raise translate_error(error, endpoint=self._dlq_url) from error

    def _receive(self) -> list[dict[str, Any]]:
        try:
            answer = self._client.receive_message(
                QueueUrl=self._dlq_url,
                MaxNumberOfMessages=_PAGE,
                VisibilityTimeout=_LOOKED_AT_SECONDS,
                WaitTimeSeconds=1,
                MessageAttributeNames=["All"],
                MessageSystemAttributeNames=["SentTimestamp"],
            )
        except (BotoCoreError, ClientError) as error:
            raise translate_error(error, endpoint=self._dlq_url) from error
        messages: list[dict[str, Any]] = answer.get("Messages", [])
        return messages


def _letter(message: dict[str, Any]) -> DeadLetter:
    attributes = {name: value.get("StringValue", "") for name, value in message.get("MessageAttributes", {}).items()}
    body = message["Body"]
    return DeadLetter(
        id=message["MessageId"],
        sources=(attributes["Source"],) if "Source" in attributes else _sources(body),
        reason=attributes.get("Reason", "failed again and again"),
        sent=datetime.fromtimestamp(int(message["Attributes"]["SentTimestamp"]) / 1000, UTC),
        body=body,
        receipt=message["ReceiptHandle"],
    )


def _sources(body: str) -> tuple[str, ...]:
    """The documents that a message names: a notification of S3's, or a message of one's own."""
    try:
        message = json.loads(body)
        if "Records" in message:
            found = [record["s3"] for record in message["Records"]]
            return tuple(f"s3://{s3['bucket']['name']}/{unquote_plus(s3['object']['key'])}" for s3 in found)
        return (f"s3://{message['bucket']}/{message['key']}",)
    except (ValueError, KeyError, TypeError):
        return ("a message that names no document",)
