"""Reindexing a collection of documents with another model."""

import io
from dataclasses import replace

import numpy as np
import pytest

from embedstack.documents import Chunker, Ingestion, reindex
from embedstack.documents.ingestion import collection_info
from embedstack.embedders import FakeEmbedder
from embedstack.errors import CollectionMismatch
from tests.integration.documents.conftest import FAKE

TEMPLATE = "{source} > {headings}: "
MARKDOWN = b"# Pump\n\nPress the button.\n\n## Valve\n\nTurn it to the left."


@pytest.fixture
def other():
    model = replace(FAKE, model_id="embedstack/other", dimensions=12, prompts={"document": "passage: "})
    with FakeEmbedder(model) as embedder:
        yield embedder


@pytest.fixture
def fill(store, embedder, minilm_folder):
    """A function that creates a collection with one document."""

    def fill(content=MARKDOWN, *, late=False, **chunking):
        chunker = Chunker(minilm_folder / "tokenizer.json", 32, **chunking)
        store.drop("reindexed")
        collection = store.open(collection_info("reindexed", embedder, chunker, late=late))
        Ingestion(embedder, collection, chunker, late=late).ingest("a.md", io.BytesIO(content))
        return collection

    yield fill
    store.drop("reindexed")


@pytest.mark.parametrize("template", ["", TEMPLATE])
def test_reindex_embeds_chunks_with_their_prefixes(store, fill, other, minilm_folder, template):
    chunks = fill(prefix=template).count()
    collection = reindex(store, "reindexed", other, template=template)
    assert (collection.count(), chunks) == (2, 2)
    assert collection.info.prompt == f"passage: {template}"
    [first, second] = sorted(collection.scan(), key=lambda record: record.metadata["position"])
    headings = ["a.md > Pump: ", "a.md > Pump > Valve: "] if template else ["", ""]
    for record, prefix in zip((first, second), headings, strict=True):
        [vector] = other.embed_documents([prefix + record.text])
        np.testing.assert_allclose(record.vector, vector, atol=1e-6)


def test_documents_can_be_added_after_reindex(store, fill, minilm_folder):
    fill(prefix=TEMPLATE)
    with FakeEmbedder(replace(FAKE, model_id="embedstack/alike", dimensions=12)) as alike:
        collection = reindex(store, "reindexed", alike, template=TEMPLATE)
        before = len(alike.requests)
        ingestion = Ingestion(alike, collection, Chunker(minilm_folder / "tokenizer.json", 32, prefix=TEMPLATE))
        done = ingestion.ingest("a.md", io.BytesIO(MARKDOWN))
        assert (done.embedded, done.unchanged) == (0, 2)
        assert len(alike.requests) == before
        assert ingestion.ingest("b.md", io.BytesIO(MARKDOWN)).embedded == 2


@pytest.mark.parametrize(
    ("options", "template", "message"),
    [
        ({"prefix": TEMPLATE}, "", "Set it to the collection's prefix"),
        ({}, TEMPLATE, "Set it to the collection's prefix"),
        ({"late": True}, "", "late chunking.*another collection"),
        # Stored headings are truncated to 120 characters, embedded ones are not.
        (
            {"prefix": "{headings}: ", "content": b"# " + b"Pump " * 30 + b"\n\nPress."},
            "{headings}: ",
            "prefix of a chunk of a.md",
        ),
    ],
)
def test_reindex_rejects_vectors_it_cannot_recompute(store, fill, other, options, template, message):
    info = fill(**options).info
    with pytest.raises(CollectionMismatch, match=message):
        reindex(store, "reindexed", other, template=template)
    assert other.requests == []
    assert store.describe("reindexed") == info
