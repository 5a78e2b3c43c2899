"""Access to a deployed document pipeline, and its expected chunks: for benchmarks/document_pipeline.py and tests."""

import json
import time
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config

from embedstack.documents.chunking import Chunker
from embedstack.documents.dead_letter_queue import DeadLetterQueue
from embedstack.documents.ingest_queue import count_messages
from embedstack.documents.readers.reading import read_bytes
from embedstack.settings.settings import load_settings
from embedstack.stores import load_store
from embedstack_ops.cli import search_function

__all__ = ["Chunks", "DeployedPipeline", "cut"]

#: Position and text of each chunk, by the document's source.
Chunks = dict[str, list[tuple[int, str]]]
_POLL_SECONDS = 0.5
_PART_BYTES = 64 << 20
# SQS counts are approximate, and a message may be between two states, so several empty counts are needed.
_EMPTY_LOOKS = 3


def cut(documents: Mapping[str, bytes], chunker: Chunker) -> Chunks:
    """The chunks of documents, computed locally."""
    return {
        source: [
            (chunk.position, chunk.text) for chunk in chunker.chunks(read_bytes(content, source))
        ]
        for source, content in documents.items()
    }  # fmt: skip


class DeployedPipeline:
    """A pipeline that terraform/ deployed. The environment selects the AWS endpoint and the store."""

    def __init__(self, outputs: Mapping[str, Any]) -> None:
        """Connect to a pipeline.

        Args:
            outputs: Outputs of the root module.
        """
        self.parts: dict[str, Any] = outputs["pipeline"]
        self.settings = load_settings()
        config = Config(retries={"total_max_attempts": 10}, max_pool_connections=16)
        session: Any = boto3.Session()
        self.s3 = session.client("s3", config=config)
        self.sqs = session.client("sqs", config=config)
        self._logs = session.client("logs", config=config)

    def upload(self, source: str, content: bytes) -> None:
        """Upload a document to the bucket."""
        self.s3.put_object(Bucket=self.parts["bucket"], Key=source, Body=content)

    def upload_file(self, source: str, content: BinaryIO) -> None:
        """Upload a document to the bucket in parts, as the AWS CLI does, without reading it into memory."""
        parts = TransferConfig(multipart_chunksize=_PART_BYTES, use_threads=False)
        self.s3.upload_fileobj(content, self.parts["bucket"], source, Config=parts)

    def delete(self, source: str) -> None:
        """Delete a document from the bucket."""
        self.s3.delete_object(Bucket=self.parts["bucket"], Key=source)

    def waiting(self) -> int:
        """Number of unprocessed messages."""
        return count_messages(self.sqs, self.parts["queue_url"])

    def wait(self, patience: float, on_look: Callable[[int], object] = lambda _: None) -> None:
        """Wait until every message is processed.

        Args:
            patience: Maximum time, in seconds.
            on_look: Called with the number of unprocessed messages, at every poll.

        Raises:
            TimeoutError: Messages are left.
        """
        end, empty = time.monotonic() + patience, 0
        while empty < _EMPTY_LOOKS:
            left = self.waiting()
            on_look(left)
            empty = 0 if left else empty + 1
            if time.monotonic() > end:
                raise TimeoutError(f"{left} messages are left after {patience:.0f} s.")
            time.sleep(_POLL_SECONDS)

    def stored(self) -> Chunks:
        """The chunks in the collection, by document."""
        chunks_by_source: Chunks = {}
        with load_store(self.settings) as store:
            for record in store.open(store.describe(self.settings.embedstack_collection), create=False).scan():
                place = (int(record.metadata["position"]), record.text)
                chunks_by_source.setdefault(str(record.metadata["source"]), []).append(place)
        return {source: sorted(chunks) for source, chunks in chunks_by_source.items()}

    def dead_letters(self) -> DeadLetterQueue:
        """Its dead-letter queue."""
        return DeadLetterQueue(self.settings, self.parts["dlq_url"], self.parts["queue_url"])

    def reasons(self) -> dict[str, str]:
        """Reasons in the DLQ by key. Messages stay in the queue."""
        bucket = f"s3://{self.parts['bucket']}/"
        messages = self.dead_letters().read()
        return {source.removeprefix(bucket): message.reason for message in messages for source in message.sources}

    def looks(self) -> list[dict[str, Any]]:
        """The ingest function's log entries of processed documents, including those of killed invocations."""
        return [json.loads(line) for line in self._log('"A document was processed"')]

    def reports(self) -> list[dict[str, str]]:
        """Lambda's REPORT log line of each invocation of the ingest function, by field name, such as `Duration`."""
        lines = (line.split("\t") for line in self._log("REPORT RequestId: "))
        return [dict(part.split(": ", 1) for part in parts if part) for parts in lines]

    def _log(self, words: str) -> list[str]:
        """Lines of the ingest function's log that contain these words."""
        pages = self._logs.get_paginator("filter_log_events").paginate(
            logGroupName=f"/aws/lambda/{self.parts['ingest_function']}"
        )
        return [event["message"] for page in pages for event in page["events"] if words in event["message"]]

    def search(self, query: str, **conditions: Any) -> list[dict[str, Any]]:
        """Hits of the search function."""
        return search_function.invoke(self.settings, self.parts["search_function"], {"query": query, **conditions})
