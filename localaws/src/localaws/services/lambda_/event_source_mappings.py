"""Event source mappings between queues and functions."""

from typing import Any

from moto.awslambda.exceptions import InvalidParameterValueException, LambdaClientError
from moto.awslambda.models import EventSourceMapping
from moto.sqs.models import sqs_backends

from localaws.services.lambda_.queue_poller import PollSettings
from localaws.services.lambda_.records import FunctionRecord
from localaws.services.sqs.message_queue import MessageQueue

__all__ = ["MappingConflict", "MappingRecord", "check_mapping", "find_queue"]

#: Larger batches need a batching window (API reference of CreateEventSourceMapping).
_MAX_BATCH_WITHOUT_WINDOW = 10


class MappingConflict(LambdaClientError):  # type: ignore[misc]  # moto is untyped
    """ResourceConflictException: the function already has a mapping for the queue."""

    code = 409

    def __init__(self, queue_arn: str, function: str, uuid: str) -> None:
        message = (
            f'An event source mapping with SQS arn (" {queue_arn} ") and function (" {function} ") already exists. '
            f"Please update or delete the existing mapping with UUID {uuid}"
        )
        super().__init__("ResourceConflictException", message)


class MappingRecord(EventSourceMapping):  # type: ignore[misc]  # moto is untyped
    """moto's mapping, with its states."""

    def __init__(self, spec: dict[str, Any], function: FunctionRecord, qualified_arn: str) -> None:
        """Create a mapping from a CreateEventSourceMapping request.

        Args:
            spec: The request.
            function: The function.
            qualified_arn: ARN of the function, with the version or alias of the request.
        """
        location = {"RegionName": function.region, "AccountId": function.account_id}
        super().__init__({**spec, **location, "FunctionArn": qualified_arn})
        self.state = "Creating"

    def get_configuration(self) -> dict[str, Any]:
        """EventSourceMappingConfiguration, which has no tags."""
        configuration: dict[str, Any] = super().get_configuration()
        configuration.pop("Tags", None)
        return configuration | {"State": self.state, "StateTransitionReason": "USER_INITIATED"}

    def settle(self) -> None:
        """Enter the final state of an operation."""
        self.state = "Enabled" if self.enabled else "Disabled"

    def poll_settings(self, default_concurrency: int) -> PollSettings:
        """The settings of the poller; ``default_concurrency`` applies without MaximumConcurrency."""
        limit = (self.scaling_config or {}).get("MaximumConcurrency")
        return PollSettings(
            batch_size=self.batch_size,
            window=float(self.max_batch_window or 0),
            concurrency=int(limit or default_concurrency),
            partial_failures="ReportBatchItemFailures" in (self.function_response_types or []),
            region=self.event_source_arn.split(":")[3],
        )


def find_queue(arn: str) -> MessageQueue:
    """The standard queue with an ARN.

    Raises:
        InvalidParameterValueException: It does not exist.
        NotImplementedError: It is not a standard queue.
    """
    _, _, service, region, account_id, name = arn.split(":", 5)
    if service != "sqs" or name.endswith(".fifo"):
        raise NotImplementedError(f"CreateEventSourceMapping for {arn}: only standard SQS queues are supported")
    queue = sqs_backends[account_id][region].queues.get(name)
    if not isinstance(queue, MessageQueue):
        raise InvalidParameterValueException(
            "Error occurred while ReceiveMessage. SQS Error Code: AWS.SimpleQueueService.NonExistentQueue. SQS Error "
            "Message: The specified queue does not exist."
        )
    return queue


def check_mapping(spec: dict[str, Any], function: FunctionRecord, queue: MessageQueue) -> None:
    """Check the settings of a mapping.

    Raises:
        InvalidParameterValueException: A setting is invalid.
        NotImplementedError: It has filters.
    """
    if (spec.get("FilterCriteria") or {}).get("Filters"):
        raise NotImplementedError("event source mappings with FilterCriteria")
    if queue.visibility_timeout < function.timeout:
        raise InvalidParameterValueException(
            f"Queue visibility timeout: {queue.visibility_timeout} seconds is less than Function timeout: "
            f"{function.timeout} seconds"
        )
    if (spec.get("BatchSize") or 0) > _MAX_BATCH_WITHOUT_WINDOW and not spec.get("MaximumBatchingWindowInSeconds"):
        raise InvalidParameterValueException(
            "Maximum batch window in seconds must be greater than 0 if maximum batch size is greater than 10"
        )
