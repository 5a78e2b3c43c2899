"""Invocations of schedules' targets: through the local AWS's own API, with retries and dead-letter queues.

Rules: "Configuring a schedule's dead-letter queue", "Adding context attributes" and "Using templated targets" in the
EventBridge Scheduler user guide. It does not document the backoff: here the wait starts at one second and doubles up
to five minutes.
"""

import json
import logging
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from localaws.services.iam.role_policies import allows, find_role

if TYPE_CHECKING:
    from localaws.config import LocalAwsConfig

__all__ = ["Deliverer", "Delivery", "target_service"]

_logger = logging.getLogger(__name__)

#: The action of each kind of target, by the service in the target's ARN.
_ACTIONS = {"lambda": "lambda:InvokeFunction", "sns": "sns:Publish", "sqs": "sqs:SendMessage"}
_MAX_WAIT_SECONDS = 300
_DEFAULT_RETRIES = 185
_DEFAULT_AGE_SECONDS = 86_400
_RETRYABLE_STATUS = 500
_THROTTLED_STATUS = 429


@dataclass(slots=True)
class Delivery:
    """One invocation of a schedule's target.

    Attributes:
        account_id: The schedule's account.
        region: The schedule's region.
        schedule_arn: ARN of the schedule.
        target: The schedule's target at the time of the invocation.
        scheduled: When the invocation was due.
        due: When it is attempted next.
        attempts: Number of failed attempts.
        execution_id: Id of the invocation.
    """

    account_id: str
    region: str
    schedule_arn: str
    target: dict[str, Any]
    scheduled: datetime
    due: datetime
    attempts: int = 0
    execution_id: str = field(default_factory=lambda: str(uuid.uuid4()))

    def payload(self) -> str:
        """The input, with its context attributes replaced. Without an input, an event that describes the schedule."""
        moment = f"{self.scheduled.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
        attributes = {
            "schedule-arn": self.schedule_arn,
            "scheduled-time": moment,
            "execution-id": self.execution_id,
            "attempt-number": str(self.attempts + 1),
        }
        text = self.target.get("Input")
        if text is None:
            event = {
                "version": "0",
                "id": self.execution_id,
                "detail-type": "Scheduled Event",
                "source": "aws.scheduler",
                "account": self.account_id,
                "time": moment,
                "region": self.region,
                "resources": [self.schedule_arn],
                "detail": "{}",
            }
            return json.dumps(event)
        for name, value in attributes.items():
            text = text.replace(f"<aws.scheduler.{name}>", value)
        return str(text)


class _NotAuthorizedError(Exception):
    """The execution role does not allow what a delivery does; the message is AWS's."""


