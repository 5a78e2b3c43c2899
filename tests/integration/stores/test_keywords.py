"""Keyword search in Postgres: BM25, analysis by language, identifiers, writes and migration."""

import dataclasses
import math
import re
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files

import numpy as np
import psycopg
import pytest
from psycopg import sql

from embedstack.errors import ConfigurationError
from embedstack.stores import Record
from embedstack.stores.pgvector import PgVectorStore
from tests.integration.stores.samples import collection, records, unit_vectors

K1, B = 1.2, 0.75


def texts(*bodies, prefix="t"):
    vectors = unit_vectors(len(bodies))
    return [
        Record(f"{prefix}{index:04}", body, vector, {"number": index, "parity": "odd" if index % 2 else "even"})
        for index, (body, vector) in enumerate(zip(bodies, vectors, strict=True))
    ]


def found(opened, text, k=10, **arguments):
    return [hit.record.id for hit in opened.search(None, k, mode="keyword", text=text, **arguments)]


def bm25(bodies, query):
    """Scores by the definition, for words that analysis leaves as they are."""
    documents = [body.split() for body in bodies]
    average = sum(map(len, documents)) / len(documents)
    scores = np.zeros(len(documents))
    for term in query.split():
        matching = sum(term in words for words in documents)
        idf = math.log(1 + (len(documents) - matching + 0.5) / (matching + 0.5))
        for index, words in enumerate(documents):
            frequency = words.count(term)
            scores[index] += idf * frequency / (frequency + K1 * (1 - B + B * len(words) / average))
    return scores


def random_bodies(count, seed=0):
    random = np.random.default_rng(seed)
    vocabulary = [f"word{index}" for index in range(60)]
    weights = 1 / np.arange(1, 61)
    return [
        " ".join(random.choice(vocabulary, random.integers(3, 30), p=weights / weights.sum())) for _ in range(count)
    ]


def assert_scores(opened, bodies_by_id, query):
    ids, bodies = zip(*sorted(bodies_by_id.items()), strict=True)
    expected = {key: score for key, score in zip(ids, bm25(bodies, query), strict=True) if score > 0}
    hits = opened.search(None, 1000, mode="keyword", text=query)
    assert {hit.record.id: hit.score for hit in hits} == pytest.approx(expected)
    assert [(-hit.score, hit.record.id) for hit in hits] == sorted((-hit.score, hit.record.id) for hit in hits)


def test_keyword_scores_are_those_of_bm25_after_every_kind_of_write(pgvector):
    opened = pgvector.open(collection("bm25"))
    stored = {}

    def write(batch):
        opened.upsert(batch)
        stored.update({record.id: record.text for record in batch})

    for start in range(0, 120, 10):  # enough batches to be merged
        write(texts(*random_bodies(10, seed=start), prefix=f"{start:03}-"))
    assert_scores(opened, stored, "word0 word7 word7 word30")
    write(texts(*random_bodies(10, seed=1000), prefix="020-"))
    write([dataclasses.replace(record, metadata={}) for record in texts(*random_bodies(10, seed=30), prefix="030-")])
    assert opened.delete(["000-0001", "000-0002", "absent"]) == 2
    del stored["000-0001"], stored["000-0002"]
    opened.replace({"number": 3}, texts("word7 word9", prefix="new-"))
    stored = {key: body for key, body in stored.items() if not key.endswith("3") or key.startswith("030-")}
    stored["new-0000"] = "word7 word9"
    assert_scores(opened, stored, "word0 word7 word30")
    opened.optimize()
    assert_scores(opened, stored, "word9 word7 word1")


