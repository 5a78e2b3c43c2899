"""The queue that documents come from, and the one where those end that cannot be read."""

import json
import random
import re
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from embedstack.aws.clients import AwsClient
from embedstack.errors import EmbedStackError
from handling.telemetry import tell

if TYPE_CHECKING:
    from embedstack.settings.settings import Settings
    from handling.messages import DocumentMessage

__all__ = ["QueueUnavailable", "Queues", "describe_failure"]

# What SQS takes in a message: no other control characters, and no halves of surrogate pairs.
_NOT_TAKEN = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_REASON_CHARACTERS = 1000
_SOURCE_CHARACTERS = 1024
# Waits before a message comes again: doubling from here, drawn between half and all of it, as long as a function runs
# at most.
_FIRST_DELAY_SECONDS = 15
_LONGEST_DELAY_SECONDS = 900


class QueueUnavailable(EmbedStackError):
    """A message could not be sent."""

    retryable_by_default = True


class Queues:
    """Sends to the function's own queue and to its dead-letter queue."""

    def __init__(self, settings: "Settings", queue_url: str | None, dead_letter_url: str | None) -> None:
        """Make a client; nothing is called yet.

        Args:
            settings: Where AWS is.
            queue_url: The queue that the function reads; None where it has none, and nothing can be continued.
            dead_letter_url: Where documents end that cannot be read; None leaves that to the queue's redrive policy.
        """
        self._client = AwsClient("sqs", settings, max_connections=2)
        self._queue_url = queue_url
        self._dead_letter_url = dead_letter_url
        self._most_receives: int | None = None

    @property
    def can_continue(self) -> bool:
        """Whether there is a queue to continue on."""
        return self._queue_url is not None

    @property
    def has_dead_letters(self) -> bool:
        """Whether there is a queue for documents that cannot be read."""
        return self._dead_letter_url is not None

    def send_on(self, message: "DocumentMessage") -> None:
        """Have another invocation go on with a document.

        Raises:
            QueueUnavailable: SQS did not take the message.
        """
        self._call("send_message", QueueUrl=self._queue_url, MessageBody=message.to_json())

    def bury(self, body: str, reason: str, source: str) -> None:
        """Put what cannot be read where a person finds it.

        Args:
            body: The message, so that it can be sent back as it is.
            reason: Why; attribute ``Reason``.
            source: Which document; attribute ``Source``.

        Raises:
            QueueUnavailable: SQS did not take it.
        """
        attributes = {"Reason": reason[:_REASON_CHARACTERS], "Source": source[:_SOURCE_CHARACTERS]}
        self._call(
            "send_message",
            QueueUrl=self._dead_letter_url,
            MessageBody=_NOT_TAKEN.sub("\ufffd", body),
            MessageAttributes={
                name: {"DataType": "String", "StringValue": _NOT_TAKEN.sub("\ufffd", value) or "-"}
                for name, value in attributes.items()
            },
        )

    def is_last_attempt(self, receives: int) -> bool:
        """Whether SQS would move a message to the dead-letter queue, without a reason, when it fails once more.

        Args:
            receives: How often it was received.
        """
        self._most_receives = self._most_receives or self._read_most_receives()
        return self._most_receives is not None and receives >= self._most_receives

    def delay(self, receipt_handle: str, receives: int) -> None:
        """Have a message that failed come again after a while, not after the queue's long visibility timeout.

        It comes in any case: a refusal changes nothing.
        """
        if self._queue_url is None:
            return
        longest = min(_LONGEST_DELAY_SECONDS, _FIRST_DELAY_SECONDS * 2 ** min(receives - 1, 10))
        seconds = random.randint(longest // 2, longest)  # noqa: S311 - spreads load, hides nothing
        try:
            self._call(
                "change_message_visibility",
                QueueUrl=self._queue_url,
                ReceiptHandle=receipt_handle,
                VisibilityTimeout=seconds,
            )
        except QueueUnavailable:
            return

    def _read_most_receives(self) -> int | None:
        """``maxReceiveCount`` of the queue's redrive policy; None where there is none or it cannot be read."""
        if self._queue_url is None:
            return None
        try:
            answer = self._call("get_queue_attributes", QueueUrl=self._queue_url, AttributeNames=["RedrivePolicy"])
            return int(json.loads(answer["Attributes"]["RedrivePolicy"])["maxReceiveCount"])
        except (QueueUnavailable, KeyError, ValueError):
            return None

    def _call(self, operation: str, **parameters: Any) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = self._client.call(lambda client: getattr(client, operation)(**parameters))
        except (ClientError, BotoCoreError) as error:
            code = error.response.get("Error", {}).get("Code") if isinstance(error, ClientError) else None
            raise QueueUnavailable(f"SQS did not do {operation}: {code or type(error).__name__}.") from error
        return answer


def describe_failure(error: Exception) -> str:
    """What may be told of an error: this product's messages hold no content; of others, only what they are."""
    if isinstance(error, EmbedStackError):
        reason = getattr(error, "reason", None)
        return ": ".join(part for part in (type(error).__name__, reason, tell(error)) if part)
    return f"{type(error).__name__}: see the function's log."
