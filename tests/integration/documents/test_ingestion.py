"""Ingestion into both stores: idempotence, versions, deadlines, failures and concurrency."""

import asyncio
import io
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from embedstack.documents import Chunker, Ingestion, asearch, search
from embedstack.documents.ingestion import collection_info
from embedstack.embedders import FakeEmbedder, Limits
from embedstack.errors import (
    CollectionMismatch,
    DeadlineExceeded,
    DocumentRefused,
    FilterRefused,
    InputError,
    ModelFailed,
)
from embedstack.models import ModelInfo
from tests.integration.documents.conftest import FAKE


def text(*numbers):
    return "\n\n".join(f"Paragraph {number} says a few words and no more than those." for number in numbers)


def ingest(ingestion, content, source="a.txt", **options):
    return ingestion.ingest(source, io.BytesIO(content.encode()), **options)


@pytest.fixture
def ingestion(embedder, collection, chunker):
    return Ingestion(embedder, collection, chunker)


def stored(collection, source="a.txt"):
    """The texts of a document in order. Checks that positions are complete and the version is unique."""
    records = [record for record in collection.scan() if record.metadata["source"] == source]
    records.sort(key=lambda record: record.metadata["position"])
    assert [record.metadata["position"] for record in records] == list(range(len(records)))
    assert len({record.metadata["document"] for record in records}) <= 1
    return [record.text for record in records]


def embedded(embedder):
    return sum(map(len, embedder.requests))


def test_ingested_chunk_is_found_with_its_metadata(ingestion, collection, embedder):
    content = "# Guide\n\nRead this.\n\n## Start\n\nPress the button."
    done = ingest(ingestion, content, "docs/guide.md", metadata={"team": "blue"})
    assert (done.chunks, done.embedded, done.unchanged, done.deleted, done.next_chunk) == (2, 2, 0, 0, None)
    [hit] = search(embedder, collection, "Start\n\nPress the button.", k=1, filter={"team": "blue"})
    assert hit.text.endswith("Press the button.")
    assert (hit.source, hit.position, hit.page, hit.headings) == ("docs/guide.md", 1, None, ("Guide", "Start"))
    assert hit.metadata["team"] == "blue"


def test_notes_are_returned_and_stored_with_the_first_chunk(ingestion, collection):
    content = b"caf\xe9 au lait\n\n" + text(1, 2).encode()
    done = ingestion.ingest("menu.txt", io.BytesIO(content), notes=["Scanned."])
    assert done.notes[0] == "Scanned."
    assert any("encoding" in note for note in done.notes[1:])
    noted = {record.metadata["position"]: record.metadata.get("notes") for record in collection.scan()}
    assert noted == {0: list(done.notes), 1: None}


@pytest.mark.parametrize("name", ["source", "notes", "document", "context", "", "$gt"])
def test_ingest_rejects_reserved_metadata(ingestion, collection, name):
    with pytest.raises(InputError, match="name"):
        ingest(ingestion, "The cat sleeps.", metadata={name: "x"})
    assert collection.count() == 0


def test_async_methods_equal_the_sync_ones(ingestion, collection, embedder):
    async def main():
        done = await ingestion.aingest("a.txt", io.BytesIO(text(*range(5)).encode()))
        assert done.chunks == await collection.acount() == 5
        assert [record.id async for record in collection.ascan()] == [record.id for record in collection.scan()]
        hits = await asearch(embedder, collection, "Paragraph 3", k=2, filter={"source": "a.txt"})
        assert hits == search(embedder, collection, "Paragraph 3", k=2, filter={"source": "a.txt"})
        with pytest.raises(FilterRefused):
            await asearch(embedder, collection, "Paragraph 3", k=0)
        assert await ingestion.aremove("a.txt") == 5
        assert await collection.acount() == 0

    asyncio.run(main())


def test_ingest_embeds_only_changed_chunks(ingestion, collection, embedder):
    ingest(ingestion, text(*range(20)))
    before = embedded(embedder)
    repeated = ingest(ingestion, text(*range(20)))
    assert (repeated.embedded, repeated.unchanged) == (0, 20)
    changed = ingest(ingestion, text(0, 1, 99, *range(3, 20)))
    assert (changed.embedded, changed.unchanged, changed.deleted) == (1, 19, 1)
    assert embedded(embedder) == before + 1
    assert stored(collection) == text(0, 1, 99, *range(3, 20)).split("\n\n")


