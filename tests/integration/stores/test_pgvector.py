"""Behaviour of the Postgres store only: indexes, hybrid search, schemas, limits."""

import dataclasses
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import psycopg
import pytest
from psycopg import sql

from embedstack.errors import ConfigurationError, RecordRefused, StoreError
from embedstack.stores import CollectionInfo, Record
from embedstack.stores.filters import matches, parse_filter
from embedstack.stores.pgvector import PgVectorStore
from tests.integration.stores.samples import MODEL, collection, records, unit_vectors

COUNT, DIMENSIONS = 3000, 64


@pytest.fixture(scope="module")
def indexed(pgvector):
    """A collection of 3,000 records with indexes."""
    opened = pgvector.open(collection("indexed", DIMENSIONS))
    vectors = unit_vectors(COUNT, DIMENSIONS)
    opened.upsert(
        Record(f"r{index:05}", f"text {index}", vector, {"number": index, "thousandth": index % 1000 == 7})
        for index, vector in enumerate(vectors)
    )
    opened.optimize()
    return opened


def indexes(url, table):
    with psycopg.connect(url) as connection:
        rows = connection.execute("SELECT indexdef FROM pg_indexes WHERE tablename = %s", (table,)).fetchall()
    return [row[0] for row in rows]


def test_approximate_search_has_the_recall_of_exact_search(indexed, database_url):
    assert any("USING hnsw (embedding vector_cosine_ops)" in definition
               for definition in indexes(database_url, f"records_{indexed.generation.id}"))  # fmt: skip
    same = total = 0
    for query in unit_vectors(60, DIMENSIONS, seed=1):
        exact = {hit.record.id for hit in indexed.search(query, mode="exact")}
        approximate = {hit.record.id for hit in indexed.search(query)}
        assert len(exact) == len(approximate) == 10
        same, total = same + len(exact & approximate), total + len(exact)
    assert same / total >= 0.98


@pytest.mark.parametrize("where", [{"number": {"$lt": 40}}, {"number": {"$gte": 1500}}, {"number": {"$gt": 2989}}])
def test_filtered_search_returns_k_hits(indexed, where):
    for query in unit_vectors(10, DIMENSIONS, seed=2):
        exact = indexed.search(query, filter=where, mode="exact")
        hits = indexed.search(query, filter=where)
        assert len(hits) == 10
        assert len({hit.record.id for hit in exact} & {hit.record.id for hit in hits}) >= 9
        assert [hit.similarity for hit in hits] == sorted((hit.similarity for hit in hits), reverse=True)


def test_selective_filter_returns_all_matches(indexed):
    hits = indexed.search(unit_vectors(1, DIMENSIONS)[0], filter={"thousandth": True})
    assert {hit.record.id for hit in hits} == {"r00007", "r01007", "r02007"}


def test_search_with_k_above_the_index_limit(indexed):
    assert len(indexed.search(unit_vectors(1, DIMENSIONS)[0], k=1500)) == 1500


def test_optimize_runs_concurrently_with_writes_and_itself(pgvector, database_url):
    opened = pgvector.open(collection("live"))
    opened.upsert(records(200))
    done = threading.Event()

    def write():
        written = 0
        while not done.is_set():
            opened.upsert(records(20, prefix=f"w{written}-"))
            written += 20
        return written

    with ThreadPoolExecutor(3) as pool:
        writing = pool.submit(write)
        building = [pool.submit(opened.optimize) for _ in range(2)]
        for future in building:
            future.result(60)
        done.set()
        written = writing.result(60)
    assert opened.count() == 200 + written
    assert len(indexes(database_url, f"records_{opened.generation.id}")) == 4


@pytest.mark.parametrize("options", [{}, {"only_missing": True}])
def test_optimize_rebuilds_an_invalid_index(pgvector, database_url, options):
    opened = pgvector.open(collection("interrupted"))
    opened.upsert(records(10))
    opened.optimize()
    index = f"records_{opened.generation.id}_embedding"
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "UPDATE pg_index SET indisvalid = false WHERE indexrelid = %s::regclass", (f"embedstack.{index}",)
        )
    opened.optimize(**options)
    with psycopg.connect(database_url) as connection:
        row = connection.execute(
            "SELECT indisvalid FROM pg_index WHERE indexrelid = %s::regclass", (f"embedstack.{index}",)
        ).fetchone()
    assert row == (True,)


