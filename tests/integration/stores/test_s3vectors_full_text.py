"""Keyword and hybrid searches of the S3 Vectors store, and filters that the service cannot evaluate."""

import base64
import dataclasses
import json
import time
import urllib.request
from dataclasses import asdict
from typing import Any

import boto3
import numpy as np
import pytest

from embedstack.calls.call_context import Call
from embedstack.errors import ConfigurationError, FilterRefused, StoreUnavailable
from embedstack.stores import Record
from embedstack.stores.s3vectors import S3VectorsStore, collection as collection_module
from localaws.core.clock import TIME_PATH
from tests.integration.stores.samples import BUCKET, collection, records, unit_vectors

TEXTS = {
    "a": "Error E-4711 of the pump",
    "b": "The pump was replaced",
    "c": "Valves of the pump leak",
    "d": "Annual report",
}


def notes():
    """Four records; the query's vector is that of ``d``, and ``a`` is the farthest from it."""
    metadata: list[dict[str, Any]] = [
        {"published": "2026-03-01", "path": "docs/a"}, {"published": "2026-03-02T10:00:00+02:00"}, {"published": 3}, {},
    ]  # fmt: skip
    angles = {"a": 1.5, "b": 0.2, "c": 0.4, "d": 0.0}
    return [
        Record(key, text, np.array([np.cos(angles[key]), np.sin(angles[key])], np.float32), one)
        for (key, text), one in zip(TEXTS.items(), metadata, strict=True)
    ]


NEAR_D = np.array([1, 0], np.float32)


@pytest.fixture(scope="module")
def sent():
    """Name and parameters of the requests that the store sent, in order."""
    return []


@pytest.fixture(scope="module")
def s3vectors(s3vectors_settings, sent):
    """A store in the vector bucket."""
    return S3VectorsStore(BUCKET, settings=s3vectors_settings, session=session(sent))


def session(sent, mode=""):
    """A session that notes its requests.

    With a mode, the service's descriptions of buckets and indexes are changed to it; None removes it. The local AWS,
    like AWS today, creates only indexes in the mode ENHANCED.
    """

    def note(params, model, **_):
        sent.append((model.name, params))

    def describe(parsed, **_):
        for resource, member in (("vectorBucket", "defaultIndexMode"), ("index", "indexMode")):
            if resource in parsed:
                parsed[resource] = {**parsed[resource], member: mode} if mode else without(parsed[resource], member)

    session = boto3.Session("testing", "testing", region_name="us-east-1")
    session.events.register("provide-client-params.s3vectors", note)
    if mode != "":
        for operation in ("GetVectorBucket", "GetIndex"):
            session.events.register(f"after-call.s3vectors.{operation}", describe)
    return session


def without(members, name):
    return {member: value for member, value in members.items() if member != name}


def operations(sent):
    return [operation for operation, _ in sent]


def queries(sent):
    return [parameters for operation, parameters in sent if operation == "QueryVectors"]


def searchable(client, index):
    configuration = client.get_index(vectorBucketName=BUCKET, indexName=index)["index"]["metadataConfiguration"]
    return configuration.get("textSearchConfigurations")


@pytest.fixture(scope="module")
def client(local_aws):
    return boto3.Session("testing", "testing", region_name="us-east-1").client("s3vectors", endpoint_url=local_aws.url)


@pytest.fixture
def opened(s3vectors):
    """A collection with four records."""
    opened = s3vectors.open(collection("notes", 2, language="en"))
    opened.upsert(notes())
    yield opened
    s3vectors.drop("notes")


@pytest.fixture
def set_clock(local_aws):
    """Change the clock of the local AWS; it runs again after the test."""

    def set_clock(**change):
        urllib.request.urlopen(local_aws.url + TIME_PATH, json.dumps(change).encode()).close()

    yield set_clock
    set_clock(speed=1)


def ids(hits):
    return [hit.record.id for hit in hits]


def test_new_collection_is_searchable_at_once(s3vectors, client, sent):
    sent.clear()
    s3vectors.open(collection("new-one", 2, language="de"))
    assert "UpdateMetadataConfiguration" not in operations(sent)
    assert searchable(client, "new-one") == [{"metadataKey": "embedstack-text", "language": "de", "status": "ACTIVE"}]
    s3vectors.drop("new-one")


@pytest.mark.parametrize("language", [None, "sv"])
def test_collection_without_supported_language_uses_the_standard_analyzer(s3vectors, client, language):
    opened = s3vectors.open(collection("plain", 2, language=language))
    assert searchable(client, "plain") == [{"metadataKey": "embedstack-text", "status": "ACTIVE"}]
    opened.upsert(notes())
    assert ids(opened.search(None, mode="keyword", text="valves")) == ["c"]
    assert ids(opened.search(None, mode="keyword", text="valve")) == []
    s3vectors.drop("plain")


def test_hybrid_search_fuses_words_and_vectors(opened):
    hits = opened.search(NEAR_D, mode="hybrid", text="E-4711")
    # By vector: d, b, c, a. By words: a.
    assert ids(hits) == ["a", "d", "b", "c"]
    assert [hit.score for hit in hits] == pytest.approx([1 / 64 + 1 / 61, 1 / 61, 1 / 62, 1 / 63])
    assert [hit.similarity for hit in hits] == pytest.approx([np.cos(angle) for angle in (1.5, 0, 0.2, 0.4)], abs=1e-6)
    assert ids(opened.search(NEAR_D, mode="hybrid", text="E-4711", threshold=0.95)) == ["d", "b"]
    assert ids(opened.search(NEAR_D, 1, mode="hybrid", text="E-4711", filter={"path": "docs/a"})) == ["a"]