def test_ingest_replaces_and_remove_deletes_a_version(ingestion, collection, embedder):
    ingest(ingestion, text(*range(20)))
    ingest(ingestion, text(50), "b.txt")
    moved = ingest(ingestion, text(40, *range(5, 15)))
    assert moved.embedded == 1, "only the first chunk is new; the others moved"
    assert stored(collection) == text(40, *range(5, 15)).split("\n\n")
    assert stored(collection, "b.txt") == [text(50)]
    assert ingestion.remove("a.txt") == 11
    assert ingestion.remove("a.txt") == 0
    assert stored(collection) == []
    assert collection.count() == 1


def test_ingest_stores_repeated_texts(ingestion, collection, embedder):
    ingest(ingestion, text(1, 2, 1, 2, 1))
    assert stored(collection) == text(1, 2, 1, 2, 1).split("\n\n")
    ingest(ingestion, text(1, 2, 1))
    assert stored(collection) == text(1, 2, 1).split("\n\n")


def test_ingest_updates_metadata_without_embedding(ingestion, collection, embedder):
    ingest(ingestion, text(1, 2), metadata={"year": 2024})
    done = ingest(ingestion, text(1, 2), metadata={"year": 2025})
    assert (done.embedded, done.unchanged) == (0, 2)
    assert {record.metadata["year"] for record in collection.scan()} == {2025}
    with pytest.raises(InputError, match="reserved names: document, position"):
        ingest(ingestion, text(1), metadata={"position": 3, "document": "x"})


def test_ingest_refuses_empty_text_and_keeps_the_old_version(ingestion, collection, embedder):
    ingest(ingestion, text(1))
    for content in ("", "\n \n", "\u200b"):
        with pytest.raises(DocumentRefused) as caught:
            ingest(ingestion, content)
        assert caught.value.reason == "empty"
    assert stored(collection) == [text(1)]


def test_ingest_reads_unseekable_streams(ingestion, collection):
    class Unseekable(io.BytesIO):
        def seekable(self):
            return False

        def seek(self, *_):
            raise OSError

    ingestion.ingest("a.txt", Unseekable(text(1, 2).encode()))
    assert stored(collection) == text(1, 2).split("\n\n")


def test_ingest_continues_after_the_time_limit(collection, chunker):
    """With a clock that advances with each request."""
    clock = StepClock()
    backend = FakeEmbedder(FAKE, limits=Limits(max_items=4, concurrency=1), fault=lambda _: clock.advance(1))
    with backend as embedder:
        ingestion = Ingestion(embedder, collection, chunker, clock=clock)
        first, steps = 0, []
        while True:
            done = ingest(ingestion, text(*range(400)), deadline=clock.now() + 60, first_chunk=first)
            steps.append(done)
            if done.next_chunk is None:
                break
            assert done.next_chunk > first
            first = done.next_chunk
        assert len(steps) > 1
        assert stored(collection) == text(*range(400)).split("\n\n")
        assert embedded(embedder) == sum(step.embedded for step in steps) == 400
        other = ingest(ingestion, text(7, 8, 9), first_chunk=2)
        assert other.chunks == 3, "first_chunk referred to other content"
        assert stored(collection) == text(7, 8, 9).split("\n\n")


class StepClock:
    def __init__(self):
        self._now = 0.0

    def now(self):
        return self._now

    def advance(self, seconds):
        self._now += seconds

    def sleep(self, seconds, cancelled):
        self.advance(seconds)


def test_ingest_raises_after_the_deadline(ingestion, collection):
    with pytest.raises(DeadlineExceeded):
        ingest(ingestion, text(1), deadline=time.monotonic() - 1)
    assert collection.count() == 0


def test_ingest_stores_responses_when_a_request_hangs(collection, chunker):
    released = threading.Event()

    def fault(texts):
        if any("Paragraph 21 " in chunk for chunk in texts):
            released.wait(30)

    with FakeEmbedder(FAKE, limits=Limits(max_items=4, concurrency=1), fault=fault) as embedder:
        ingestion = Ingestion(embedder, collection, chunker)
        done = ingest(ingestion, text(*range(60)), deadline=time.monotonic() + 1.5)
        released.set()
        assert done.next_chunk is not None
        assert 0 < done.next_chunk <= 21
        assert collection.count() == done.next_chunk
        ingest(ingestion, text(*range(60)), first_chunk=done.next_chunk)
    assert stored(collection) == text(*range(60)).split("\n\n")


