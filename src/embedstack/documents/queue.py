"""The document pipeline's queue: which documents it is to look at."""

import json
from collections.abc import Callable, Iterable
from itertools import islice
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from embedstack.aws.clients import create_client, translate_error
from embedstack.errors import EndpointUnavailable

if TYPE_CHECKING:
    from embedstack.settings.settings import Settings

__all__ = ["send_documents"]

# SQS: SendMessageBatch. A key has 1 KB at most, so the bytes of so many do not matter.
_BATCH = 10


def send_documents(
    settings: "Settings",
    queue_url: str,
    documents: Iterable[tuple[str, str]],
    *,
    on_progress: Callable[[int], Any] = lambda _: None,
) -> None:
    """Have the pipeline look at documents that are in S3 already, as for a collection that is new.

    What is stored as it is costs the pipeline a look and no embedding; so the same call again does no harm.

    Args:
        settings: Region and credentials.
        queue_url: The pipeline's queue.
        documents: Bucket and key of each.
        on_progress: Called with the number of documents that the queue has just taken.

    Raises:
        ConfigurationError: These credentials may not send.
        EndpointUnavailable: SQS did not take some.
    """
    client: Any = create_client("sqs", settings)
    source = iter(documents)
    while batch := list(islice(source, _BATCH)):
        entries = [
            {"Id": str(number), "MessageBody": json.dumps({"bucket": bucket, "key": key})}
            for number, (bucket, key) in enumerate(batch)
        ]
        try:
            answer = client.send_message_batch(QueueUrl=queue_url, Entries=entries)
        except (BotoCoreError, ClientError) as error:
            raise translate_error(error, endpoint=queue_url) from error
        if failed := answer.get("Failed", []):
            raise EndpointUnavailable(
                f"SQS did not take {len(failed)} of {len(batch)} messages ({failed[0].get('Code')}): run this again, "
                "which does no harm to those that it took."
            )
        on_progress(len(batch))