def test_concurrent_writes_keep_the_keyword_index_exact(pgvector, database_url):
    opened = pgvector.open(collection("concurrent-keywords"))

    def write(writer):
        for turn in range(12):
            # Two writers share each id.
            opened.upsert(texts(*random_bodies(8, seed=100 * writer + turn), prefix=f"{writer % 2}-{turn}-"))
            opened.delete([f"{writer % 2}-{turn}-0000"])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    stored = {record.id: record.text for record in opened.scan()}
    assert_scores(opened, stored, "word0 word3 word12")
    with psycopg.connect(database_url) as connection:
        row = connection.execute(
            sql.SQL("SELECT sum(documents), count(*) FROM {}").format(opened.generation.keyword_table("batches"))
        ).fetchone()
    assert row is not None
    documents, batches = row
    assert documents == len(stored)
    assert batches < 40


CASES = [
    ("en", ["The compression of running engines", "a cat", "Nothing"], "Which engine compresses?", ["t0000"]),
    ("de", ["Die Häuser am See", "Ein Haus", "Der Hund"], "häusern", ["t0001", "t0000"]),
    (None, ["the engines", "an engine"], "engine", ["t0001"]),
    ("ja", ["日本語の検索エンジン", "東京の天気"], "検索", ["t0000"]),
    ("zh", ["我喜欢猫", "我喜欢狗"], "猫", ["t0000"]),
    ("ko", ["한국어 검색", "날씨 예보"], "검색", ["t0000"]),
    ("en", ["GPUの使用率", "CPUの温度"], "gpu 使用", ["t0000"]),
    ("en", ["error ERR_CONN_42 occurs", "ERR_CONN_43", "42 errors"], "ERR_CONN_42", ["t0000", "t0001", "t0002"]),
    ("en", ["call foo.bar(x)", "bar none"], "foo.bar", ["t0000", "t0001"]),
    ("en", ["version 3.11.0", "version 3.12.0"], '"3.11.0"', ["t0000", "t0001"]),
    ("en", ["a state-of-the-art engine", "art"], "state-of-the-art", ["t0000", "t0001"]),
    ("en", ["high-temperature water", "air of high temperature"], "high-temperature air", ["t0001", "t0000"]),
    ("en", ["the theory", "e.g. a cat, i.e. an animal"], "theory, e.g. of groups, i.e. sets", ["t0000"]),
    ("en", ["U.S. law", "letters u and s"], "U.S. taxes", ["t0000"]),
    ("fr", ["re\u0301sume\u0301", "autre"], "r\u00e9sum\u00e9", ["t0000"]),
]


@pytest.mark.parametrize(("language", "bodies", "query", "expected"), CASES)
def test_keyword_search_analyzes_texts_by_language(pgvector, language, bodies, query, expected):
    pgvector.drop("analysis")
    opened = pgvector.open(collection("analysis", language=language))
    opened.upsert(texts(*bodies))
    assert found(opened, query) == expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [("the of and", 0), ("", 0), ("!?'\\ & | <-> :* \"", 0), ("a\0b word1", 1), ("word1 " * 1600, 1), ("\U0001f600", 0),
     (" ".join(f"unknown{index}" for index in range(900)) + " word1", 1), ("x" * 10_000, 0)],
)  # fmt: skip
def test_keyword_search_accepts_every_text(pgvector, query, expected):
    opened = pgvector.open(collection("queries", language="en"))
    opened.upsert(texts("word1 and more", "another text"))
    assert len(found(opened, query)) == expected
    assert len(opened.search(unit_vectors(1)[0], mode="hybrid", text=query)) == 2


def test_keyword_search_applies_filter_threshold_and_order(pgvector):
    opened = pgvector.open(collection("conditions", language="en"))
    batch = texts(*["same words here"] * 30)
    opened.upsert(reversed(batch))
    ids = [record.id for record in batch]
    assert found(opened, "words", k=7) == ids[:7]
    assert found(opened, "words", k=30) == ids
    assert found(opened, "words", filter={"number": {"$gte": 28}}) == ids[28:]
    assert found(opened, "words", k=2, filter={"parity": "odd"}) == [ids[1], ids[3]]
    assert found(opened, "words", filter={"context": {"$gt": 1}}) == []
    query = batch[4].vector
    hits = opened.search(query, 30, mode="keyword", text="words", threshold=0.5)
    similar = [record.id for record in batch if record.vector @ query >= 0.5]
    assert [hit.record.id for hit in hits] == similar
    assert all(hit.similarity >= 0.5 for hit in hits)
    assert opened.search(None, mode="keyword", text="words")[0].similarity is None
    with pytest.raises(ConfigurationError, match="threshold"):
        found(opened, "words", threshold=0.5)
    with pytest.raises(ConfigurationError, match="text"):
        opened.search(query, mode="keyword")


