"""Ingests documents while processes are killed and requests are throttled."""

from collections.abc import Collection
from dataclasses import dataclass
from itertools import islice
from typing import Any

import urllib3
from pipeline_audit import Chunks, DeployedPipeline, cut

from localaws.faults.chaos import RandomKills, Victim
from localaws.faults.injector import FAULTS_PATH
from sample_documents import FORMATS, articles
from tests.integration.conftest import Stack
from tests.integration.pipeline.deployment import Running
from tests.support.hostile_documents import ODD_KEYS, hostile_documents

PATIENCE = 240
# Maximum sections of an article.
_SECTIONS = 3


@dataclass(frozen=True)
class Ingested:
    """The state of a pipeline after all documents were processed under faults."""

    pipeline: DeployedPipeline
    expected: Chunks
    kills: dict[Victim, int]
    stored: Chunks
    reasons: dict[str, str]
    looks: list[dict[str, Any]]

    def assert_stored_once_or_in_dlq(self) -> None:
        """Readable documents are stored completely and once; the others are in the DLQ with their reasons."""
        assert self.stored == self.expected
        assert self.reasons.keys() == hostile_documents().keys()
        for source, (_, reason) in hostile_documents().items():
            assert self.reasons[source].startswith(f"DocumentRefused: {reason}: ")

    def assert_embedded_once(self) -> None:
        """By the functions' logs. Chunks that a killed function stored are not logged, so the sum may be smaller."""
        chunks = sum(len(chunks) for chunks in self.expected.values())
        embedded = sum(look["embedded"] for look in self.looks)
        assert chunks * 0.8 < embedded <= chunks


def ingest_under_faults(running: Running, count: int, kinds: Collection[Victim], most: int) -> Ingested:
    """Upload readable and unreadable documents, and wait until all are processed.

    Args:
        running: The pipeline.
        count: Number of readable documents.
        kinds: Kinds of processes to kill.
        most: Maximum kills of each kind.
    """
    good = documents(count)
    expected = cut(good, running.chunker)
    pipeline = running.pipeline
    _set_faults(running.stack, throttled=0.2, failing=0.05)
    with RandomKills(running.stack.running.state_dir, seed=11, interval=2, most=most, kinds=kinds) as chaos:
        hostile = {name: content for name, (content, _) in hostile_documents().items()}
        for source, content in (good | hostile).items():
            pipeline.upload(source, content)
        pipeline.wait(PATIENCE)
    _set_faults(running.stack, throttled=0, failing=0)
    return Ingested(pipeline, expected, {**chaos.kills}, pipeline.stored(), pipeline.reasons(), pipeline.looks())


def documents(count: int) -> dict[str, bytes]:
    """Small documents of every format, by name."""
    files = {}
    for number, article in enumerate(islice(articles(), count)):
        suffix = list(FORMATS)[number % len(FORMATS)]
        short = type(article)(article.title, article.introduction[:1500], article.sections[:_SECTIONS])
        files[f"{number % 10}/{article.title}{suffix}"] = FORMATS[suffix](short)
    return files | ODD_KEYS


def _set_faults(stack: Stack, *, throttled: float, failing: float) -> None:
    for service, kind, rate in (("sagemaker-runtime", "throttle", throttled), ("s3vectors", "internal", failing)):
        fault = {"service": service, "kind": kind, "rate": rate, "seed": 5}
        assert urllib3.request("POST", stack.running.url + FAULTS_PATH, json=fault).status == 200
