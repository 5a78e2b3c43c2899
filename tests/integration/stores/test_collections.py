"""What every store does with collections: knows their facts, holds others to them, and gives them another model."""

import dataclasses
from concurrent.futures import ThreadPoolExecutor

import pytest

from embedstack.errors import (
    CollectionMismatch,
    CollectionNotFound,
    CollectionReplaced,
    RecordRefused,
    ReplacementIncomplete,
)
from embedstack.stores import reembed
from tests.integration.stores.samples import collection, records, unit_vectors


@pytest.mark.parametrize(
    ("facts", "named"),
    [
        ({"model_id": "BAAI/bge-m3"}, ["sentence-transformers/all-MiniLM-L6-v2", "BAAI/bge-m3"]),
        ({"dimensions": 16}, ["8", "16"]),
        ({"context": "code"}, ["None", "'code'"]),
        ({"prompt": "query: "}, ["''", "'query: '"]),
        ({"revision": "abc"}, ["None", "'abc'"]),
        ({"distance": "euclidean"}, ["'cosine'", "'euclidean'"]),
        ({"chunker": "v2"}, ["None", "'v2'"]),
    ],
)
def test_a_collection_of_other_vectors_is_refused_with_both_named(store, filled, facts, named):
    with pytest.raises(CollectionMismatch) as raised:
        store.open(dataclasses.replace(filled.info, **facts))
    assert all(name in str(raised.value) for name in named)
    assert store.describe("filled") == filled.info


def test_a_collection_says_what_it_is(store, fresh):
    name = "facts-of-it"
    info = collection(name, 12, revision="abc", context="code", prompt='a "prompt": ü\n', chunker="v1/256+32")
    store.drop(name)
    store.open(info)
    assert store.describe(name) == info
    assert info in store.collections()
    assert store.open(info, create=False).info == info
    store.drop(name)
    assert info not in store.collections()
    with pytest.raises(CollectionNotFound, match=name):
        store.describe(name)
    with pytest.raises(CollectionNotFound, match=name):
        store.open(info, create=False)
    with pytest.raises(CollectionNotFound, match=name):
        store.open_replacement(info)
    store.drop(name)


def test_who_makes_a_collection_at_the_same_time_opens_the_others(store):
    name = "made-at-once"
    store.drop(name)
    with ThreadPoolExecutor(6) as pool:
        opened = list(pool.map(lambda _: store.open(collection(name)), range(12)))
    assert {one.info for one in opened} == {collection(name)}
    assert opened[0].upsert(records(3)).inserted == opened[1].upsert(records(3)).unchanged == 3
    store.drop(name)


def test_a_context_of_the_collection_is_that_of_its_records(store):
    store.drop("only-code")
    code = store.open(collection("only-code", context="code"))
    plain = dataclasses.replace(records(1)[0], context=None)
    code.upsert([plain])
    assert code.get([plain.id])[plain.id].context == "code"
    with pytest.raises(RecordRefused, match="'docs'"):
        code.upsert([dataclasses.replace(plain, context="docs")])
    store.drop("only-code")


def test_reembedding_switches_readers_that_open_it_next(store, fresh):
    batch = records(20)
    fresh.upsert(batch)
    wider = dataclasses.replace(fresh.info, model_id="BAAI/bge-m3", dimensions=16)
    embedded = []

    def embed(texts):
        embedded.extend(texts)
        if len(embedded) == len(batch):  # written meanwhile
            fresh.upsert([dataclasses.replace(batch[3], text="changed", content_hash=b"")])
            fresh.upsert([dataclasses.replace(batch[4], metadata={"changed": True})])
            fresh.delete([batch[5].id])
        return unit_vectors(len(texts), 16)

    new = reembed(store, wider, embed)
    assert sorted(embedded) == sorted([*(record.text for record in batch), "changed"])
    assert store.describe(fresh.info.name) == wider
    assert new.count() == 19
    assert new.get([batch[3].id, batch[4].id])[batch[4].id].metadata == {"changed": True}
    with pytest.raises(CollectionMismatch, match="dimensions"):
        store.open(fresh.info)
    # Who reads with the old model goes on, and cannot write into what nobody will search.
    assert len(fresh.search(unit_vectors(1)[0])) == 10
    with pytest.raises(CollectionReplaced):
        fresh.upsert(records(1))
    with pytest.raises(CollectionReplaced):
        fresh.delete(["r00000"])
    assert store.drop_replaced(fresh.info.name) == 1
    with pytest.raises((CollectionReplaced, CollectionNotFound)):
        fresh.search(unit_vectors(1)[0])
    assert store.open(wider).count() == 19


def test_a_replacement_that_lacks_records_does_not_take_the_place(store, fresh):
    fresh.upsert(records(4))
    wider = dataclasses.replace(fresh.info, dimensions=16)
    replacement = store.open_replacement(wider)
    replacement.upsert(records(3, 16))
    with pytest.raises(ReplacementIncomplete, match="1 record"):
        store.switch(replacement)
    with pytest.raises(CollectionMismatch):
        store.open_replacement(dataclasses.replace(wider, dimensions=32))
    again = store.open_replacement(wider)
    assert again.count() == 3
    store.switch(again, complete=False)
    store.switch(again)
    assert store.describe(fresh.info.name) == wider
