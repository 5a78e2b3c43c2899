"""Hits, misses, age, size, encryption, several processes, a kill; and that no text is ever on disk."""

import base64
import contextlib
import sqlite3
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from embedstack.cache.cached_embedder import CachedEmbedder, MemoryCache, SqliteCache
from embedstack.cache.memory import ENTRY_BYTES
from embedstack.embedders import FakeEmbedder, Limits
from embedstack.embedders.fake import FAKE_MODEL, fake_vector
from embedstack.errors import ConfigurationError, InputError, PayloadTooLarge
from embedstack.models.model_info import ModelInfo
from tests.support.twins import TWINS

KEY = base64.b64encode(bytes(range(32))).decode()
VECTOR = np.arange(8, dtype=np.float32)


@pytest.fixture(params=TWINS, ids=lambda twin: twin.name)
def twin(request):
    return request.param


@pytest.fixture(params=["memory", "sqlite", "encrypted"])
def make(request, tmp_path):
    made = []

    def make(**options):
        if request.param == "memory":
            cache: MemoryCache | SqliteCache = MemoryCache(**options)
        else:
            cache = SqliteCache(tmp_path / "cache.db", key=KEY if request.param == "encrypted" else None, **options)
        made.append(cache)
        return cache

    yield make
    for cache in made:
        cache.close()


@contextlib.contextmanager
def open_file(path):
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        yield connection


def key(number):
    return number.to_bytes(32, "little")


def test_cache_embeds_each_text_once(twin, make):
    backend = FakeEmbedder(limits=Limits(max_items=10, concurrency=4))
    texts = [str(number % 50) for number in range(200)]
    with CachedEmbedder(backend, make()) as embedder:
        first = twin.embed(embedder, texts)
        again = twin.embed(embedder, texts)
        streamed = np.stack(twin.embed_stream(embedder, iter(texts)))
    expected = np.stack([fake_vector(text, 8) for text in texts])
    for result in (first, again, streamed):
        np.testing.assert_array_equal(result, expected)
    assert sorted(text for request in backend.requests for text in request) == sorted(set(texts))
    assert embedder.stats().cache_hits == 150 + 200 + 200


def test_cache_separates_kinds_and_contexts(twin, make):
    backend = FakeEmbedder()
    with CachedEmbedder(backend, make()) as embedder:
        twin.embed_query(embedder, "x")
        twin.embed_documents(embedder, ["x"])
        twin.embed_documents(embedder, ["x"], context="code")
        twin.embed_query(embedder, "x")
    assert backend.requests == [["x"], ["x"], ["Code: x"]]


def test_cache_separates_models(make):
    cache = make()
    other = ModelInfo("another", dimensions=8, max_tokens=9, pooling=None)
    for info in (FAKE_MODEL, other):
        backend = FakeEmbedder(info)
        CachedEmbedder(backend, cache).embed(["x"])
        assert backend.requests == [["x"]]


def test_cache_lists_failures_and_does_not_store_them(twin, make):
    bad = {"bad"}
    backend = FakeEmbedder(
        limits=Limits(max_items=4), fault=lambda texts: InputError("refused") if bad & set(texts) else None
    )
    texts = ["a", "bad", "b", "", "bad", "c"]
    with CachedEmbedder(backend, make()) as embedder:
        result = twin.embed(embedder, texts, on_error="collect")
        assert result.indices.tolist() == [0, 2, 5]
        assert [failure.index for failure in result.failures] == [1, 3, 4]
        assert str(result.failures[2].error) == "Text 4: refused"
        with pytest.raises(InputError, match="Text 1: refused"):
            twin.embed(embedder, [text for text in texts if text])
        bad.clear()
        assert twin.embed(embedder, ["a", "bad"]).shape == (2, 8)


def test_cache_rejects_an_oversized_text_before_any_request(twin, make):
    backend = FakeEmbedder(limits=Limits(max_bytes=100))
    with CachedEmbedder(backend, make()) as embedder, pytest.raises(PayloadTooLarge, match="Text 1 takes 101"):
        twin.embed(embedder, ["a", "x" * 101])
    assert backend.requests == []


def test_hit_in_the_second_cache_fills_the_first(tmp_path):
    memory, file = MemoryCache(), SqliteCache(tmp_path / "cache.db")
    with CachedEmbedder(FakeEmbedder(), file) as writer:
        writer.embed(["x"])
    backend = FakeEmbedder()
    with CachedEmbedder(backend, memory, file) as embedder:
        embedder.embed(["x"])
        assert backend.requests == []
        # Without the file, the hit comes from memory.
        with CachedEmbedder(FakeEmbedder(fault=lambda texts: InputError("not cached")), memory) as alone:
            alone.embed(["x"])


def test_cached_vector_expires(make):
    time_now = [1000.0]
    cache = make(ttl_seconds=60, now=lambda: time_now[0])
    cache.put({key(1): VECTOR})
    time_now[0] += 59
    np.testing.assert_array_equal(cache.get([key(1)])[key(1)], VECTOR)
    time_now[0] += 2
    assert cache.get([key(1)]) == {}


def test_memory_cache_drops_least_recently_used_vectors():
    cache = MemoryCache(max_bytes=3 * (VECTOR.nbytes + ENTRY_BYTES))
    for number in range(3):
        cache.put({key(number): VECTOR})
    cache.get([key(0)])
    cache.put({key(3): VECTOR})
    assert set(cache.get([key(number) for number in range(4)])) == {key(0), key(2), key(3)}


