"""Collections in every kind of store: properties, concurrent creation, re-embedding and switching."""

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
    ("properties", "named"),
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
def test_open_rejects_other_properties_and_names_both(store, filled, properties, named):
    with pytest.raises(CollectionMismatch) as raised:
        store.open(dataclasses.replace(filled.info, **properties))
    assert all(name in str(raised.value) for name in named)
    assert store.describe("filled") == filled.info


def test_open_compares_a_recorded_query_prompt(store):
    recorded = collection("prompted", query_prompt="query: ")
    store.drop("prompted")
    store.open(recorded)
    for requested in ("query: ", None):
        assert store.open(collection("prompted", query_prompt=requested)).info == recorded
    with pytest.raises(CollectionMismatch, match="query prompt: stored 'query: ', requested ''"):
        store.open(collection("prompted", query_prompt=""))
    store.drop("prompted")


def test_describe_returns_all_properties(store, empty):
    name = "described"
    info = collection(
        name, 12, revision="abc", context="code", prompt='a "prompt": ü\n', chunker="v1/256+32", query_prompt="ü\n"
    )
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


def test_concurrent_creation_opens_one_collection(store):
    name = "created-concurrently"
    store.drop(name)
    with ThreadPoolExecutor(6) as pool:
        opened = list(pool.map(lambda _: store.open(collection(name)), range(12)))
    assert {created.info for created in opened} == {collection(name)}
    assert opened[0].upsert(records(3)).inserted == opened[1].upsert(records(3)).unchanged == 3
    store.drop(name)


def test_records_inherit_the_collections_context(store):
    store.drop("only-code")
    code = store.open(collection("only-code", context="code"))
    plain = dataclasses.replace(records(1)[0], context=None)
    code.upsert([plain])
    assert code.get([plain.id])[plain.id].context == "code"
    with pytest.raises(RecordRefused, match="'docs'"):
        code.upsert([dataclasses.replace(plain, context="docs")])
    store.drop("only-code")


def test_reembed_switches_collections_that_are_opened_later(store, empty):
    batch = records(20)
    empty.upsert(batch)
    wider = dataclasses.replace(empty.info, model_id="BAAI/bge-m3", dimensions=16)
    embedded = []

    def embed(texts):
        embedded.extend(texts)
        if len(embedded) == len(batch):  # concurrent writes
            empty.upsert([dataclasses.replace(batch[3], text="changed", content_hash=b"")])
            empty.upsert([dataclasses.replace(batch[4], metadata={"changed": True})])
            empty.delete([batch[5].id])
        return unit_vectors(len(texts), 16)

    new = reembed(store, wider, embed)
    assert sorted(embedded) == sorted([*(record.text for record in batch), "changed"])
    assert store.describe(empty.info.name) == wider
    assert new.count() == 19
    assert new.get([batch[3].id, batch[4].id])[batch[4].id].metadata == {"changed": True}
    with pytest.raises(CollectionMismatch, match="dimensions"):
        store.open(empty.info)
    # Collections opened before the switch still read, but cannot write.
    assert len(empty.search(unit_vectors(1)[0])) == 10
    with pytest.raises(CollectionReplaced):
        empty.upsert(records(1))
    with pytest.raises(CollectionReplaced):
        empty.delete(["r00000"])
    assert store.drop_replaced(empty.info.name) == 1
    with pytest.raises((CollectionReplaced, CollectionNotFound)):
        empty.search(unit_vectors(1)[0])
    assert store.open(wider).count() == 19


def test_switch_rejects_incomplete_replacements(store, empty):
    empty.upsert(records(4))
    wider = dataclasses.replace(empty.info, dimensions=16)
    replacement = store.open_replacement(wider)
    replacement.upsert(records(3, 16))
    with pytest.raises(ReplacementIncomplete, match="1 record"):
        store.switch(replacement)
    with pytest.raises(CollectionMismatch):
        store.open_replacement(dataclasses.replace(wider, dimensions=32))
    reopened = store.open_replacement(wider)
    assert reopened.count() == 3
    store.switch(reopened, complete=False)
    store.switch(reopened)
    assert store.describe(empty.info.name) == wider
