"""S3 event notifications to SQS queues.

moto sends fewer event types than S3, sends some of them twice, and sends an object's event before the object is
complete. Messages: "Event message structure" in the S3 user guide.
"""

import itertools
import json
import logging
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote_plus

from moto.s3.exceptions import S3ClientError
from moto.s3.models import FakeBucket, NotificationConfiguration
from moto.sqs.models import sqs_backends

__all__ = ["ObjectEvents", "S3Event"]

_logger = logging.getLogger(__name__)
_sequence = itertools.count(time.time_ns())
#: Destinations other than queues, by their names in the request's XML and in the API.
_UNSUPPORTED = {
    "CloudFunctionConfiguration": "LambdaFunctionConfigurations",
    "EventBridgeConfiguration": "EventBridgeConfiguration",
    "TopicConfiguration": "TopicConfigurations",
}


class _InvalidDestination(S3ClientError):  # type: ignore[misc]  # moto is untyped
    code = 400

    def __init__(self) -> None:
        super().__init__("InvalidArgument", "Unable to validate the following destination configurations")


@dataclass(frozen=True, slots=True)
class S3Event:
    """A change of an object.

    Attributes:
        name: The event type, such as ``s3:ObjectCreated:Put``.
        bucket: The bucket.
        key: The object's key.
        size: Size in bytes; None for a deleted object.
        etag: ETag without quotes; None for a deleted object.
        version: Version id; None in a bucket without versioning.
    """

    name: str
    bucket: FakeBucket
    key: str
    size: int | None = None
    etag: str | None = None
    version: str | None = None

    def record(self, configuration_id: str, account_id: str) -> dict[str, Any]:
        """The event as an entry of a message's ``Records``."""
        optional = {"size": self.size, "eTag": self.etag, "versionId": self.version}
        described: dict[str, Any] = {"key": quote_plus(self.key, safe="/")}
        described |= {name: value for name, value in optional.items() if value is not None}
        number = next(_sequence)
        return {
            "eventVersion": "2.1",
            "eventSource": "aws:s3",
            "awsRegion": self.bucket.region_name,
            "eventTime": _timestamp(),
            "eventName": self.name.removeprefix("s3:"),
            "userIdentity": {"principalId": f"AWS:{account_id}"},
            "requestParameters": {"sourceIPAddress": "127.0.0.1"},
            "responseElements": {"x-amz-request-id": f"{number:016X}", "x-amz-id-2": f"{number:032X}"},
            "s3": {
                "s3SchemaVersion": "1.0",
                "configurationId": configuration_id,
                "bucket": {
                    "name": self.bucket.name,
                    "ownerIdentity": {"principalId": account_id},
                    "arn": self.bucket.arn,
                },
                "object": {**described, "sequencer": f"{number:016X}"},
            },
        }


class ObjectEvents:
    """The notification configurations of all buckets, and the delivery of events."""

    def configuration(self, bucket: FakeBucket) -> NotificationConfiguration | None:
        """The notification configuration of a bucket."""
        return vars(bucket).get("notifications")

    def configure(self, bucket: FakeBucket, configuration: dict[str, Any], account_id: str) -> None:
        """Set a bucket's notification configuration, and send a test event to each queue.

        Raises:
            S3ClientError: A queue does not exist, is in another region, or its policy does not allow S3.
            NotImplementedError: The configuration has a destination other than a queue.
        """
        for name in _UNSUPPORTED.keys() & configuration.keys():
            raise NotImplementedError(f"PutBucketNotificationConfiguration with {_UNSUPPORTED[name]}")
        # moto's own attribute stays empty, or moto would send its messages too.
        if not configuration:
            vars(bucket)["notifications"] = None
            return
        notifications = NotificationConfiguration(queue=configuration.get("QueueConfiguration"))
        for destination in notifications.queue:
            if destination.arn.split(":")[3] != bucket.region_name or not _accepts(destination.arn, bucket):
                raise _InvalidDestination
        vars(bucket)["notifications"] = notifications
        test_event = {
            "Service": "Amazon S3",
            "Event": "s3:TestEvent",
            "Time": _timestamp(),
            "Bucket": bucket.name,
            "RequestId": f"{next(_sequence):016X}",
            "HostId": f"{next(_sequence):032X}",
        }
        for arn in dict.fromkeys(destination.arn for destination in notifications.queue):
            _send(arn, test_event, account_id)

    def publish(self, event: S3Event, account_id: str) -> None:
        """Send an event to the queues that are subscribed to it."""
        notifications = self.configuration(event.bucket)
        for destination in notifications.queue if notifications is not None else ():
            if destination.matches(event.name, event.key):
                _send(destination.arn, {"Records": [event.record(destination.id, account_id)]}, account_id)


def _send(arn: str, message: dict[str, Any], account_id: str) -> None:
    _, _, _, region, owner, name = arn.split(":", 5)
    try:
        sqs_backends[owner][region].send_message(name, json.dumps(message, separators=(",", ":")))
    except Exception:
        # A failed delivery does not fail the request that caused the event.
        _logger.exception("sending an event of account %s to %s failed", account_id, arn)


def _timestamp() -> str:
    now = datetime.now(UTC)
    return f"{now:%Y-%m-%dT%H:%M:%S}.{now.microsecond // 1000:03d}Z"


def _accepts(arn: str, bucket: FakeBucket) -> bool:
    """Whether a queue exists and its policy lets S3 send messages for this bucket."""
    _, _, service, region, owner, name = arn.split(":", 5)
    queue = sqs_backends[owner][region].queues.get(name) if service == "sqs" else None
    if queue is None:
        return False
    policy = json.loads(queue.policy or "{}")
    return any(_allows(statement, bucket) for statement in _as_list(policy.get("Statement")))


def _allows(statement: dict[str, Any], bucket: FakeBucket) -> bool:
    principal = statement.get("Principal")
    services = _as_list(principal.get("Service") if isinstance(principal, dict) else None)
    actions = {action.lower() for action in _as_list(statement.get("Action"))}
    if statement.get("Effect") != "Allow" or not actions & {"*", "sqs:*", "sqs:sendmessage"}:
        return False
    if "s3.amazonaws.com" not in services and principal not in ("*", {"AWS": "*"}):
        return False
    for operator, conditions in (statement.get("Condition") or {}).items():
        for key, values in conditions.items():
            if key.lower() == "aws:sourcearn" and not _matches(operator, _as_list(values), bucket.arn):
                return False
            if key.lower() == "aws:sourceaccount" and bucket.account_id not in _as_list(values):
                return False
    return True


def _matches(operator: str, patterns: list[str], arn: str) -> bool:
    if operator in ("StringEquals", "ArnEquals") and "*" not in "".join(patterns):
        return arn in patterns
    return any(arn == pattern or (pattern.endswith("*") and arn.startswith(pattern[:-1])) for pattern in patterns)


def _as_list(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
