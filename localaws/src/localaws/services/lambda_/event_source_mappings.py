"""Event-source mappings: which queue invokes which function, and in which state that is."""

from typing import Any

from moto.awslambda.exceptions import InvalidParameterValueException, LambdaClientError
from moto.awslambda.models import EventSourceMapping
from moto.sqs.models import sqs_backends

from localaws.services.lambda_.queue_poller import PollSettings
from localaws.services.lambda_.records import FunctionRecord
from localaws.services.sqs.message_queue import MessageQueue

__all__ = ["MappingConflict", "MappingRecord", "check_mapping", "find_queue"]

#: From this batch size on, a window to gather it in is needed (API reference of CreateEventSourceMapping).
_WINDOWLESS = 10


class MappingConflict(LambdaClientError):  # type: ignore[misc]  # moto is untyped
    """The function reads the queue already."""

    code = 409

    def __init__(self, queue_arn: str, function: str, uuid: str) -> None:
        message = (
            f'An event source mapping with SQS arn (" {queue_arn} ") and function (" {function} ") already exists. '
            f"Please update or delete the existing mapping with UUID {uuid}"
        )
        super().__init__("ResourceConflictException", message)


class MappingRecord(EventSourceMapping):  # type: ignore[misc]  # moto is untyped
    """One mapping; moto's, with the states that it goes through."""

    def __init__(self, spec: dict[str, Any], function: FunctionRecord, qualified_arn: str) -> None:
        """Keep a CreateEventSourceMapping request.

        Args:
            spec: The request.
            function: The function.
            qualified_arn: The function as it was named, with version or alias.
        """
        location = {"RegionName": function.region, "AccountId": function.account_id}
        super().__init__({**spec, **location, "FunctionArn": qualified_arn})
        self.state = "Creating"

    def get_configuration(self) -> dict[str, Any]:
        """EventSourceMappingConfiguration; it has no tags."""
        described: dict[str, Any] = super().get_configuration()
        described.pop("Tags", None)
        return described | {"State": self.state, "StateTransitionReason": "USER_INITIATED"}

    def settle(self) -> None:
        """End what was begun."""
        self.state = "Enabled" if self.enabled else "Disabled"

    def poll_settings(self, most: int) -> PollSettings:
        """How its queue is read, by at most so many invocations at once where it names no limit."""
        limit = (self.scaling_config or {}).get("MaximumConcurrency")
        return PollSettings(
            batch_size=self.batch_size,
            window=float(self.max_batch_window or 0),
            concurrency=int(limit or most),
            partial_failures="ReportBatchItemFailures" in (self.function_response_types or []),
            region=self.event_source_arn.split(":")[3],
        )


def find_queue(arn: str) -> MessageQueue:
    """The standard queue of an ARN.

    Raises:
        InvalidParameterValueException: There is none.
        NotImplementedError: It is no standard queue.
    """
    _, _, service, region, account_id, name = arn.split(":", 5)
    if service != "sqs" or name.endswith(".fifo"):
        raise NotImplementedError(f"CreateEventSourceMapping for {arn}: only standard SQS queues invoke functions here")
    queue = sqs_backends[account_id][region].queues.get(name)
    if not isinstance(queue, MessageQueue):
        raise InvalidParameterValueException(
            "Error occurred while ReceiveMessage. SQS Error Code: AWS.SimpleQueueService.NonExistentQueue. SQS Error "
            "Message: The specified queue does not exist."
        )
    return queue


def check_mapping(spec: dict[str, Any], function: FunctionRecord, queue: MessageQueue) -> None:
    """Check what a mapping asks for.

    Raises:
        InvalidParameterValueException: It cannot be; in Lambda's words.
        NotImplementedError: It asks for a filter.
    """
    if (spec.get("FilterCriteria") or {}).get("Filters"):
        raise NotImplementedError("event-source mappings with FilterCriteria")
    if queue.visibility_timeout < function.timeout:
        raise InvalidParameterValueException(
            f"Queue visibility timeout: {queue.visibility_timeout} seconds is less than Function timeout: "
            f"{function.timeout} seconds"
        )
    if (spec.get("BatchSize") or 0) > _WINDOWLESS and not spec.get("MaximumBatchingWindowInSeconds"):
        raise InvalidParameterValueException(
            "Maximum batch window in seconds must be greater than 0 if maximum batch size is greater than 10"
        )