def test_optimize_only_missing_does_not_wait_for_another_build(pgvector, database_url):
    opened = pgvector.open(collection("half-built"))
    with psycopg.connect(database_url, autocommit=True) as other:
        lock = (0x656D62, opened.generation.id)
        other.execute("SELECT pg_advisory_lock(%s::int, %s::int)", lock)
        opened.optimize(only_missing=True)
        assert len(indexes(database_url, f"records_{opened.generation.id}")) == 1
        other.execute("SELECT pg_advisory_unlock(%s::int, %s::int)", lock)
    opened.optimize(only_missing=True)
    assert len(indexes(database_url, f"records_{opened.generation.id}")) == 4


def test_hybrid_search_finds_records_by_text(pgvector):
    opened = pgvector.open(collection("hybrid", language="en"))
    batch = records(60)
    odd_one = dataclasses.replace(batch[17], text="The flux capacitor's torque wrenches", content_hash=b"")
    opened.upsert([*batch[:17], odd_one, *batch[18:]])
    query = -odd_one.vector
    assert odd_one.id not in {hit.record.id for hit in opened.search(query)}
    hits = opened.search(query, mode="hybrid", text="Which wrench fits a capacitor?")
    assert odd_one.id in {hit.record.id for hit in hits[:2]}
    assert len(hits) == 10
    # First by keywords and not among the nearest, or the other way round: half of the highest score.
    text_hit = next(hit for hit in hits if hit.record.id == odd_one.id)
    assert text_hit.score == pytest.approx(0.5)
    assert text_hit.similarity == pytest.approx(-1, abs=1e-5)
    first = opened.search(query, k=1)[0].record.id
    assert next(hit.score for hit in hits if hit.record.id == first) == pytest.approx(0.5)
    above = opened.search(query, mode="hybrid", text="wrench", threshold=0.0)
    assert odd_one.id not in {hit.record.id for hit in above}
    for words in ("", "the of", "'\\ & | ! <-> :*", "a\0b"):
        assert len(opened.search(query, mode="hybrid", text=words or " ")) == 10
    assert all(
        hit.record.metadata["parity"] == "odd"
        for hit in opened.search(query, mode="hybrid", text="text 4", filter={"parity": "odd"})
    )


def test_hybrid_search_uses_sparse_vectors(pgvector):
    opened = pgvector.open(collection("sparse", sparse_dimensions=250_002))
    batch = [dataclasses.replace(record, sparse={7 + i: 0.5, 250_001: 0.1}) for i, record in enumerate(records(30))]
    assert opened.upsert([*batch, *records(5, prefix="none")]).inserted == 35
    opened.optimize()
    assert opened.get([batch[3].id])[batch[3].id].sparse == pytest.approx({10: 0.5, 250_001: 0.1})
    hits = opened.search(-batch[11].vector, k=3, mode="hybrid", sparse={18: 1.0})
    assert batch[11].id in {hit.record.id for hit in hits}
    with pytest.raises(ConfigurationError, match="sparse"):
        opened.search(batch[0].vector, sparse={18: 1.0})
    with pytest.raises(RecordRefused, match="250001"):
        opened.upsert([dataclasses.replace(batch[0], sparse={250_002: 1.0})])


def test_long_vectors_are_stored_as_float16_up_to_the_limit(pgvector):
    opened = pgvector.open(collection("long", 3072))
    batch = records(5, 3072)
    opened.upsert(batch)
    opened.optimize()
    hits = opened.search(batch[2].vector, k=1)
    assert (hits[0].record.id, hits[0].similarity) == (batch[2].id, pytest.approx(1, abs=1e-3))
    np.testing.assert_allclose(opened.get([batch[2].id])[batch[2].id].vector, batch[2].vector, atol=1e-3)
    with pytest.raises(ConfigurationError, match="4000"):
        pgvector.open(collection("longer", 4001))


def test_search_by_euclidean_distance(pgvector):
    opened = pgvector.open(collection("euclidean", distance="euclidean"))
    batch = [dataclasses.replace(record, vector=record.vector * (index + 1)) for index, record in enumerate(records(9))]
    opened.upsert(batch)
    opened.optimize()
    query = np.zeros(8, np.float32)
    hits = opened.search(query, k=9)
    assert [hit.record.id for hit in hits] == [record.id for record in batch]
    assert hits[2].similarity == pytest.approx(-3, abs=1e-4)


@pytest.mark.parametrize("name", ['x"; DROP SCHEMA embedstack CASCADE; --', "ab", "UPPER", "a" * 64, "-ab", "a_b"])
def test_collection_rejects_invalid_names(name):
    with pytest.raises(ConfigurationError, match="Invalid collection name"):
        collection(name)