def test_sqlite_cache_drops_oldest_entries(tmp_path):
    moments = iter(range(10**6))
    cache = SqliteCache(tmp_path / "cache.db", max_bytes=1000 * VECTOR.nbytes, now=lambda: float(next(moments)))
    for start in range(0, 6000, 500):
        cache.put({key(number): VECTOR for number in range(start, start + 500)})
    stored = sorted(int.from_bytes(result, "little") for result in cache.get([key(number) for number in range(6000)]))
    cache.close()
    assert len(stored) <= 1000 + 2048
    assert stored[-1] == 5999
    assert stored[0] > 0


@pytest.mark.parametrize("secret", [None, KEY])
def test_sqlite_cache_stores_no_text_and_is_owner_only(tmp_path, secret):
    text = "the patient's name is Confidential"
    with CachedEmbedder(FakeEmbedder(), SqliteCache(tmp_path / "cache.db", key=secret)) as embedder:
        embedder.embed([text])
    content = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"Confidential" not in content
    assert (fake_vector(text, 8).tobytes() in content) is (secret is None)
    assert (tmp_path / "cache.db").stat().st_mode & 0o077 == 0


def test_sqlite_cache_ignores_swapped_rows(tmp_path):
    cache = SqliteCache(tmp_path / "cache.db", key=KEY)
    cache.put({key(1): VECTOR, key(2): VECTOR + 1})
    with open_file(tmp_path / "cache.db") as file:
        (name,) = file.execute("SELECT name FROM vectors").fetchone()
        file.execute("UPDATE vectors SET vector = (SELECT vector FROM vectors WHERE name = ?)", (name,))
    assert len(cache.get([key(1), key(2)])) == 1
    cache.close()


@pytest.mark.parametrize(
    ("made", "opened", "message"),
    [
        (KEY, base64.b64encode(bytes(32)).decode(), "encrypted with a different key: set EMBEDSTACK_CACHE_KEY"),
        (KEY, None, "encrypted with a different key: set EMBEDSTACK_CACHE_KEY"),
        (None, KEY, "is not encrypted: unset the key"),
    ],
)
def test_sqlite_cache_rejects_another_key(tmp_path, made, opened, message):
    cache = SqliteCache(tmp_path / "cache.db", key=made)
    cache.put({key(1): VECTOR})
    cache.close()
    with pytest.raises(ConfigurationError, match=message):
        SqliteCache(tmp_path / "cache.db", key=opened)
    again = SqliteCache(tmp_path / "cache.db", key=made)
    np.testing.assert_array_equal(again.get([key(1)])[key(1)], VECTOR)
    again.close()


@pytest.mark.parametrize("blob", [b"", b"123", bytes(4), np.full(8, np.nan, np.float32).tobytes()])
def test_damaged_file_returns_no_wrong_vector(tmp_path, blob):
    with CachedEmbedder(FakeEmbedder(), SqliteCache(tmp_path / "cache.db")) as embedder:
        embedder.embed(["x"])
        with open_file(tmp_path / "cache.db") as file:
            file.execute("UPDATE vectors SET vector = ?", (blob,))
        np.testing.assert_array_equal(embedder.embed(["x"])[0], fake_vector("x", 8))


@pytest.mark.parametrize("bad", ["short", base64.b64encode(b"x" * 16).decode(), "%%%"])
def test_malformed_cache_key_is_rejected(tmp_path, bad):
    with pytest.raises(ConfigurationError, match="openssl rand -base64 32"):
        SqliteCache(tmp_path / "cache.db", key=bad)


def test_threads_share_a_cache(make):
    cache = make()

    def work(first):
        for number in range(first, first + 50):
            cache.put({key(number): VECTOR + number})
            np.testing.assert_array_equal(cache.get([key(number)])[key(number)], VECTOR + number)

    threads = [threading.Thread(target=work, args=(first,)) for first in range(0, 200, 25)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(cache.get([key(number) for number in range(225)])) == 225


_WRITER = """
import sys, numpy as np
from pathlib import Path
from embedstack.cache.cached_embedder import SqliteCache
cache = SqliteCache(Path(sys.argv[1]))
number = int(sys.argv[2])
print("ready", flush=True)
while True:
    keys = [value.to_bytes(32, "little") for value in range(number, number + 100)]
    cache.put({key: np.full(8, float(int.from_bytes(key, "little")), np.float32) for key in keys})
    number += 100
"""


def test_processes_share_a_file_that_survives_kills(tmp_path):
    file = tmp_path / "cache.db"
    with contextlib.ExitStack() as stack:
        for first in (0, 1_000_000):
            command = [sys.executable, "-c", _WRITER, file, str(first)]
            writer = stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE))
            stack.callback(writer.kill)
            assert writer.stdout is not None
            writer.stdout.readline()
        time.sleep(0.3)
    cache = SqliteCache(file)
    with open_file(file) as connection:
        keys = [name for (name,) in connection.execute("SELECT name FROM vectors")]
    vectors = cache.get(keys)
    cache.close()
    assert len(vectors) == len(keys) >= 200
    assert len(keys) % 100 == 0, "a write is whole or not there"
    for name, vector in vectors.items():
        assert (vector == int.from_bytes(name, "little")).all()