def test_ingest_keeps_embedded_chunks_after_a_failure(collection, chunker):
    failing = threading.Event()
    failing.set()

    def fault(texts):
        return ModelFailed("down") if failing.is_set() and any("Paragraph 21 " in chunk for chunk in texts) else None

    with FakeEmbedder(FAKE, limits=Limits(max_items=4, concurrency=1), fault=fault) as embedder:
        ingestion = Ingestion(embedder, collection, chunker)
        with pytest.raises(ModelFailed):
            ingest(ingestion, text(*range(40)))
        assert collection.count() >= 16
        failing.clear()
        done = ingest(ingestion, text(*range(40)))
    assert done.unchanged >= 16
    assert stored(collection) == text(*range(40)).split("\n\n")


def test_ingest_restarts_if_earlier_chunks_are_missing(collection, chunker):
    """A restarted attempt failed before it reached first_chunk."""
    with FakeEmbedder(FAKE, limits=Limits(max_items=4, concurrency=1)) as embedder:
        ingestion = Ingestion(embedder, collection, chunker)
        ingest(ingestion, text(*range(40)))
        ids = [record.id for record in collection.scan() if record.metadata["position"] >= 20]
        collection.delete(ids)
        assert ingest(ingestion, text(*range(40)), first_chunk=30).embedded == 20
        assert ingest(ingestion, text(*range(40)), first_chunk=30).chunks == 10
    assert stored(collection) == text(*range(40)).split("\n\n")


def test_concurrent_ingestion_of_the_same_content(collection, chunker):
    with FakeEmbedder(FAKE, limits=Limits(max_items=4), fault=lambda _: time.sleep(0.002)) as embedder:
        ingestion = Ingestion(embedder, collection, chunker)
        ingest(ingestion, text(*range(30)))
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda _: ingest(ingestion, text(*range(10, 50))), range(4)))
    assert stored(collection) == text(*range(10, 50)).split("\n\n")


def test_reconciling_calls_end_with_the_current_content(collection, chunker):
    """Versions change while several callers ingest them, as with S3 objects."""
    versions = [text(*range(30)), text(*range(20, 60)), None, text(5, 6, 7, *range(100, 120))]
    slow = FakeEmbedder(FAKE, limits=Limits(max_items=4), fault=lambda _: time.sleep(0.002))
    current = 0
    lock = threading.Lock()

    def work(ingestion):
        nonlocal current
        seen = -1
        while seen != current:
            reconcile = seen >= 0
            seen = current
            content = versions[seen]
            if content is None:
                ingestion.remove("a.txt", reconcile_concurrent_versions=reconcile)
            else:
                ingest(ingestion, content, reconcile_concurrent_versions=reconcile)
            with lock:
                current = min(current + 1, len(versions) - 1)

    with slow, ThreadPoolExecutor(3) as pool:
        list(pool.map(work, [Ingestion(slow, collection, chunker)] * 3))
    assert stored(collection) == versions[-1].split("\n\n")


@pytest.mark.parametrize("options", [{"max_tokens": 32}, {"prefix": "{source}: "}, {"overlap": 4}])
def test_ingestion_rejects_a_collection_of_another_chunker(embedder, collection, minilm_folder, options):
    other = Chunker(minilm_folder / "tokenizer.json", **{"max_tokens": 24, **options})
    with pytest.raises(CollectionMismatch, match="chunker"):
        Ingestion(embedder, collection, other)


def test_prefix_is_embedded_but_not_stored(pgvector, embedder, minilm_folder):
    chunker = Chunker(minilm_folder / "tokenizer.json", 32, prefix="{source} > {headings}: ")
    collection = pgvector.open(collection_info("prefixed", embedder, chunker))
    ingestion = Ingestion(embedder, collection, chunker)
    ingest(ingestion, "# Pump\n\nPress the button.", "a.md")
    assert embedder.requests == [["a.md > Pump: # Pump\n\nPress the button."]]
    assert stored(collection, "a.md") == ["# Pump\n\nPress the button."]
    assert collection.info.prompt == "{source} > {headings}: "
    ingest(ingestion, "# Valve\n\nPress the button.", "a.md")
    assert len(embedder.requests) == 2


