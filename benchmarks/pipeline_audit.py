"""What a document pipeline should hold and what it holds: for benchmarks/pipeline.py, and for the tests."""

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from embedstack.documents.chunking import Chunker
from embedstack.documents.dead_letters import DeadLetters, count_messages
from embedstack.documents.readers.reading import read_bytes
from embedstack.settings import load_settings
from embedstack.stores import load_store

__all__ = ["Chunks", "DeployedPipeline", "cut", "variables"]

#: Position and text of a document's chunks, by its source.
Chunks = dict[str, list[tuple[int, str]]]
_POLL_SECONDS = 0.5
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
        self.functions = session.client("lambda", config=config)
        self._logs = session.client("logs", config=config)

    def upload(self, source: str, content: bytes) -> None:
        """Put a document into the bucket."""
        self.s3.put_object(Bucket=self.parts["bucket"], Key=source, Body=content)

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

    def dead_letters(self) -> DeadLetters:
        """Its dead-letter queue."""
        return DeadLetters(self.settings, self.parts["dlq_url"], self.parts["queue_url"])

    def reasons(self) -> dict[str, str]:
        """Why documents were set aside, by their names; every letter stays where it is."""
        letters = self.dead_letters()
        found = list(letters.read())
        for letter in found:
            letters.release(letter)
        return {source: letter.reason for letter in found for source in letter.sources}

    def looks(self) -> list[dict[str, Any]]:
        """What the ingest function logged of each document that it looked at, also where it was killed afterwards."""
        pages = self._logs.get_paginator("filter_log_events").paginate(
            logGroupName=f"/aws/lambda/{self.parts['ingest_function']}", filterPattern='"A document was looked at"'
        )
        lines = [event["message"] for page in pages for event in page["events"]]
        return [json.loads(line) for line in lines if '"A document was looked at"' in line]

    def search(self, query: str, **conditions: Any) -> list[dict[str, Any]]:
        """Hits by the search function."""
        payload = json.dumps({"query": query, **conditions})
        answer = self.functions.invoke(FunctionName=self.parts["search_function"], Payload=payload)
        hits: list[dict[str, Any]] = json.loads(answer["Payload"].read())["hits"]
        return hits


def variables(packages: Path, python: str, architecture: str, ingest: str) -> str:
    """Variables of terraform/ for a pipeline on a local AWS.

    Args:
        packages: The folder with ``ingest.zip`` and ``search.zip``.
        python: Version that they are for.
        architecture: Processor that they are for.
        ingest: ``pipeline.ingest``, in Terraform's own words.
    """
    return f"""
name        = "alex"
environment = "pipeline"
endpoints = {{
  embedding = {{
    model      = {{ hub_id = "sentence-transformers/all-MiniLM-L6-v2" }}
    serverless = {{ memory_mb = 2048, max_concurrency = 10 }}
  }}
}}
vector_store = {{ s3_vectors = {{ retain = false }} }}
pipeline = {{
  architecture   = "{architecture}"
  python_version = "{python}"
  ingest_package = "{packages / "ingest.zip"}"
  search_package = "{packages / "search.zip"}"
  bucket         = {{ force_destroy = true }}
  ingest         = {ingest}
}}
"""
