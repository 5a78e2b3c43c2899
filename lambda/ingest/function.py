"""Documents from S3 into a vector store: reads S3's notifications from an SQS queue, or a message by direct invocation.

A document is looked at as it is now: what is there is ingested, what is gone is removed. So the order of messages does
not matter, and neither does a repetition.
"""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response

from handling.intake import Intake
from handling.messages import read_event
from handling.services import Services
from handling.telemetry import create_telemetry

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

__all__ = ["handler"]

logger, metrics, traced = create_telemetry("embedstack-ingest")
services = Services()


@logger.inject_lambda_context(log_event=False)
@metrics.log_metrics(capture_cold_start_metric=True)
@traced
def handler(event: dict[str, Any], context: "LambdaContext") -> dict[str, Any]:
    """Take a batch of SQS messages; or one message, ``{"bucket", "key"}`` or S3's own, as the event itself.

    Returns:
        The messages that have to come again, in Lambda's form ``{"batchItemFailures": […]}``; for a direct invocation,
        what came of each document.

    Raises:
        EmbedStackError, RecordFailed: A direct invocation failed.
    """
    services.fit(context.get_remaining_time_in_millis() / 1000, int(context.memory_limit_in_mb))
    intake = Intake(services, lambda: context.get_remaining_time_in_millis() / 1000, logger, metrics)
    if _is_batch(event):
        # A batch that fails as a whole is reported like any other: an exception would put messages into the log.
        metrics.add_metric("Messages", MetricUnit.Count, len(event["Records"]))
        processor = BatchProcessor(EventType.SQS, raise_on_entire_batch_failure=False)
        return dict(process_partial_response(event, intake.take_record, processor, context))
    metrics.add_metric("Messages", MetricUnit.Count, 1)
    return {"documents": [asdict(intake.take_directly(message)) for message in read_event(event)]}


def _is_batch(event: dict[str, Any]) -> bool:
    records = event.get("Records")
    return isinstance(records, list) and bool(records) and records[0].get("eventSource") == "aws:sqs"