def test_requests_continue_while_records_are_stored(pgvector, chunker):
    in_flight, peak = 0, 0
    lock = threading.Lock()

    def fault(_):
        nonlocal in_flight, peak
        with lock:
            in_flight += 1
            peak = max(peak, in_flight)
        time.sleep(0.005)
        with lock:
            in_flight -= 1

    class SlowCollection:
        """A store whose writes take as long as several requests."""

        def __init__(self, inner):
            self._inner = inner
            self.waited_for = []

        def __getattr__(self, name):
            return getattr(self._inner, name)

        def upsert(self, records):
            before = embedded(embedder)
            time.sleep(0.05)
            self.waited_for.append(embedded(embedder) - before)
            return self._inner.upsert(records)

    with FakeEmbedder(FAKE, limits=Limits(max_items=8, concurrency=2), fault=fault) as embedder:
        collection = SlowCollection(pgvector.open(collection_info("overlapping", embedder, chunker)))
        ingest(Ingestion(embedder, collection, chunker), text(*range(600)))
    assert peak == 2
    assert max(collection.waited_for) >= 16, "requests continue while records are stored"


def test_late_chunking_needs_its_own_collection(pgvector, embedder, minilm_folder):
    chunker = Chunker(minilm_folder / "tokenizer.json", 20)
    info = collection_info("late", embedder, chunker, late=True)
    collection = pgvector.open(info)
    with pytest.raises(CollectionMismatch, match="late-semantic"):
        Ingestion(embedder, collection, chunker)
    ingestion = Ingestion(embedder, collection, chunker, late=True)
    first = ingest(ingestion, text(*range(60)))
    assert first.embedded == first.chunks == len(stored(collection))
    assert ingest(ingestion, text(*range(60))).embedded == 0
    changed = ingest(ingestion, text(0, 99, *range(2, 60)))
    assert 1 < changed.embedded < 20, "only the windows with the changed paragraph"
    assert len(stored(collection)) == changed.chunks
    assert replace(info, name="late") == collection.info


def test_search_rejects_empty_queries_and_other_models(embedder, collection):
    with pytest.raises(InputError, match="empty"):
        search(embedder, collection, " \n")
    with FakeEmbedder(replace(FAKE, dimensions=4)) as other, pytest.raises(CollectionMismatch, match="8 dimensions"):
        search(other, collection, "x")


def test_search_rejects_another_revision(store, chunker):
    with FakeEmbedder(replace(FAKE, revision="a1")) as pinned, FakeEmbedder(replace(FAKE, revision="b2")) as other:
        collection = store.open(collection_info("revisions", pinned, chunker))
        try:
            assert search(pinned, collection, "x") == []
            with pytest.raises(CollectionMismatch, match="revision a1, but the query's revision is b2"):
                search(other, collection, "x")
        finally:
            store.drop("revisions")


def test_search_rejects_another_query_prompt(store, chunker):
    model = replace(FAKE, prompts={"query": "query: "})
    with FakeEmbedder(model) as embedder, FakeEmbedder(FAKE) as unprompted:
        opened = store.open(collection_info("query-prompt", embedder, chunker))
        try:
            assert opened.info.query_prompt == "query: "
            assert search(embedder, opened, "x") == []
            with pytest.raises(CollectionMismatch, match="prompt 'query: ', but the query's prompt is ''"):
                search(unprompted, opened, "x")
        finally:
            store.drop("query-prompt")


def test_unknown_model_is_ingested_and_found(store, chunker):
    unknown = ModelInfo("my-org/my-model", normalized=None)
    with FakeEmbedder(unknown) as writer, FakeEmbedder(unknown) as reader:
        opened = store.open(collection_info("unknown-model", writer, chunker))
        try:
            assert opened.info.dimensions == 8
            Ingestion(writer, opened, chunker).ingest("a.txt", io.BytesIO(b"one text"))
            assert [hit.text for hit in search(reader, opened, "one text")] == ["one text"]
        finally:
            store.drop("unknown-model")
