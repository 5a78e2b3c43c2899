"""Publishing to an SNS topic as a service does: each subscription for itself, none that hangs holds up another."""

import logging
import uuid
from typing import Any

import requests
from moto.sns.models import sns_backends

_logger = logging.getLogger(__name__)

#: Real seconds that a subscriber over HTTP has to answer in. SNS itself waits 15; alarms here are evaluated one after
#: the other.
HTTP_TIMEOUT = 5.0
#: AWS's own key cannot be used by alarms: its policy names no service.
_AWS_MANAGED_KEYS = ("alias/aws/sns", ":alias/aws/sns")


class PublishRefusedError(RuntimeError):
    """The topic took no message."""


def publish(topic_arn: str, message: str, subject: str | None) -> None:
    """Publish a message.

    Raises:
        PublishRefusedError: There is no such topic, or it is encrypted with a key that services may not use.
    """
    _, _, _, region, account_id, _ = topic_arn.split(":", 5)
    topic = sns_backends[account_id][region].topics.get(topic_arn)
    if topic is None:
        raise PublishRefusedError("Topic does not exist (Service: AmazonSNS; Status Code: 404; Error Code: NotFound)")
    if str(topic.kms_master_key_id or "").endswith(_AWS_MANAGED_KEYS):
        raise PublishRefusedError(
            "CloudWatch Alarms does not have authorization to access the SNS topic encryption key."
        )
    message_id = str(uuid.uuid4())
    subscriptions, _ = topic.sns_backend.list_subscriptions_by_topic(topic_arn)
    for subscription in subscriptions:
        try:
            _deliver(subscription, message, message_id, subject)
        except Exception:
            # SNS drops what a subscriber does not take; the others get theirs.
            _logger.warning("delivery to subscription %s failed", subscription.arn, exc_info=True)
    topic.sent_notifications.append((message_id, message, subject, None, None))


def _deliver(subscription: Any, message: str, message_id: str, subject: str | None) -> None:
    if subscription.protocol in ("http", "https"):
        headers = {"Content-Type": "text/plain; charset=UTF-8", "x-amz-sns-message-type": "Notification"}
        data = subscription.get_post_data(message, message_id, subject)
        requests.post(subscription.endpoint, json=data, headers=headers, timeout=HTTP_TIMEOUT)
        return
    subscription.publish(message, message_id, subject=subject)
