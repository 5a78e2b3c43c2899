"""Killed servers, lost connections and concurrent writes: no record is lost or stored twice."""

import dataclasses
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import psycopg
import pytest

from embedstack.calls.call_context import Call
from embedstack.calls.clock import SystemClock
from embedstack.errors import CollectionMismatch, CollectionReplaced, StoreUnavailable
from embedstack.stores import embedded_postgres, reembed
from embedstack.stores.pgvector import PgVectorStore
from tests.integration.stores.samples import collection, records, unit_vectors

WRITERS, BATCHES, SIZE = 4, 25, 40


def test_killed_and_restarted_server_loses_no_records(postgres, pgvector):
    opened = pgvector.open(collection("killed"))
    opened.optimize()
    done = threading.Event()

    def write(writer):
        for batch in range(BATCHES):
            opened.upsert(records(SIZE, prefix=f"{writer}-{batch}-"))
            time.sleep(0.02)

    def read():
        searched = 0
        while not done.is_set():
            opened.search(unit_vectors(1)[0])
            searched += 1
        return searched

    with ThreadPoolExecutor(WRITERS + 1) as pool:
        writing = [pool.submit(write, writer) for writer in range(WRITERS)]
        reading = pool.submit(read)
        try:
            time.sleep(0.3)
            server = embedded_postgres.find(postgres.folder)
            assert server is not None
            os.kill(server.pid, signal.SIGKILL)
            embedded_postgres.start(postgres.folder)
            assert not all(future.done() for future in writing)
            for future in writing:
                future.result(90)
        finally:
            done.set()
        assert reading.result(30) > 0
    expected = {
        record.id for w in range(WRITERS) for b in range(BATCHES) for record in records(SIZE, prefix=f"{w}-{b}-")
    }
    stored = [record.id for record in opened.scan()]
    assert len(stored) == len(set(stored))
    assert set(stored) == expected
    # The index contains each record once.
    for query in unit_vectors(3, seed=5):
        assert len({hit.record.id for hit in opened.search(query, k=300)}) == 300


def test_terminated_connections_are_retried(pgvector, database_url):
    opened = pgvector.open(collection("ended"))
    opened.upsert(records(5))
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    assert opened.count() == 5
    assert opened.upsert(records(6)).inserted == 1


def test_idle_session_timeouts_are_retried(database_url):
    url = psycopg.conninfo.make_conninfo(database_url, options="-c idle_session_timeout=100ms")
    with PgVectorStore(url) as store:
        opened = store.open(collection("idle"))
        opened.upsert(records(5))
        time.sleep(0.5)
        assert opened.count() == 5


def test_unavailable_server_raises_after_patience(postgres, database_url):
    with PgVectorStore(database_url, patience=0.5) as store:
        opened = store.open(collection("away"))
        opened.upsert(records(4))
        assert embedded_postgres.stop(postgres.folder)
        try:
            assert embedded_postgres.find(postgres.folder) is None
            assert not embedded_postgres.stop(postgres.folder)
            with pytest.raises(StoreUnavailable, match="DATABASE_URL") as raised:
                opened.count()
            assert raised.value.retryable
            with pytest.raises(StoreUnavailable):
                PgVectorStore(database_url, patience=0.2)
            # The call's time limit takes precedence over the patience.
            started = time.monotonic()
            with pytest.raises(StoreUnavailable, match="for 0"):
                Call().until(0.5, SystemClock()).context().run(PgVectorStore, database_url)
            assert time.monotonic() - started < 5
        finally:
            embedded_postgres.start(postgres.folder)
    with PgVectorStore(database_url) as store:
        assert store.open(collection("away")).count() == 4


def test_connection_timeouts_default_and_can_be_overridden(database_url):
    def parameters(url):
        with PgVectorStore(url) as store:
            return store._database.run(lambda connection: connection.info.get_parameters())

    names = ("connect_timeout", "tcp_user_timeout", "keepalives_idle")
    assert [parameters(database_url)[name] for name in names] == ["5", "10000", "30"]
    overridden = parameters(psycopg.conninfo.make_conninfo(database_url, tcp_user_timeout=3000))
    assert [overridden[name] for name in names] == ["5", "3000", "30"]


def test_concurrent_upserts_of_the_same_records_do_not_deadlock(pgvector):
    opened = pgvector.open(collection("same"))
    batch = records(300)

    def put(seed):
        shuffled = [dataclasses.replace(record, metadata={"by": seed}) for record in batch]
        np.random.default_rng(seed).shuffle(shuffled)
        return opened.upsert(shuffled)

    with ThreadPoolExecutor(6) as pool:
        results = list(pool.map(put, range(12)))
    assert sum(result.inserted for result in results) == opened.count() == 300
    assert sum(result.updated for result in results) == 11 * 300


def read_until(done, store, name):
    """Search until done and return the dimensions seen; every search must return hits of one model."""
    dimensions = set()
    while not done.is_set():
        info = store.describe(name)
        try:
            opened = store.open(info, create=False)
        except CollectionMismatch:
            continue  # switched since it was described
        assert len(opened.search(unit_vectors(1, info.dimensions)[0])) == 10
        dimensions.add(info.dimensions)
    return dimensions


def test_switch_with_concurrent_readers_and_writers(pgvector):
    name, first, second = "switched", collection("switched"), collection("switched", 16)
    narrow, wide = records(260), {record.text: record for record in records(260, 16)}
    pgvector.open(first).upsert(narrow[:100])
    done = threading.Event()

    def write():
        """Write with the collection's current model. Acknowledged records must not be lost."""
        acknowledged = 0
        opened = pgvector.open(first)
        for index, record in enumerate(narrow[100:]):
            try:
                opened.upsert([record if opened.info == first else wide[record.text]])
            except CollectionReplaced:
                opened = pgvector.open(second)
                opened.upsert([wide[record.text]])
            acknowledged = index + 1
            if index > 100:
                time.sleep(0.03)  # slow enough for the switch to find a gap
        return acknowledged

    def embed(texts):
        return np.stack([wide[text].vector for text in texts])

    with ThreadPoolExecutor(3) as pool:
        reading = [pool.submit(read_until, done, pgvector, name) for _ in range(2)]
        writing = pool.submit(write)
        try:
            while pgvector.open(first).count() < 160:
                time.sleep(0.01)
            switched = reembed(pgvector, second, embed)
            acknowledged = writing.result(60)
            time.sleep(0.1)
        finally:
            done.set()
        seen = set().union(*(future.result(30) for future in reading))
    assert seen == {8, 16}
    assert acknowledged == 160
    assert switched.count() == 260
    for record in switched.scan():
        np.testing.assert_array_equal(record.vector, wide[record.text].vector)