@pytest.mark.parametrize("language", ["english", "EN", "", "e'"])
def test_collection_rejects_invalid_languages(language):
    with pytest.raises(ConfigurationError, match="Invalid language"):
        collection("good", language=language)


def test_open_with_unsupported_language_creates_nothing(pgvector):
    with pytest.raises(ConfigurationError, match="'xh'"):
        pgvector.open(collection("xhosa", language="xh"))
    assert "xhosa" not in {info.name for info in pgvector.collections()}


def test_concurrent_opens_migrate_and_create_once(postgres):
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS crowd")
        connection.execute("CREATE DATABASE crowd")
    url = postgres.database_url("crowd")

    def first(number):
        with PgVectorStore(url, schema='odd "schema"') as store:
            opened = store.open(collection("crowded"))
            return opened.generation.id, opened.upsert(records(10)).inserted

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(first, range(4)))
    assert len({number for number, _ in results}) == 1
    assert sum(inserted for _, inserted in results) == 10
    with psycopg.connect(url) as connection:
        assert connection.execute('SELECT count(*) FROM "odd ""schema""".migrations').fetchone() == (3,)


def test_open_rejects_the_schema_of_a_newer_release(postgres, pgvector, database_url):
    with PgVectorStore(database_url, schema="newer") as store:
        store.migrate()
    with psycopg.connect(database_url) as connection:
        connection.execute("INSERT INTO newer.migrations (number, name) VALUES (9999, 'later')")
    with pytest.raises(ConfigurationError, match=r"newer embedstack \(migration 9999\)"):
        PgVectorStore(database_url, schema="newer")


@pytest.mark.parametrize(
    ("url", "message"), [("not an address", "DATABASE_URL"), ("postgresql://embedstack@/absent?host={host}", "absent")]
)
def test_open_rejects_an_invalid_database(postgres, url, message):
    host = postgres.url.partition("host=")[2]
    with pytest.raises(ConfigurationError, match=message):
        PgVectorStore(url.format(host=host))


def test_store_errors_and_logs_contain_no_texts_or_vectors(pgvector, caplog):
    caplog.set_level("DEBUG")
    opened = pgvector.open(CollectionInfo("quiet", MODEL, 8))
    secret = Record("id", "a secret text", np.full(8, 0.123456, np.float32), {"owner": "a secret name"})
    opened.upsert([secret])
    with psycopg.connect(pgvector._database._address) as connection:
        connection.execute(
            sql.SQL("ALTER TABLE {} ADD CHECK (body <> 'another secret text')").format(opened.generation.table)
        )
    with pytest.raises(StoreError, match="check constraint") as raised:
        opened.upsert([dataclasses.replace(secret, id="other", text="another secret text")])
    assert raised.value.__cause__ is None
    output = f"{raised.value}{caplog.text}"
    assert "secret" not in output
    assert "0.123" not in output


_INSTANTS = [
    "2026-01-31", "2026-01-31T12:00", "2026-01-31 12:00:00.1234567Z", "2026-01-31T12:00:00,5+01:30", "2024-02-29",
    "2026-02-30", "2026-13-01", "0000-01-01", "2026-01-31T12:00-14", "20260131", "x2026-01-31",
    "0001-01-01T00:00+14:00", "9999-12-31T23:59:59.999999999Z", "", "a\nb", "reports/%_x",
]  # fmt: skip


def test_text_and_date_filters_agree_with_their_definition(pgvector):
    opened = pgvector.open(collection("text-filters"))
    values = [*_INSTANTS, *([value, 3, "other"] for value in _INSTANTS), 5, None, True, {"x": "2026-01-31"}]
    batch = [
        Record(
            f"r{index:03}", "t", unit_vectors(1)[0], {"it's": value}, context=value if isinstance(value, str) else None
        )
        for index, value in enumerate(values)
    ]
    opened.upsert(batch)
    bounds = [
        "2026-01-31",
        "2026-01-31T12:00:00.123456Z",
        "2026-01-31T10:30:00.5",
        "2024-02-29T00:00:00Z",
        "9999-12-31",
    ]
    filters = [{"it's": {symbol: bound}} for symbol in ("$gt", "$gte", "$lt", "$lte") for bound in bounds]
    filters += [{name: {symbol: text}} for name in ("it's", "context") for symbol in ("$prefix", "$contains")
                for text in ("2026-01", "\n", "%_", "Z", "x2", "\\")]  # fmt: skip
    for where in filters:
        conditions = parse_filter(where)
        expected = {record.id for record in batch if matches(record, conditions)}
        assert {hit.record.id for hit in opened.search(batch[0].vector, 100, filter=where)} == expected, where
