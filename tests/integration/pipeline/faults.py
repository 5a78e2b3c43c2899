"""Documents that go through a pipeline while its parts die and are throttled."""

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
# Of a module's members, which may be hundreds.
_SECTIONS = 3


@dataclass(frozen=True)
class Ingested:
    """A pipeline that all documents went through while faults lasted, and what there was afterwards."""

    pipeline: DeployedPipeline
    expected: Chunks
    kills: dict[Victim, int]
    stored: Chunks
    reasons: dict[str, str]
    looks: list[dict[str, Any]]

    def assert_each_is_there_once_or_aside(self) -> None:
        """What can be read is stored once and whole, and what cannot is set aside with its reason."""
        assert self.stored == self.expected
        assert self.reasons.keys() == hostile_documents().keys()
        for source, (_, reason) in hostile_documents().items():
            assert self.reasons[source].startswith(f"DocumentRefused: {reason}: ")

    def assert_nothing_is_embedded_twice(self) -> None:
        """By what the functions logged; of one that was killed, what it had stored is found and not counted."""
        chunks = sum(len(chunks) for chunks in self.expected.values())
        embedded = sum(look["embedded"] for look in self.looks)
        assert chunks * 0.8 < embedded <= chunks


def ingest_under_faults(running: Running, count: int, kinds: Collection[Victim], most: int) -> Ingested:
    """Upload documents, and those that cannot be read, and wait until none is left.

    Args:
        running: The pipeline.
        count: Of the documents.
        kinds: Whose processes are killed.
        most: How often each kind is.
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
    made = {}
    for number, article in enumerate(islice(articles(), count)):
        suffix = list(FORMATS)[number % len(FORMATS)]
        short = type(article)(article.title, article.introduction[:1500], article.sections[:_SECTIONS])
        made[f"{number % 10}/{article.title}{suffix}"] = FORMATS[suffix](short)
    return made | ODD_KEYS


def _set_faults(stack: Stack, *, throttled: float, failing: float) -> None:
    for service, kind, rate in (("sagemaker-runtime", "throttle", throttled), ("s3vectors", "internal", failing)):
        fault = {"service": service, "kind": kind, "rate": rate, "seed": 5}
        assert urllib3.request("POST", stack.running.url + FAULTS_PATH, json=fault).status == 200
