"""The document pipeline's ingest queue."""

import json
from collections.abc import Callable, Iterable
from itertools import islice
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from embedstack.aws.clients import create_client
from embedstack.aws.errors import translate_error
from embedstack.errors import ServiceUnavailable

if TYPE_CHECKING:
    from embedstack.settings.settings import Settings

__all__ = ["count_messages", "enqueue_documents"]

# Maximum entries of SendMessageBatch (SQS API Reference). Keys have at most 1 KB, so the size limit is never reached.
_BATCH = 10


def count_messages(client: Any, queue_url: str) -> int:
    """Number of messages in a queue, including those in flight. SQS counts approximately.

    Args:
        client: A boto3 SQS client.
        queue_url: The queue.
    """
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    attributes = client.get_queue_attributes(QueueUrl=queue_url, AttributeNames=names)["Attributes"]
    return sum(int(attributes[name]) for name in names)


def enqueue_documents(
    settings: "Settings",
    queue_url: str,
    documents: Iterable[tuple[str, str]],
    *,
    on_progress: Callable[[int], Any] = lambda _: None,
) -> None:
    """Enqueue S3 objects for ingestion, for example into a new collection.

    The call is idempotent: chunks that are stored already are not embedded again.

    Args:
        settings: Region and credentials.
        queue_url: The pipeline's queue.
        documents: Bucket and key of each object.
        on_progress: Called after each batch with the number of messages sent.

    Raises:
        ConfigurationError: The credentials do not allow sending to the queue.
        ServiceUnavailable: SQS rejected some messages.
    """
    client: Any = create_client("sqs", settings)
    source = iter(documents)
    while batch := list(islice(source, _BATCH)):
        entries = [
            {"Id": str(number), "MessageBody": json.dumps({"bucket": bucket, "key": key})}
            for number, (bucket, key) in enumerate(batch)
        ]
        try:
            response = client.send_message_batch(QueueUrl=queue_url, Entries=entries)
        except (BotoCoreError, ClientError) as error:
            raise translate_error(error, "sqs", resource=queue_url, region=client.meta.region_name) from error
        if failed := response.get("Failed", []):
            raise ServiceUnavailable(
                f"SQS rejected {len(failed)} of {len(batch)} messages ({failed[0].get('Code')}). Run the command "
                "again; it is idempotent."
            )
        on_progress(len(batch))
