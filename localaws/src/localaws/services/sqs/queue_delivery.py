"""Sending a message to a queue from another service, such as Lambda."""

from collections.abc import Mapping

from moto.sqs.models import sqs_backends

__all__ = ["send_to_queue"]


def send_to_queue(queue_arn: str, body: str, attributes: Mapping[str, str]) -> None:
    """Send a message.

    Args:
        queue_arn: ARN of the queue.
        body: The message.
        attributes: Message attributes of the type String.

    Raises:
        SQSException: The queue does not exist, or does not accept the message.
    """
    _, _, _, region, account_id, name = queue_arn.split(":", 5)
    typed = {key: {"DataType": "String", "StringValue": value} for key, value in attributes.items()}
    sqs_backends[account_id][region].send_message(name, body, message_attributes=typed)
