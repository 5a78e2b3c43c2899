"""Document versions in S3 Vectors: the journal avoids listing the index."""

import random
import time
from contextlib import suppress
from dataclasses import replace

import pytest

from embedstack.calls.call_context import Call
from embedstack.calls.clock import SystemClock
from embedstack.documents import Ingestion, search, versions
from embedstack.documents.ingestion import collection_info
from embedstack.errors import DeadlineExceeded
from tests.integration.documents.test_ingestion import ingest, stored, text


@pytest.fixture
def collection(s3vectors, embedder, chunker):
    yield s3vectors.open(collection_info("versions", embedder, chunker))
    s3vectors.drop("versions")


@pytest.fixture
def ingestion(embedder, collection, chunker):
    return Ingestion(embedder, collection, chunker)


@pytest.fixture
def listings(s3vectors_calls):
    """A function that returns the number of ListVectors requests since its last call."""

    def listings():
        count = s3vectors_calls.count("ListVectors")
        s3vectors_calls.clear()
        return count

    listings()
    return listings


class Killed(BaseException):
    """Simulates the end of the process."""


class FailingCollection:
    """A collection that simulates a kill after so many calls."""

    filters_by_index = False

    def __init__(self, inner, calls):
        self._inner = inner
        self._calls_left = calls

    def __getattr__(self, name):
        attribute = getattr(self._inner, name)
        if not callable(attribute):
            return attribute

        def call(*arguments, **options):
            self._calls_left -= 1
            if self._calls_left < 0:
                raise Killed
            return attribute(*arguments, **options)

        return call


def test_journal_avoids_listing_the_index(ingestion, collection, embedder, listings):
    ingest(ingestion, text(*range(300)))
    assert ingest(ingestion, text(*range(300))).unchanged == 300
    replaced = ingest(ingestion, text(*range(200, 260), 400))
    assert (replaced.embedded, replaced.deleted) == (1 + 1, 300 - 60)
    assert listings() == 0
    assert stored(collection) == text(*range(200, 260), 400).split("\n\n")
    [hit] = search(embedder, collection, text(200), k=1)
    assert hit.position == 0
    assert hit.metadata.keys() == {"document"}
    listings()
    assert (ingestion.remove("a.txt"), ingestion.remove("a.txt"), ingestion.remove("b.txt")) == (61, 0, 0)
    assert listings() == 0
    assert collection.count() == 0


def test_missing_journal_lists_the_index_once(ingestion, collection, listings):
    """Documents of earlier releases have no journal."""
    ingest(ingestion, text(*range(10)))
    [first] = [record for record in collection.scan() if record.metadata["position"] == 0]
    collection.upsert([replace(first, metadata=versions.own_metadata(first))])
    listings()
    for expected in (1, 0):
        assert ingest(ingestion, text(*range(10))).unchanged == 10
        assert listings() == expected


def test_journal_over_the_size_limit_lists_the_index(ingestion, collection, listings, monkeypatch):
    monkeypatch.setattr(versions, "_MAX_TEXT_AND_JOURNAL_BYTES", 200)
    ingest(ingestion, text(*range(30)))
    assert ingest(ingestion, text(*range(30))).unchanged == 30
    assert listings() == 0
    assert ingest(ingestion, text(*range(30, 35))).deleted == 29
    assert listings() == 1
    assert stored(collection) == text(*range(30, 35)).split("\n\n")


@pytest.mark.parametrize("seed", range(8))
def test_interrupted_versions_are_cleaned_up_by_the_next_call(collection, embedder, chunker, seed):
    """Calls with random contents or removals, each interrupted at a random point."""
    chance = random.Random(seed)  # noqa: S311 - selects test cases
    contents = [None, *(text(*chance.sample(range(300), chance.choice((1, 5, 160)))) for _ in range(3))]

    def process(content, inner):
        ingestion = Ingestion(embedder, inner, chunker)
        if content is None:
            ingestion.remove("a.txt")
        else:
            ingest(ingestion, content)

    for _ in range(4):
        content = chance.choice(contents)
        for _ in range(chance.choice((1, 2))):
            with suppress(Killed):
                process(content, FailingCollection(collection, chance.randrange(1, 9)))
    for _ in range(2):
        process(content, collection)
        assert stored(collection) == ([] if content is None else content.split("\n\n"))
        content = chance.choice(contents)


@pytest.mark.parametrize("moment", ["before the write", "after the write"])
def test_concurrent_contents_are_reconciled(collection, embedder, chunker, moment):
    """The second call runs within the first, so that neither notices the other."""
    first, second = text(*range(20)), text(*range(500, 510))

    class Interrupted:
        filters_by_index = False
        seen = False

        def __getattr__(self, name):
            return getattr(collection, name)

        def upsert(self, records):
            if moment == "after the write":
                done = collection.upsert(records)
            if not self.seen:
                self.seen = True
                ingest(Ingestion(embedder, collection, chunker), second)
            return collection.upsert(records) if moment == "before the write" else done

    ingest(Ingestion(embedder, Interrupted(), chunker), first)
    # The caller that stored outdated content reconciles.
    current = first if moment == "before the write" else second
    ingest(Ingestion(embedder, collection, chunker), current, reconcile_concurrent_versions=True)
    assert stored(collection) == current.split("\n\n")


def test_listing_stops_at_the_deadline(ingestion, collection, listings):
    for number in range(3):
        ingest(ingestion, text(*range(400)), f"{number}.txt")
    call = Call(SystemClock(), time.monotonic() - 1)
    with pytest.raises(DeadlineExceeded, match="timeout_s"):
        call.context().run(collection.delete_where, {"source": "0.txt"})
    assert collection.count() == 1200
    assert collection.delete_where({"source": "0.txt"}) == 400
    assert {record.metadata["source"] for record in collection.scan()} == {"1.txt", "2.txt"}
