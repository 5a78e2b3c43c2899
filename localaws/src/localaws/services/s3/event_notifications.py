"""S3 event notifications: what happens to a bucket's objects is told to queues, topics and functions.

moto tells less than S3 does, tells some of it twice, and tells of an object before all of it is there. Messages: "Event
message structure" in the S3 user guide.
"""

import itertools
import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote_plus

from moto.awslambda.exceptions import LambdaClientError
from moto.awslambda.models import lambda_backends
from moto.s3.exceptions import S3ClientError
from moto.s3.models import FakeBucket, NotificationConfiguration
from moto.sns.models import sns_backends
from moto.sqs.models import sqs_backends

__all__ = ["ObjectEvents", "S3Event"]

_logger = logging.getLogger(__name__)
_sequence = itertools.count(time.time_ns())


class _InvalidDestination(S3ClientError):  # type: ignore[misc]  # moto is untyped
    code = 400

    def __init__(self) -> None:
        super().__init__("InvalidArgument", "Unable to validate the following destination configurations")


@dataclass(frozen=True, slots=True)
class S3Event:
    """Something that happened to an object.

    Attributes:
        name: Such as ``s3:ObjectCreated:Put``.
        bucket: The bucket.
        key: The object's key.
        size: Bytes; None where the object is gone.
        etag: Without quotes; None where the object is gone.
        version: The version's id; None where the bucket has no versions.
    """

    name: str
    bucket: FakeBucket
    key: str
    size: int | None = None
    etag: str | None = None
    version: str | None = None

    def record(self, configuration_id: str, account_id: str) -> dict[str, Any]:
        """The event's message."""
        described: dict[str, Any] = {"key": quote_plus(self.key, safe="/")}
        known = {"size": self.size, "eTag": self.etag, "versionId": self.version}
        described |= {name: value for name, value in known.items() if value is not None}
        now = datetime.now(UTC)
        number = next(_sequence)
        return {
            "eventVersion": "2.1",
            "eventSource": "aws:s3",
            "awsRegion": self.bucket.region_name,
            "eventTime": f"{now:%Y-%m-%dT%H:%M:%S}.{now.microsecond // 1000:03d}Z",
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
    """The notifications of one local AWS's buckets."""

    def __init__(self, submit: Callable[[Any, bytes], object]) -> None:
        """Prepare.

        Args:
            submit: Invokes a function asynchronously.
        """
        self._submit = submit

    def configuration(self, bucket: FakeBucket) -> NotificationConfiguration | None:
        """What a bucket was configured with."""
        return vars(bucket).get("notifications")

    def configure(self, bucket: FakeBucket, wanted: dict[str, Any], account_id: str) -> None:
        """Take a configuration, and tell each of its queues and topics that it is one.

        Raises:
            S3ClientError: A destination is not there, is in another region, or does not let S3 in.
            NotImplementedError: It asks for events to EventBridge.
        """
        if "EventBridgeConfiguration" in wanted:
            raise NotImplementedError("PutBucketNotificationConfiguration with EventBridgeConfiguration")
        # moto's own attribute stays empty: it would send messages of its own.
        if not wanted:
            vars(bucket)["notifications"] = None
            return
        configuration = NotificationConfiguration(
            topic=wanted.get("TopicConfiguration"),
            queue=wanted.get("QueueConfiguration"),
            cloud_function=wanted.get("CloudFunctionConfiguration"),
        )
        destinations = [*configuration.queue, *configuration.topic, *configuration.cloud_function]
        for each in destinations:
            if each.arn.split(":")[3] != bucket.region_name or not _accepts(each.arn, bucket):
                raise _InvalidDestination
        vars(bucket)["notifications"] = configuration
        now = datetime.now(UTC)
        test = {
            "Service": "Amazon S3",
            "Event": "s3:TestEvent",
            "Time": f"{now:%Y-%m-%dT%H:%M:%S}.{now.microsecond // 1000:03d}Z",
            "Bucket": bucket.name,
            "RequestId": f"{next(_sequence):016X}",
            "HostId": f"{next(_sequence):032X}",
        }
        for arn in dict.fromkeys(each.arn for each in (*configuration.queue, *configuration.topic)):
            self._send(arn, test, account_id)

    def tell(self, event: S3Event, account_id: str) -> None:
        """Send an event to whom it concerns; who cannot be reached misses it."""
        configuration = self.configuration(event.bucket)
        if configuration is None:
            return
        for each in (*configuration.queue, *configuration.topic, *configuration.cloud_function):
            if each.matches(event.name, event.key):
                self._send(each.arn, {"Records": [event.record(each.id, account_id)]}, account_id)

    def _send(self, arn: str, message: dict[str, Any], account_id: str) -> None:
        _, _, service, region, owner, name = arn.split(":", 5)
        body = json.dumps(message, separators=(",", ":"))
        try:
            if service == "sqs":
                sqs_backends[owner][region].send_message(name, body)
            elif service == "sns":
                sns_backends[owner][region].publish(body, arn=arn, subject="Amazon S3 Notification")
            else:
                self._submit(lambda_backends[owner][region].get_function(arn), body.encode())
        except Exception:
            # The request that caused the event succeeds all the same.
            _logger.exception("telling %s of an event in account %s failed", arn, account_id)


def _accepts(arn: str, bucket: FakeBucket) -> bool:
    """Whether a destination is there and its policy lets S3 in, for this bucket."""
    _, _, service, region, owner, name = arn.split(":", 5)
    if service == "sqs":
        queue = sqs_backends[owner][region].queues.get(name)
        return queue is not None and _lets_in(json.loads(queue.policy or "{}"), ("sqs:SendMessage", "sqs:*"), bucket)
    if service == "sns":
        return arn in sns_backends[owner][region].topics
    try:
        function = lambda_backends[owner][region].get_function(arn)
    except LambdaClientError:
        return False
    return _lets_in({"Statement": function.policy.statements}, ("lambda:InvokeFunction", "lambda:*"), bucket)


def _lets_in(policy: dict[str, Any], actions: tuple[str, ...], bucket: FakeBucket) -> bool:
    return any(_allows(statement, actions, bucket) for statement in _listed(policy.get("Statement")))


def _allows(statement: dict[str, Any], actions: tuple[str, ...], bucket: FakeBucket) -> bool:
    principal = statement.get("Principal")
    services = _listed(principal.get("Service") if isinstance(principal, dict) else None)
    named = {action.lower() for action in _listed(statement.get("Action"))}
    if statement.get("Effect") != "Allow" or not named & {"*", *(action.lower() for action in actions)}:
        return False
    if "s3.amazonaws.com" not in services and principal not in ("*", {"AWS": "*"}):
        return False
    for operator, conditions in (statement.get("Condition") or {}).items():
        for key, wanted in conditions.items():
            if key.lower() == "aws:sourcearn" and not _matches(operator, _listed(wanted), bucket.arn):
                return False
            if key.lower() == "aws:sourceaccount" and bucket.account_id not in _listed(wanted):
                return False
    return True


def _matches(operator: str, patterns: list[str], arn: str) -> bool:
    if operator in ("StringEquals", "ArnEquals") and "*" not in "".join(patterns):
        return arn in patterns
    return any(arn == pattern or (pattern.endswith("*") and arn.startswith(pattern[:-1])) for pattern in patterns)


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
