"""Reader roles, rejected connections and poolers of Postgres."""

import time
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from click.testing import CliRunner

from embedstack.errors import CollectionNotFound, ConfigurationError
from embedstack.stores.pgvector import PgVectorStore
from embedstack_ops.cli.main import main
from tests.integration.stores.samples import collection, records, unit_vectors
from tests.support.pgbouncer import pgbouncer


@pytest.fixture(scope="module")
def reader_url(pgvector, database_url):
    pgvector.grant_reader("reader of 'collections'", "not used by the server")
    return psycopg.conninfo.make_conninfo(database_url, user="reader of 'collections'")


def test_reader_searches_collections_created_before_and_after(pgvector, reader_url):
    opened = pgvector.open(collection("read"))
    opened.upsert(records(30))
    opened.optimize()
    query = unit_vectors(1)[0]
    with PgVectorStore(reader_url) as store:
        assert opened.info in store.collections()
        read = store.open(store.describe("read"), create=False)
        assert read.count() == read.count({"number": {"$gte": 0}}) == len(list(read.scan())) == 30
        assert len(read.get(["r00001"])) == len(read.unchanged({"r00001": records(2)[1].content_hash})) == 1
        assert len(read.search(query, 5)) == len(read.search(query, 5, mode="exact")) == 5
        assert len(read.search(query, 5, mode="hybrid", text="text 4")) == 5
        assert len(read.search(None, 5, mode="keyword", text="text 4")) == 5
        for write in (lambda: read.upsert(records(1, prefix="new")), lambda: read.delete(["r00001"]),
                      lambda: store.open(collection("another")), lambda: store.drop("read")):  # fmt: skip
            with pytest.raises(ConfigurationError, match="may not do this"):
                write()
    assert opened.count() == 30


def test_reader_changes_nothing_in_an_empty_database(postgres):
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS untouched")
        connection.execute("CREATE DATABASE untouched")
    url = psycopg.conninfo.make_conninfo(
        postgres.database_url("untouched"), options="-c default_transaction_read_only=on"
    )
    with PgVectorStore(url) as store:
        assert store.collections() == []
        with pytest.raises(CollectionNotFound):
            store.describe("any")
        with pytest.raises(CollectionNotFound):
            store.open(collection("any"), create=False)
        store.drop("any")
        with pytest.raises(ConfigurationError, match="read-only"):
            store.open(collection("any"))
    with psycopg.connect(postgres.database_url("untouched")) as connection:
        assert connection.execute("SELECT FROM pg_namespace WHERE nspname = 'embedstack'").fetchone() is None


def test_database_commands_migrate_and_grant(database_url, pgvector, monkeypatch):
    monkeypatch.setenv("DATABASE_URL", database_url)
    pgvector.open(collection("commands"))
    assert "up to date" in CliRunner().invoke(main, ["database", "migrate"]).output
    assert "may read" in CliRunner().invoke(main, ["database", "grant-reader", "searcher"]).output
    with PgVectorStore(psycopg.conninfo.make_conninfo(database_url, user="searcher")) as store:
        assert store.describe("commands") == collection("commands")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"dbname": "restart timeout"}, 'database "restart timeout" does not exist'),
        ({"user": "nobody"}, 'role "nobody" does not exist'),
        ({"options": "-c nosuch=1"}, 'unrecognized configuration parameter "nosuch"'),
        ({"options": "-c work_mem=much"}, "invalid value for parameter"),
        ({"sslmode": "certainly"}, "invalid sslmode value"),
    ],
)
def test_rejected_connections_raise_the_servers_sentence_at_once(database_url, changes, sentence):
    started = time.monotonic()
    with pytest.raises(ConfigurationError, match=sentence):
        PgVectorStore(psycopg.conninfo.make_conninfo(database_url, **changes), patience=60)
    assert time.monotonic() - started < 30


def test_role_that_is_lost_later_ends_the_retries(pgvector, database_url, reader_url):
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("CREATE ROLE temporary LOGIN")
        pgvector.grant_reader("temporary")
        with PgVectorStore(psycopg.conninfo.make_conninfo(database_url, user="temporary"), patience=60) as store:
            assert store.collections() is not None
            connection.execute("ALTER ROLE temporary NOLOGIN")
            connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'temporary'")
            with pytest.raises(ConfigurationError, match="not permitted to log in"):
                store.collections()


@pytest.fixture
def pooled_url(database_url, tmp_path):
    with pgbouncer(database_url, tmp_path) as url:
        yield url


def test_store_works_through_a_transaction_pooler(pooled_url, pgvector):
    pgvector.drop("pooled")
    with PgVectorStore(pooled_url) as store:
        info = store.open(collection("pooled")).info

        def work(client):
            with PgVectorStore(pooled_url, max_connections=2) as own:
                opened = own.open(info)
                for turn in range(8):
                    opened.upsert(records(10, prefix=f"{client}-{turn}-"))
                    assert len(opened.search(unit_vectors(1)[0], 5, mode="hybrid", text=f"text {turn}")) == 5
                    assert len(opened.search(unit_vectors(1)[0], 5, mode="exact")) == 5
                    assert opened.delete([f"{client}-{turn}-00000"]) == 1
                opened.optimize()

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(work, range(4)))
        assert store.open(info).count() == 4 * 8 * 9
    with psycopg.connect(pooled_url) as connection:
        assert connection.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'").fetchone() == (0,)
