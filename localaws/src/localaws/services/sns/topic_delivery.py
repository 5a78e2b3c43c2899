"""Publishing to an SNS topic from another service, such as CloudWatch.

A subscription that hangs or fails does not delay or prevent delivery to the others.
"""

import logging
import uuid
from typing import Any

import requests
from moto.sns.models import sns_backends

__all__ = ["PublishError", "publish"]

_logger = logging.getLogger(__name__)

#: Timeout of an HTTP subscriber in real seconds. SNS waits 15 s, but alarms are evaluated one after the other here.
_HTTP_TIMEOUT = 5.0
#: Alarms cannot use AWS's own key, because its policy names no service.
_AWS_MANAGED_KEYS = ("alias/aws/sns", ":alias/aws/sns")


class PublishError(RuntimeError):
    """The topic does not accept the message."""


def publish(topic_arn: str, message: str, subject: str | None) -> None:
    """Publish a message.

    Raises:
        PublishError: The topic does not exist, or is encrypted with a key that services may not use.
    """
    _, _, _, region, account_id, _ = topic_arn.split(":", 5)
    topic = sns_backends[account_id][region].topics.get(topic_arn)
    if topic is None:
        raise PublishError("Topic does not exist (Service: AmazonSNS; Status Code: 404; Error Code: NotFound)")
    if str(topic.kms_master_key_id or "").endswith(_AWS_MANAGED_KEYS):
        raise PublishError("CloudWatch Alarms does not have authorization to access the SNS topic encryption key.")
    message_id = str(uuid.uuid4())
    subscriptions, _ = topic.sns_backend.list_subscriptions_by_topic(topic_arn)
    for subscription in subscriptions:
        try:
            _deliver(subscription, message, message_id, subject)
        except Exception:
            # SNS drops a message that a subscriber does not accept.
            _logger.warning("delivery to subscription %s failed", subscription.arn, exc_info=True)
    topic.sent_notifications.append((message_id, message, subject, None, None))


def _deliver(subscription: Any, message: str, message_id: str, subject: str | None) -> None:
    if subscription.protocol in ("http", "https"):
        headers = {"Content-Type": "text/plain; charset=UTF-8", "x-amz-sns-message-type": "Notification"}
        data = subscription.get_post_data(message, message_id, subject)
        requests.post(subscription.endpoint, json=data, headers=headers, timeout=_HTTP_TIMEOUT)
        return
    subscription.publish(message, message_id, subject=subject)
