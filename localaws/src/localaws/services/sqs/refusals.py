"""Requests that SQS rejects and moto accepts, or rejects with other words."""

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

from moto.core.responses import ActionResult
from moto.sqs.exceptions import SQSException

__all__ = ["check_message", "check_queue_attributes", "check_receive", "named_as_on_aws"]

#: Codes of batches, which AWS sends with a prefix.
_BATCH_CODES = frozenset(
    {
        "BatchEntryIdsNotDistinct",
        "BatchRequestTooLong",
        "InvalidBatchEntryId",
        "TooManyEntriesInBatchRequest",
    }
)
_FIFO_ONLY = ("ContentBasedDeduplication",)


def check_receive(request: Mapping[str, Any]) -> None:
    """Check ReceiveMessage's limits.

    Raises:
        SQSException: A value is out of range.
    """
    count, wait = request.get("MaxNumberOfMessages"), request.get("WaitTimeSeconds")
    if count is not None and not 1 <= int(count) <= 10:
        raise _invalid(count, "MaxNumberOfMessages", "Must be between 1 and 10, if provided.")
    if wait is not None and not 0 <= int(wait) <= 20:
        raise _invalid(wait, "WaitTimeSeconds", "Must be >= 0 and <= 20, if provided.")


def check_message(message: Mapping[str, Any]) -> None:
    """Check a message of SendMessage or an entry of SendMessageBatch.

    Raises:
        SQSException: Its body or an attribute is empty.
    """
    if not message.get("MessageBody"):
        raise SQSException("MissingParameter", "The request must contain the parameter MessageBody.")
    for name, value in (message.get("MessageAttributes") or {}).items():
        kind = str(value.get("DataType", ""))
        content = value.get("BinaryValue") if kind.startswith("Binary") else value.get("StringValue")
        if not content:
            sentence = f"Message (user) attribute '{name}' must contain a non-empty value of type '{kind}'."
            raise SQSException("InvalidParameterValue", sentence)


def check_queue_attributes(queue: Any, attributes: Mapping[str, Any], *, is_fifo: bool) -> None:
    """Check CreateQueue.

    Args:
        queue: The existing queue of that name, or None.
        attributes: The attributes of the request.
        is_fifo: Whether a FIFO queue is requested.

    Raises:
        SQSException: An attribute is for FIFO queues only, or differs from the existing queue's.
    """
    for name in _FIFO_ONLY:
        if name in attributes and not is_fifo:
            raise SQSException("InvalidAttributeName", f"Unknown Attribute {name}.")
    existing = queue.attributes if queue is not None else {}
    for name, value in attributes.items():
        if name in existing and name != "RedrivePolicy" and str(existing[name]).lower() != str(value).lower():
            sentence = f"A queue already exists with the same name and a different value for attribute {name}"
            raise SQSException("QueueAlreadyExists", sentence)


def named_as_on_aws(action: Callable[[Any], ActionResult]) -> Callable[[Any], ActionResult]:
    """Let an action on a batch send AWS's error codes."""

    @wraps(action)
    def named(api: Any) -> ActionResult:
        try:
            return action(api)
        except SQSException as error:
            if error.code in _BATCH_CODES:
                raise SQSException(f"AWS.SimpleQueueService.{error.code}", error.message) from error
            raise

    return named


def _invalid(value: Any, parameter: str, reason: str) -> SQSException:
    sentence = f"Value {value} for parameter {parameter} is invalid. Reason: {reason}"
    return SQSException("InvalidParameterValue", sentence)