def test_documents_with_distant_numbers_are_ranked(pgvector, database_url):
    """Numbers are not used again, so that those of a much-changed collection are far apart."""
    opened = pgvector.open(collection("distant"))
    stored = texts(*random_bodies(30))
    opened.upsert(stored[:15])
    table = opened.generation.keyword_table("documents")
    with psycopg.connect(database_url) as connection:
        connection.execute(sql.SQL("ALTER TABLE {} ALTER number RESTART WITH 2000000000").format(table))
    opened.upsert(stored[15:])
    assert opened.delete(["t0003", "t0020"]) == 2
    bodies = {record.id: record.text for record in stored if record.id not in ("t0003", "t0020")}
    assert_scores(opened, bodies, "word0 word7 word30")


def test_long_texts_are_indexed_up_to_the_limit(pgvector):
    opened = pgvector.open(collection("long-texts"))
    letters = [chr(0x1D400 + index % 26) + chr(0x61 + index % 26) + str(index) for index in range(60_000)]
    opened.upsert(texts(" ".join(letters), "x" * 3_000_000, "one word"))
    assert found(opened, "word") == ["t0002"]
    assert found(opened, letters[5]) == ["t0000"]


def old_schema(url, schema, count):
    """The schema of migrations 1 and 2 with a collection, as an older release left it."""
    folder = files("embedstack.stores.pgvector").joinpath("migrations")
    scripts = sorted(file.name for file in folder.iterdir() if re.match(r"000[12]_", file.name))
    with psycopg.connect(url) as connection:
        connection.execute(f"CREATE SCHEMA {schema}; SET search_path = {schema}, public".encode())
        connection.execute("CREATE TABLE migrations (number integer PRIMARY KEY, name text, applied_at timestamptz)")
        for number, name in enumerate(scripts, 1):
            connection.execute(folder.joinpath(name).read_text().encode())
            connection.execute("INSERT INTO migrations VALUES (%s, %s, now())", (number, name))
        connection.execute("INSERT INTO collections (name) VALUES ('old')")
        connection.execute(
            "INSERT INTO generations (collection, state, model_id, dimensions, distance, prompt, text_search) "
            "VALUES ('old', 'active', 'sentence-transformers/all-MiniLM-L6-v2', 8, 'cosine', '', 'german')"
        )
        connection.execute(
            'CREATE TABLE records_1 (id text COLLATE "C" PRIMARY KEY, content_hash bytea NOT NULL, body text NOT NULL, '
            "context text, metadata jsonb NOT NULL, embedding vector(8) NOT NULL, "
            "words tsvector GENERATED ALWAYS AS (to_tsvector('german', body)) STORED)"
        )
        connection.execute(
            "INSERT INTO records_1 SELECT 'r' || n, sha256('x'), 'Die Häuser ' || n, NULL, '{}', "
            "'[1,0,0,0,0,0,0,0]' FROM generate_series(1, %s) AS n",
            (count,),
        )


def test_existing_collections_get_language_and_keywords(pgvector, database_url):
    old_schema(database_url, "before", 2500)
    with PgVectorStore(database_url, schema="before") as store:
        with pytest.raises(ConfigurationError, match="database migrate"):
            store.describe("old")
        assert [name[:4] for name in store.migrate()] == ["0003"]
        assert store.migrate() == []
        info = store.describe("old")
        assert info.language == "de"
        opened = store.open(info, create=False)
        assert found(opened, "haus 77") == ["r77", *sorted(f"r{number}" for number in range(1, 2501))[:9]]
        opened.upsert(records(1))
        assert found(opened, "text") == ["r00000"]
