"""Versions of documents in S3 Vectors, which finds no document's records but by listing all: it is seldom asked to."""

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
    """How many requests listed vectors since the last time."""

    def listings():
        count = s3vectors_calls.count("ListVectors")
        s3vectors_calls.clear()
        return count

    listings()
    return listings


class Killed(BaseException):
    """The process is gone."""


class Mortal:
    """A collection whose user is killed before so many calls."""

    filters_by_index = False

    def __init__(self, inner, calls):
        self._inner = inner
        self._left = calls

    def __getattr__(self, name):
        found = getattr(self._inner, name)
        if not callable(found):
            return found

        def call(*arguments, **options):
            self._left -= 1
            if self._left < 0:
                raise Killed
            return found(*arguments, **options)

        return call


def test_what_is_known_is_looked_at_again_replaced_and_removed_without_a_listing(
    ingestion, collection, embedder, listings
):
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


def test_what_nothing_is_known_of_is_listed_once(ingestion, collection, listings):
    """As what an earlier version of this package stored, and what has more chunks than a first one can name."""
    ingest(ingestion, text(*range(10)))
    [first] = [record for record in collection.scan() if record.metadata["position"] == 0]
    collection.upsert([replace(first, metadata=versions.own_metadata(first))])
    listings()
    for expected in (1, 0):
        assert ingest(ingestion, text(*range(10))).unchanged == 10
        assert listings() == expected


def test_more_chunks_than_can_be_named_are_listed_when_they_are_replaced(ingestion, collection, listings, monkeypatch):
    monkeypatch.setattr(versions, "_ROOM", 200)
    ingest(ingestion, text(*range(30)))
    assert ingest(ingestion, text(*range(30))).unchanged == 30
    assert listings() == 0
    assert ingest(ingestion, text(*range(30, 35))).deleted == 29
    assert listings() == 1
    assert stored(collection) == text(*range(30, 35)).split("\n\n")


@pytest.mark.parametrize("seed", range(8))
def test_whoever_is_killed_leaves_nothing_that_the_next_does_not_find(collection, embedder, chunker, seed):
    """One after another, each with another content or none, and killed somewhere in the middle."""
    chance = random.Random(seed)  # noqa: S311 - draws cases
    contents = [None, *(text(*chance.sample(range(300), chance.choice((1, 5, 160)))) for _ in range(3))]

    def look(wanted, inner):
        ingestion = Ingestion(embedder, inner, chunker)
        if wanted is None:
            ingestion.remove("a.txt")
        else:
            ingest(ingestion, wanted)

    for _ in range(4):
        wanted = chance.choice(contents)
        for _ in range(chance.choice((1, 2))):
            with suppress(Killed):
                look(wanted, Mortal(collection, chance.randrange(1, 9)))
    for _ in range(2):
        look(wanted, collection)
        assert stored(collection) == ([] if wanted is None else wanted.split("\n\n"))
        wanted = chance.choice(contents)


@pytest.mark.parametrize("moment", ["before it stores", "after it stored"])
def test_two_contents_at_once_end_as_the_one_that_is_looked_at_again(collection, embedder, chunker, moment):
    """The second begins and ends within the first, so that each believes that it is alone."""
    first, second = text(*range(20)), text(*range(500, 510))

    class Interrupted:
        filters_by_index = False
        seen = False

        def __getattr__(self, name):
            return getattr(collection, name)

        def upsert(self, records):
            if moment == "after it stored":
                done = collection.upsert(records)
            if not self.seen:
                self.seen = True
                ingest(Ingestion(embedder, collection, chunker), second)
            return collection.upsert(records) if moment == "before it stores" else done

    ingest(Ingestion(embedder, Interrupted(), chunker), first)
    # Whoever of the two stored what is not there any more looks again, with the time that is left to it.
    now = first if moment == "before it stores" else second
    ingest(Ingestion(embedder, collection, chunker), now, again=True)
    assert stored(collection) == now.split("\n\n")


def test_a_listing_ends_with_the_time_of_the_call_and_names_the_remedy(ingestion, collection, listings):
    for number in range(3):
        ingest(ingestion, text(*range(400)), f"{number}.txt")
    call = Call(SystemClock(), time.monotonic() - 1)
    with pytest.raises(DeadlineExceeded, match="timeout_s"):
        call.context().run(collection.delete_where, {"source": "0.txt"})
    assert collection.count() == 1200
    assert collection.delete_where({"source": "0.txt"}) == 400
    assert {record.metadata["source"] for record in collection.scan()} == {"1.txt", "2.txt"}
