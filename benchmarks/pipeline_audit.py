"""What a document pipeline should hold and what it holds: for benchmarks/pipeline.py, and for the tests."""

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

#: Position and text of a document's chunks, by its source.
Chunks = dict[str, list[tuple[int, str]]]
_POLL_SECONDS = 0.5
_PART_BYTES = 64 << 20
# Counts of SQS are approximate, and a message may just be on its way back.
_EMPTY_LOOKS = 3


def cut(documents: Mapping[str, bytes], chunker: Chunker) -> Chunks:
    """What documents are cut into, by the library alone."""
    return {
        source: [
            (chunk.position, chunk.text) for chunk in chunker.chunks(read_bytes(content, source))
        ]
        for source, content in documents.items()
    }  # fmt: skip


class DeployedPipeline:
    """What terraform/ applied, and what is in it. The environment names the AWS and the store."""

    def __init__(self, outputs: Mapping[str, Any]) -> None:
        """Prepare.

        Args:
            outputs: The root module's.
        """
        self.parts: dict[str, Any] = outputs["pipeline"]
        self.settings = load_settings()
        config = Config(retries={"total_max_attempts": 10}, max_pool_connections=16)
        session: Any = boto3.Session()
        self.s3 = session.client("s3", config=config)
        self.sqs = session.client("sqs", config=config)
        self._logs = session.client("logs", config=config)

    def upload(self, source: str, content: bytes) -> None:
        """Put a document into the bucket."""
        self.s3.put_object(Bucket=self.parts["bucket"], Key=source, Body=content)

    def upload_file(self, source: str, content: BinaryIO) -> None:
        """Put a document into the bucket in parts, as the AWS CLI does, without holding all of it."""
        parts = TransferConfig(multipart_chunksize=_PART_BYTES, use_threads=False)
        self.s3.upload_fileobj(content, self.parts["bucket"], source, Config=parts)

    def delete(self, source: str) -> None:
        """Delete a document from the bucket."""
        self.s3.delete_object(Bucket=self.parts["bucket"], Key=source)

    def waiting(self) -> int:
        """Messages that are not dealt with."""
        return count_messages(self.sqs, self.parts["queue_url"])

    def wait(self, patience: float, on_look: Callable[[int], object] = lambda _: None) -> None:
        """Return when every message is dealt with.

        Args:
            patience: Seconds.
            on_look: Told how many messages are left, now and then.

        Raises:
            TimeoutError: Some are left.
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
        """Every record of the collection, by its document."""
        found: Chunks = {}
        with load_store(self.settings) as store:
            for record in store.open(store.describe(self.settings.embedstack_collection), create=False).scan():
                place = (int(record.metadata["position"]), record.text)
                found.setdefault(str(record.metadata["source"]), []).append(place)
        return {source: sorted(chunks) for source, chunks in found.items()}

    def dead_letters(self) -> DeadLetterQueue:
        """Its dead-letter queue."""
        return DeadLetterQueue(self.settings, self.parts["dlq_url"], self.parts["queue_url"])

    def reasons(self) -> dict[str, str]:
        """Reasons in the DLQ by key. Messages stay in the queue."""
        bucket = f"s3://{self.parts['bucket']}/"
        messages = self.dead_letters().read()
        return {source.removeprefix(bucket): message.reason for message in messages for source in message.sources}

    def looks(self) -> list[dict[str, Any]]:
        """What the ingest function logged of each document that it processed, also if it was killed afterwards."""
        return [json.loads(line) for line in self._log('"A document was processed"')]

    def reports(self) -> list[dict[str, str]]:
        """What Lambda reports of each invocation of the ingest function, by Lambda's own names, such as `Duration`."""
        lines = (line.split("\t") for line in self._log("REPORT RequestId: "))
        return [dict(part.split(": ", 1) for part in parts if part) for parts in lines]

    def _log(self, words: str) -> list[str]:
        """Lines of the ingest function's log that have these words."""
        pages = self._logs.get_paginator("filter_log_events").paginate(
            logGroupName=f"/aws/lambda/{self.parts['ingest_function']}"
        )
        return [event["message"] for page in pages for event in page["events"] if words in event["message"]]

    def search(self, query: str, **conditions: Any) -> list[dict[str, Any]]:
        """Hits by the search function."""
        return search_function.invoke(self.settings, self.parts["search_function"], {"query": query, **conditions})