class Deliverer:
    """Attempts deliveries."""

    def __init__(self, config: "LocalAwsConfig") -> None:
        """Prepare; :attr:`port` is set before the first delivery."""
        self._config = config
        self._clients: dict[tuple[str, str, str], Any] = {}
        #: The port of the local AWS.
        self.port = 0

    def attempt(self, delivery: Delivery, now: datetime) -> bool:
        """Invoke the target.

        Args:
            delivery: The invocation; after a failure that can be retried, its ``due`` is the next attempt.
            now: The simulated time.

        Returns:
            Whether the invocation has ended: successfully, or in the dead-letter queue.
        """
        try:
            self._invoke(delivery)
        except ClientError as error:
            code, message = error.response["Error"]["Code"], error.response["Error"]["Message"]
            status = error.response["ResponseMetadata"]["HTTPStatusCode"]
            can_be_retried = status >= _RETRYABLE_STATUS or status == _THROTTLED_STATUS
        except BotoCoreError as error:
            code, message, can_be_retried = type(error).__name__, str(error), True
        except _NotAuthorizedError as error:
            code, message, can_be_retried = "AccessDeniedException", str(error), False
        else:
            return True
        _logger.warning("schedule %s could not invoke its target: %s: %s", delivery.schedule_arn, code, message)
        condition = _retry(delivery, now) if can_be_retried else ""
        if condition is None:
            return False
        self._give_up(delivery, code, message, condition)
        return True

    def _invoke(self, delivery: Delivery) -> None:
        arn, text = delivery.target["Arn"], delivery.payload()
        service = target_service(arn)
        self._authorize(delivery, _ACTIONS[service], arn)
        client = self._client(delivery, service)
        match service:
            case "lambda":
                client.invoke(FunctionName=arn, InvocationType="Event", Payload=text.encode())
            case "sns":
                client.publish(TopicArn=arn, Message=text)
            case _:
                client.send_message(QueueUrl=self._queue_url(delivery, arn), MessageBody=text)

    def _give_up(self, delivery: Delivery, code: str, message: str, condition: str) -> None:
        queue_arn = (delivery.target.get("DeadLetterConfig") or {}).get("Arn")
        if not queue_arn:
            return
        attributes = {
            "ERROR_CODE": code,
            "ERROR_MESSAGE": message,
            "EXECUTION_ID": delivery.execution_id,
            "EXHAUSTED_RETRY_CONDITION": condition,
            "IS_PAYLOAD_TRUNCATED": "false",
            "RETRY_ATTEMPTS": str(delivery.attempts),
            "SCHEDULED_TIME": f"{delivery.scheduled.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
            "SCHEDULE_ARN": delivery.schedule_arn,
            "TARGET_ARN": delivery.target["Arn"],
        }
        typed = {name: {"DataType": "String", "StringValue": value} for name, value in attributes.items() if value}
        try:
            self._authorize(delivery, "sqs:SendMessage", queue_arn)
            self._client(delivery, "sqs").send_message(
                QueueUrl=self._queue_url(delivery, queue_arn), MessageBody=delivery.payload(), MessageAttributes=typed
            )
        except (ClientError, BotoCoreError, _NotAuthorizedError) as error:
            _logger.warning("sending a failed invocation of %s to its DLQ failed: %s", delivery.schedule_arn, error)

    def _queue_url(self, delivery: Delivery, queue_arn: str) -> str:
        _, _, _, _, owner, name = queue_arn.split(":", 5)
        response = self._client(delivery, "sqs").get_queue_url(QueueName=name, QueueOwnerAWSAccountId=owner)
        return str(response["QueueUrl"])

    @staticmethod
    def _authorize(delivery: Delivery, action: str, resource: str) -> None:
        """Check that the execution role may do what the delivery does.

        Raises:
            _NotAuthorizedError: It may not.
        """
        role_arn = delivery.target["RoleArn"]
        role = find_role(role_arn)
        if role is None or not allows(role, action, resource):
            name = role_arn.rsplit("/", 1)[-1]
            user = f"arn:aws:sts::{delivery.account_id}:assumed-role/{name}/{delivery.execution_id}"
            raise _NotAuthorizedError(f"User: {user} is not authorized to perform: {action} on resource: {resource}")

    def _client(self, delivery: Delivery, service: str) -> Any:
        key = (service, delivery.account_id, delivery.region)
        if key not in self._clients:
            environment = self._config.client_environment(self.port, delivery.account_id)
            self._clients[key] = boto3.client(  # type: ignore[call-overload]
                service,
                region_name=delivery.region,
                endpoint_url=environment["AWS_ENDPOINT_URL"],
                aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
                aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
                config=Config(retries={"total_max_attempts": 1, "mode": "standard"}, proxies={}),
            )
        return self._clients[key]


def target_service(arn: str) -> str:
    """The service of a target's ARN.

    Raises:
        NotImplementedError: Targets of this kind are not implemented.
    """
    service = arn.split(":")[2] if arn.count(":") >= 5 else ""
    if service not in _ACTIONS:
        raise NotImplementedError(f"schedules with the target {arn}")
    return service


def _retry(delivery: Delivery, now: datetime) -> str | None:
    """Plan the next attempt; returns the exhausted condition if there is none."""
    policy = delivery.target.get("RetryPolicy") or {}
    due = now + timedelta(seconds=min(2**delivery.attempts, _MAX_WAIT_SECONDS))
    if delivery.attempts >= policy.get("MaximumRetryAttempts", _DEFAULT_RETRIES):
        return "MaximumRetryAttempts"
    if due - delivery.scheduled > timedelta(seconds=policy.get("MaximumEventAgeInSeconds", _DEFAULT_AGE_SECONDS)):
        return "MaximumEventAgeInSeconds"
    delivery.attempts += 1
    delivery.due = due
    return None
