"""What a child does to connections, files and processes of its parent: nothing."""

import os
import re
import select
import time

import psycopg
import pytest
from fork_safety import PER_ROUND, count_requests

from embedstack.stores import embedded_postgres
from tests.support.forked import start_child


def test_processes_receive_only_their_vectors_over_tls(endpoint, monkeypatch):
    monkeypatch.setenv("AWS_CA_BUNDLE", str(endpoint.ca))
    counts = count_requests(endpoint, 5 * PER_ROUND)
    assert counts == {"right": 5 * PER_ROUND}


def test_connection_pool_lock_held_at_fork_does_not_hang_a_child(run_program):
    done = run_program("""
        import threading, sys
        from tests.support.forked import start_child
        from tests.integration.forks.objects import embed, sagemaker
        embedder = sagemaker()
        embed(embedder, 1)
        manager = embedder._invoker._client._client._endpoint.http_session._manager
        pools = list(manager.pools._container.values())
        assert pools
        def hold():
            for pool in pools:
                pool.pool.mutex.acquire()
            reached.set()
            ended.wait()
            for pool in pools:
                pool.pool.mutex.release()
        reached, ended = threading.Event(), threading.Event()
        holding = threading.Thread(target=hold)
        holding.start()
        reached.wait()
        def child():
            import gc, weakref
            embed(embedder, 2)
            gc.collect()
            weakref.finalize._exitfunc()  # what closes urllib3's pools when an interpreter exits
            return "embedded"
        print(start_child(child)())
        ended.set()
    """)
    assert (done.stdout, done.stderr) == ("embedded\n", "")


def test_child_that_exits_leaves_connections_to_postgres_alone(run_program, postgres_url):
    done = run_program(
        """
        import os, sys, warnings
        from embedstack.stores.pgvector import PgVectorStore
        warnings.simplefilter("ignore", DeprecationWarning)
        store = PgVectorStore(sys.argv[1], max_connections=1)
        store.migrate()
        def backend():
            return store._database.run(lambda connection: connection.info.backend_pid)
        before = backend()
        for _ in range(3):
            pid = os.fork()
            if pid == 0:
                assert backend() != before
                del store  # finalized here, and with the interpreter
                sys.exit(0)
            assert os.waitpid(pid, 0)[1] == 0
        print(backend() == before)
        store.close()
        """,
        postgres_url,
    )
    assert (done.stdout, done.stderr) == ("True\n", "")


def test_postgres_connections_end_with_their_process(run_program, postgres_url):
    done = run_program(
        """
        import os, signal, sys, time, warnings
        from embedstack.stores.pgvector import PgVectorStore
        warnings.simplefilter("ignore", DeprecationWarning)
        store = PgVectorStore(sys.argv[1] + "&application_name=forked", max_connections=1)
        store.collections()
        if os.fork() == 0:
            for descriptor in (0, 1, 2):  # so that nobody waits for this process
                os.close(descriptor)
            time.sleep(30)
            os._exit(0)
        os.kill(os.getpid(), signal.SIGKILL)
        """,
        postgres_url,
    )
    assert done.returncode == -9, done.stderr
    query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'forked'"
    deadline = time.monotonic() + 20
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        while connection.execute(query).fetchone() != (0,):
            assert time.monotonic() < deadline, "the connection is still there"
            time.sleep(0.05)


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="needs Linux")
def test_document_reader_ends_with_its_process(run_program):
    done = run_program("""
        import io, os, signal, time, warnings
        from embedstack.documents import read_document
        from embedstack.documents.readers import isolated
        warnings.simplefilter("ignore", DeprecationWarning)
        read_document(io.BytesIO(b"x"), "a.txt")
        print(isolated.idle_pool.processes[0].pid, flush=True)
        if os.fork() == 0:
            for descriptor in (0, 1, 2):  # so that nobody waits for this process
                os.close(descriptor)
            time.sleep(30)
            os._exit(0)
        os.kill(os.getpid(), signal.SIGKILL)
    """)
    assert done.returncode == -9, done.stderr
    try:
        descriptor = os.pidfd_open(int(done.stdout))
    except ProcessLookupError:
        return  # it has ended already
    assert select.select([descriptor], [], [], 20)[0], "it still runs"
    os.close(descriptor)


def test_child_starts_its_own_document_reader(run_program):
    done = run_program("""
        import io
        from embedstack.documents import read_document
        from tests.support.forked import start_child
        def read(name):
            return "".join(section.text for section in read_document(io.BytesIO(name.encode()), "a.txt").sections)
        read("parent")
        waits = [start_child(lambda number=number: read(f"child {number}")) for number in range(3)]
        print(read("parent"), *(wait() for wait in waits))
    """)
    assert (done.stdout, done.stderr) == ("parent child 0 child 1 child 2\n", "")


def test_cache_file_is_intact_after_its_first_process_closed_it(run_program, tmp_path):
    done = run_program("""
        import os, sys
        from pathlib import Path
        import numpy as np
        from embedstack.cache.cached_embedder import SqliteCache
        from tests.support.forked import start_child
        path = Path("cache.db")
        keys = [number.to_bytes(32, "big") for number in range(400)]
        def put(cache, some):
            for key in some:
                cache.put({key: np.full(8, key[-1], np.float32)})
        cache = SqliteCache(path)
        put(cache, keys[:100])
        closed, was_closed = os.pipe()
        def child():
            put(cache, keys[100:200])
            os.read(closed, 1)
            put(cache, keys[200:300])
            return "put"
        wait = start_child(child)
        put(cache, keys[300:])
        cache.close()
        os.write(was_closed, b"x")
        assert wait() == "put"
        print(len(SqliteCache(path).get(keys)))
    """)
    assert (done.stdout, done.stderr) == ("400\n", "")


def test_embedded_postgres_lock_is_released_despite_a_child(tmp_path):
    ended, end = os.pipe()

    def child():
        os.read(ended, 1)
        return "ended"

    with embedded_postgres._locked(tmp_path / "data"):
        wait = start_child(child)

    def take():
        with embedded_postgres._locked(tmp_path / "data"):
            return "taken"

    try:
        assert start_child(take)() == "taken"
    finally:
        os.write(end, b"x")
        assert wait() == "ended"


def test_generation_stream_continues_only_in_its_process(run_program, aws_variables):
    done = run_program(
        """
        from embedstack.generation import Generator
        from tests.support.forked import start_child
        generator = Generator("anthropic.claude-3-5-haiku-20241022-v1:0")
        parts = generator.stream("how are you today")
        first = next(parts)
        def child():
            try:
                next(parts)
            except Exception as error:
                return str(error)
        print(start_child(child)())
        print(first + "".join(parts))
        """,
        **aws_variables,
    )
    assert re.fullmatch(r"This stream was started .* in this process\.\nYou said: how are you today\n", done.stdout)
    assert done.stderr == ""
