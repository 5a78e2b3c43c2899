"""Ingests documents from S3 into a vector store: from S3 event notifications on an SQS queue, or by direct invocation.

Each S3 object is processed in its current state: an existing object is ingested, a deleted one is removed. The order of
messages does not matter, and processing is idempotent.
"""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response

from pipeline_functions.ingest_handler import IngestHandler
from pipeline_functions.ingest_services import IngestServices
from pipeline_functions.messages import read_event
from pipeline_functions.telemetry import create_telemetry

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

__all__ = ["handler"]

logger, metrics, traced = create_telemetry("embedstack-ingest")
services = IngestServices()


@logger.inject_lambda_context(log_event=False)
@metrics.log_metrics(capture_cold_start_metric=True)
@traced
def handler(event: dict[str, Any], context: "LambdaContext") -> dict[str, Any]:
    """Process a batch of SQS messages; or an S3 event or ``{"bucket", "key"}`` as the event of a direct invocation.

    Returns:
        ``{"batchItemFailures": […]}`` with the messages to retry; for a direct invocation, each document's outcome.

    Raises:
        EmbedStackError, RecordFailed: A direct invocation failed.
    """
    services.fit(context.get_remaining_time_in_millis() / 1000, int(context.memory_limit_in_mb))
    ingest = IngestHandler(services, lambda: context.get_remaining_time_in_millis() / 1000, logger, metrics)
    if _is_batch(event):
        # If every message fails, that is reported like any partial failure: an exception would log their contents.
        metrics.add_metric("Messages", MetricUnit.Count, len(event["Records"]))
        processor = BatchProcessor(EventType.SQS, raise_on_entire_batch_failure=False)
        return dict(process_partial_response(event, ingest.handle_record, processor, context))
    metrics.add_metric("Messages", MetricUnit.Count, 1)
    return {"documents": [asdict(ingest.handle_direct_event(message)) for message in read_event(event)]}


def _is_batch(event: dict[str, Any]) -> bool:
    records = event.get("Records")
    return isinstance(records, list) and bool(records) and records[0].get("eventSource") == "aws:sqs"
