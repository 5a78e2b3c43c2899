"""The ingest queue and its dead-letter queue (DLQ)."""

import json
import random
import re
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from embedstack.aws.clients import AwsClient
from embedstack.errors import ConfigurationError, EmbedStackError, ServiceUnavailable
from pipeline_functions.telemetry import redacted_message

if TYPE_CHECKING:
    from embedstack.settings.settings import Settings
    from pipeline_functions.messages import DocumentMessage

__all__ = ["Queues", "describe_failure"]

# Characters that SQS rejects in a message: most control characters and unpaired surrogates.
_INVALID_CHARACTERS = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_MAX_REASON_CHARACTERS = 1000
_MAX_SOURCE_CHARACTERS = 1024
# Delay before a retry: it doubles with each receive up to Lambda's longest timeout, with jitter of up to a half.
_FIRST_DELAY_SECONDS = 15
_MAX_DELAY_SECONDS = 900


class Queues:
    """Sends messages to the function's queue and to its DLQ."""

    def __init__(self, settings: "Settings", queue_url: str | None, dlq_url: str | None) -> None:
        """Create a client. No request is sent.

        Args:
            settings: Region, endpoint and credentials.
            queue_url: The queue that the function reads; None disables continuations.
            dlq_url: The DLQ; None leaves failed messages to the queue's redrive policy.
        """
        self._client = AwsClient("sqs", settings, max_connections=2)
        self._queue_url = queue_url
        self._dlq_url = dlq_url
        self._max_receive_count: int | None = None

    @property
    def can_continue(self) -> bool:
        """Whether continuations can be enqueued."""
        return self._queue_url is not None

    @property
    def has_dlq(self) -> bool:
        """Whether there is a DLQ."""
        return self._dlq_url is not None

    def enqueue_continuation(self, message: "DocumentMessage") -> None:
        """Enqueue a message that continues a document in another invocation.

        Raises:
            ServiceUnavailable: SQS rejected the message.
            ConfigurationError: The queue does not exist, or its key or these credentials do not allow the request.
        """
        self._call("send_message", QueueUrl=self._queue_url, MessageBody=message.to_json())

    def send_to_dlq(self, body: str, reason: str, source: str) -> None:
        """Send a message to the DLQ with the reason for its failure.

        Args:
            body: The message body, which a redrive sends again.
            reason: The failure; attribute ``Reason``.
            source: The object's key; attribute ``Source``.

        Raises:
            ServiceUnavailable: SQS rejected the message.
            ConfigurationError: The queue does not exist, or its key or these credentials do not allow the request.
        """
        attributes = {"Reason": reason[:_MAX_REASON_CHARACTERS], "Source": source[:_MAX_SOURCE_CHARACTERS]}
        self._call(
            "send_message",
            QueueUrl=self._dlq_url,
            MessageBody=_INVALID_CHARACTERS.sub("\ufffd", body),
            MessageAttributes={
                name: {"DataType": "String", "StringValue": _INVALID_CHARACTERS.sub("\ufffd", value) or "-"}
                for name, value in attributes.items()
            },
        )

    def is_last_receive(self, receives: int) -> bool:
        """Whether SQS moves a message to the DLQ, without a reason, if this attempt fails.

        Args:
            receives: How often the message was received.
        """
        self._max_receive_count = self._max_receive_count or self._read_max_receive_count()
        return self._max_receive_count is not None and receives >= self._max_receive_count

    def delay(self, receipt_handle: str, receives: int) -> None:
        """Retry a failed message after a delay that is shorter than the queue's visibility timeout.

        A failure is ignored: the message is retried after the visibility timeout.
        """
        if self._queue_url is None:
            return
        max_seconds = min(_MAX_DELAY_SECONDS, _FIRST_DELAY_SECONDS * 2 ** min(receives - 1, 10))
        seconds = random.randint(max_seconds // 2, max_seconds)  # noqa: S311 - jitter
        try:
            self._call(
                "change_message_visibility",
                QueueUrl=self._queue_url,
                ReceiptHandle=receipt_handle,
                VisibilityTimeout=seconds,
            )
        except (ConfigurationError, ServiceUnavailable):
            return

    def _read_max_receive_count(self) -> int | None:
        """``maxReceiveCount`` of the queue's redrive policy; None without a policy or if it cannot be read."""
        if self._queue_url is None:
            return None
        try:
            response = self._call("get_queue_attributes", QueueUrl=self._queue_url, AttributeNames=["RedrivePolicy"])
            return int(json.loads(response["Attributes"]["RedrivePolicy"])["maxReceiveCount"])
        except (ConfigurationError, ServiceUnavailable, KeyError, ValueError):
            return None

    def _call(self, operation: str, **parameters: Any) -> dict[str, Any]:
        try:
            response: dict[str, Any] = self._client.call(lambda client: getattr(client, operation)(**parameters))
        except (ClientError, BotoCoreError) as error:
            raise self._client.translate(error, resource=parameters["QueueUrl"]) from error
        return response


def describe_failure(error: Exception) -> str:
    """An error for the DLQ: its type and message, or the type alone for errors that may quote content."""
    if isinstance(error, EmbedStackError):
        reason = getattr(error, "reason", None)
        return ": ".join(part for part in (type(error).__name__, reason, redacted_message(error)) if part)
    return f"{type(error).__name__}: see the function's log."
