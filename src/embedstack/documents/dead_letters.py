"""The queues of the document pipeline: what waits; what could not be ingested, why, and the way back."""

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

from embedstack.aws.clients import create_client, translate_error

if TYPE_CHECKING:
    from embedstack.settings.settings import Settings

__all__ = ["DeadLetter", "DeadLetters", "count_messages"]

# What a call may take and give (SQS: ReceiveMessage).
_PAGE = 10
# How long letters are withheld from others while somebody looks at them, in seconds: enough for a hundred thousand.
_LOOKED_AT_SECONDS = 900
_NO_DOCUMENT = "a message that names no document"


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
        receipt: SQS's receipt handle, which deletes it.
    """

    id: str
    sources: tuple[str, ...]
    reason: str
    sent: datetime
    body: str
    receipt: str

    def is_about(self, pattern: str) -> bool:
        """Whether a document's address, or its key alone, is this or matches it, as ``*.pdf`` and ``handbook/*`` do."""
        names = [name for source in self.sources for name in (source, source.split("/", 3)[-1])]
        return any(name == pattern or fnmatchcase(name, pattern) for name in names)

    @property
    def kind(self) -> str:
        """The reason without its sentence: ``DocumentRefused: encrypted``."""
        words = list(takewhile(lambda part: " " not in part, self.reason.split(": ")))
        return ": ".join(words) or self.reason


class DeadLetters:
    """Letters of one dead-letter queue, looked at one by one. For one thread."""

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
        self._held: dict[str, str] = {}
        self._now = datetime.now(UTC)

    def read(self) -> Iterator[DeadLetter]:
        """Every letter once that is there now. Act on each while reading: its receipt is of this look.

        Each is withheld from others for a quarter of an hour, or until the reading ends, when those that were neither
        sent back nor deleted are released.

        Raises:
            ConfigurationError: The queue cannot be read with these credentials.
            EndpointUnavailable: AWS cannot be reached.
        """
        seen: set[str] = set()
        begun: datetime | None = None
        try:
            while messages := self._receive():
                begun = begun or self._now
                letters = [_letter(message) for message in messages]
                self._held.update((letter.id, letter.receipt) for letter in letters)
                # What was sent back and failed again is a letter of its own: it would go round and round.
                new = [letter for letter in letters if letter.id not in seen and letter.sent <= begun]
                seen.update(letter.id for letter in new)
                yield from new
        finally:
            self._release()

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
        self._held.pop(letter.id, None)

    def _release(self) -> None:
        """Leave letters where they are, for the next who looks. What is refused comes back by itself."""
        held = list(self._held.items())
        self._held.clear()
        for start in range(0, len(held), _PAGE):
            entries = [
                {"Id": str(number), "ReceiptHandle": receipt, "VisibilityTimeout": 0}
                for number, (_, receipt) in enumerate(held[start : start + _PAGE])
            ]
            with suppress(BotoCoreError, ClientError):
                self._client.change_message_visibility_batch(QueueUrl=self._dlq_url, Entries=entries)

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
        self._now = _time_of(answer)
        messages: list[dict[str, Any]] = answer.get("Messages", [])
        return messages


def _time_of(answer: dict[str, Any]) -> datetime:
    """SQS's own time, by which letters are dated, to the end of its second."""
    said = answer["ResponseMetadata"].get("HTTPHeaders", {}).get("date")
    return (parsedate_to_datetime(said) if said else datetime.now(UTC)) + timedelta(seconds=1)


def _letter(message: dict[str, Any]) -> DeadLetter:
    attributes = {name: value.get("StringValue", "") for name, value in message.get("MessageAttributes", {}).items()}
    body = message["Body"]
    return DeadLetter(
        id=message["MessageId"],
        sources=_sources(body),
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
            named = (f"s3://{s3['bucket']['name']}/{unquote_plus(s3['object']['key'])}" for s3 in found)
            return tuple(dict.fromkeys(named))
        return (f"s3://{message['bucket']}/{message['key']}",)
    except (ValueError, KeyError, TypeError):
        return (_NO_DOCUMENT,)