@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
def test_hybrid_search_computes_similarities_that_the_service_omits(s3vectors, distance):
    opened = s3vectors.open(collection("far-away", distance=distance))
    batch = records(120)
    query = batch[0].vector
    similarities = [
        float(record.vector @ query) if distance == "cosine" else -float(np.linalg.norm(record.vector - query))
        for record in batch
    ]
    farthest = int(np.argmin(similarities))
    opened.upsert(
        dataclasses.replace(record, text="needle" if index == farthest else "hay") for index, record in enumerate(batch)
    )
    hits = opened.search(query, 3, mode="hybrid", text="needle")
    assert batch[farthest].id in ids(hits)
    for hit in hits:
        assert hit.similarity == pytest.approx(similarities[int(hit.record.id[1:])], abs=1e-5)
    above = opened.search(query, 120, mode="hybrid", text="needle", threshold=float(np.median(similarities)))
    assert len(above) == 60
    s3vectors.drop("far-away")


def test_long_query_is_cut_after_a_word(opened, sent):
    filler = " ".join(["filler"] * 140)
    text = f"valves {filler} {'x' * 60} E-4711"
    assert len(text) > 1024
    assert ids(opened.search(None, mode="keyword", text=text)) == ["c"]
    (query,) = queries(sent)[-1]["queryTexts"]
    assert query["text"] == text[: len(query["text"])]
    assert text[len(query["text"])] == " "
    assert opened.search(None, mode="keyword", text="x" * 5000) == []


def test_filter_that_too_few_results_match_is_refused(s3vectors, monkeypatch, sent):
    monkeypatch.setattr(collection_module, "MAX_RESULTS", 150)
    opened = s3vectors.open(collection("many-notes"))
    batch = records(400)
    opened.upsert(
        dataclasses.replace(record, metadata={"day": f"2026-01-{1 + index % 20:02}"})
        for index, record in enumerate(batch)
    )
    query = unit_vectors(1)[0]
    where = {"day": {"$gt": "2026-01-19"}}
    sent.clear()
    assert len(opened.search(query, 2, filter=where)) == 2
    assert 1 <= len(queries(sent)) <= 2
    with pytest.raises(FilterRefused, match=r"\$gt of 'day'.*\$prefix"):
        opened.search(query, 100, filter=where)
    assert len(opened.search(query, 100, filter=where, threshold=0.999)) <= 1
    s3vectors.drop("many-notes")


def test_existing_collection_becomes_searchable_when_opened_for_writing(s3vectors, client, sent, set_clock):
    info = collection("from-before", 2)
    properties = without(asdict(info), "language") | {"text_search": "simple"}
    encoded = base64.b64encode(json.dumps(properties).encode()).decode()
    client.create_index(
        vectorBucketName=BUCKET, indexName=info.name, dataType="float32", dimension=2, distanceMetric="cosine",
        metadataConfiguration={"nonFilterableMetadataKeys": ["embedstack-text", "embedstack-hash"]},
        tags={f"embedstack:collection-{at // 256}": encoded[at : at + 256] for at in range(0, len(encoded), 256)},
    )  # fmt: skip
    sent.clear()
    reader = s3vectors.open(info, create=False)
    with pytest.raises(ConfigurationError, match="no full-text index yet"):
        reader.search(None, mode="keyword", text="pump")
    assert not {"UpdateMetadataConfiguration", "UpdateIndexMode"} & set(operations(sent))
    reader.upsert(notes())
    set_clock(speed=0)
    writer = s3vectors.open(info)
    s3vectors.open(info)
    assert operations(sent).count("UpdateMetadataConfiguration") == 1
    with pytest.raises(StoreUnavailable, match="being built") as raised:
        Call(deadline=time.monotonic() + 0.2).context().run(writer.search, None, mode="keyword", text="pump")
    assert raised.value.retryable
    assert ids(writer.search(NEAR_D, 1)) == ["d"]
    # The clock runs again, and the next searches wait until the index is built.
    set_clock(speed=10)
    assert sorted(ids(writer.search(None, mode="keyword", text="pump"))) == ["a", "b", "c"]
    assert len(reader.search(NEAR_D, mode="hybrid", text="pump")) == 4
    sent.clear()
    reader.search(None, mode="keyword", text="pump")
    assert operations(sent) == ["QueryVectors"]
    s3vectors.drop(info.name)


def test_index_in_classic_mode_is_enhanced_when_opened_for_writing(s3vectors_settings):
    sent: list[Any] = []
    store = S3VectorsStore(BUCKET, settings=s3vectors_settings, session=session(sent, "CLASSIC"))
    store.open(collection("classic", 2))
    (created,) = (parameters for operation, parameters in sent if operation == "CreateIndex")
    assert "textSearchConfigurations" not in created["metadataConfiguration"]
    assert operations(sent)[-2:] == ["UpdateIndexMode", "UpdateMetadataConfiguration"]
    store.drop("classic")


def test_server_without_index_modes_searches_by_vector_only(s3vectors_settings):
    sent: list[Any] = []
    store = S3VectorsStore(BUCKET, settings=s3vectors_settings, session=session(sent, None))
    opened = store.open(collection("elsewhere", 2))
    opened.upsert(notes())
    assert not {"UpdateIndexMode", "UpdateMetadataConfiguration"} & set(operations(sent))
    for mode in ("keyword", "hybrid"):
        with pytest.raises(ConfigurationError, match="no full-text search"):
            opened.search(NEAR_D, mode=mode, text="pump")
    assert ids(opened.search(NEAR_D, filter={"path": {"$prefix": "docs/"}})) == ["a"]
    assert "$startsWith" not in json.dumps(queries(sent)[-1]["filter"])
    store.drop("elsewhere")
