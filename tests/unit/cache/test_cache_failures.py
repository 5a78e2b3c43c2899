"""A cache never changes a vector and never fails a call: damage, full and read-only disks, locks, other versions."""

import base64
import contextlib
import logging
import os
import random
import sqlite3
import subprocess
import sys
import textwrap
import threading

import numpy as np
import pytest

from embedstack.cache import CachedEmbedder, MemoryCache, SqliteCache, failures as cache_failures
from embedstack.embedders import FakeEmbedder, Limits
from embedstack.embedders.fake import fake_vector
from embedstack.errors import EndpointUnavailable

KEY = base64.b64encode(bytes(range(32))).decode()
TEXTS = [f"text {number}" for number in range(100)]
EXPECTED = np.stack([fake_vector(text, 8) for text in TEXTS])


@pytest.fixture(params=[None, KEY], ids=["plain", "encrypted"])
def key(request):
    return request.param


@pytest.fixture
def file(tmp_path):
    return tmp_path / "cache.db"


def embed(file, key=None, texts=TEXTS):
    """The vectors of the texts by a new embedder over the file, and how many were cache hits."""
    with CachedEmbedder(FakeEmbedder(), SqliteCache(file, key=key)) as embedder:
        return embedder.embed(texts), embedder.stats().cache_hits


@contextlib.contextmanager
def open_file(path):
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        yield connection


def warnings(caplog):
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


def flip_bit(blob, draw):
    changed = bytearray(blob)
    position = draw.randrange(8 * len(blob))
    changed[position // 8] ^= 1 << position % 8
    return bytes(changed)


DAMAGES = {
    "bit": flip_bit,
    "signs": lambda blob, draw: bytes([*blob[:-5], blob[-5] ^ 0x80, *blob[-4:-1], blob[-1] ^ 0x80]),
    "truncated": lambda blob, draw: blob[: draw.randrange(len(blob))],
    "extended": lambda blob, draw: blob + bytes(4),
    "rotated": lambda blob, draw: blob[4:] + blob[:4],
    "empty": lambda blob, draw: b"",
    "text": lambda blob, draw: "no vector",
    "number": lambda blob, draw: 3.5,
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_row_is_a_miss_and_is_replaced(file, key, damage):
    embed(file, key)
    draw = random.Random(damage)  # noqa: S311 - the same in every run
    with open_file(file) as connection:
        rows = connection.execute("SELECT name, vector FROM vectors").fetchall()
        changed = [(DAMAGES[damage](blob, draw), name) for name, blob in rows]
        connection.executemany("UPDATE vectors SET vector = ? WHERE name = ?", changed)
    vectors, hits = embed(file, key)
    np.testing.assert_array_equal(vectors, EXPECTED)
    assert hits == 0
    assert embed(file, key)[1] == len(TEXTS)


def test_swapped_rows_are_misses(file, key):
    embed(file, key)
    with open_file(file) as connection:
        rows = connection.execute("SELECT name, vector FROM vectors ORDER BY name").fetchall()
        blobs = [blob for _, blob in rows]
        swapped = [(blob, name) for (name, _), blob in zip(rows, blobs[1:] + blobs[:1], strict=True)]
        connection.executemany("UPDATE vectors SET vector = ? WHERE name = ?", swapped)
    vectors, hits = embed(file, key)
    np.testing.assert_array_equal(vectors, EXPECTED)
    assert hits == 0


@pytest.mark.parametrize("seed", range(12))
def test_damaged_file_is_one_warning(file, key, caplog, seed):
    embed(file, key)
    draw = random.Random(seed)  # noqa: S311 - the same in every run
    content = bytearray(file.read_bytes())
    # Every third one in the header, which makes it no database.
    for _ in range(20):
        start = draw.randrange(100 if seed % 3 == 0 else len(content))
        content[start : start + 40] = draw.randbytes(40)
    file.write_bytes(content)
    for _ in range(3):
        np.testing.assert_array_equal(embed(file, key)[0], EXPECTED)
    assert len(warnings(caplog)) <= 1
    if seed % 3 == 0:
        assert "continues without it: it is damaged" in warnings(caplog)[0]


def test_damaged_key_record_is_not_a_wrong_key(file, key, caplog):
    embed(file, key)
    with open_file(file) as connection:
        connection.execute("UPDATE metadata SET value = CAST(value || 'x' AS BLOB) WHERE name = 'key'")
    np.testing.assert_array_equal(embed(file, key)[0], EXPECTED)
    assert len(warnings(caplog)) == 1


def make_text_file(file):
    file.write_text("something else, long enough to be taken for a header" * 50)


def make_newer(file):
    embed(file)
    with open_file(file) as connection:
        connection.execute("PRAGMA user_version = 99")


def make_without_tables(file):
    embed(file)
    with open_file(file) as connection:
        connection.execute("DROP TABLE vectors")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda file: file.mkdir(), "cannot be opened"),
        (lambda file: file.parent.joinpath("blocked").write_text(""), "cannot be opened"),
        (make_text_file, "damaged, or not a cache"),
        (make_newer, "a newer version of embedstack"),
        (make_without_tables, "damaged, or not a cache"),
    ],
    ids=["directory", "folder-is-a-file", "text", "newer", "no-tables"],
)
def test_unusable_file_is_one_warning(file, caplog, make, message):
    make(file)
    path = file.parent / "blocked" / "cache.db" if message == "cannot be opened" and not file.exists() else file
    before = path.read_bytes() if path.is_file() else None
    for _ in range(3):
        np.testing.assert_array_equal(embed(path)[0], EXPECTED)
    (warning,) = warnings(caplog)
    assert message in warning
    assert not any(text in warning for text in TEXTS)
    if make is make_text_file:
        assert path.read_bytes() == before, "a file that is no cache is left as it is"


def test_empty_file_is_a_new_cache(file, caplog):
    file.touch()
    embed(file)
    assert embed(file)[1] == len(TEXTS)
    assert not warnings(caplog)


def test_locked_file_is_one_warning(file, caplog, monkeypatch):
    monkeypatch.setattr("embedstack.cache.sqlite._BUSY_SECONDS", 0.1)
    cache = SqliteCache(file)
    with CachedEmbedder(FakeEmbedder(), cache) as embedder, open_file(file) as other:
        embedder.embed(TEXTS[:50])
        other.execute("BEGIN EXCLUSIVE")
        np.testing.assert_array_equal(embedder.embed(TEXTS), EXPECTED)
        np.testing.assert_array_equal(embedder.embed(TEXTS), EXPECTED)
        other.rollback()
    assert [message for message in warnings(caplog) if "it is locked by another process" in message] == warnings(caplog)
    assert len(warnings(caplog)) == 1


def test_failed_cache_is_paused(file):
    make_text_file(file)
    with CachedEmbedder(FakeEmbedder(), SqliteCache(file)) as embedder:
        file.unlink()
        embedder.embed(TEXTS)
    assert not file.exists()


def test_failed_cache_is_used_again_after_the_pause(file, monkeypatch):
    monkeypatch.setattr(cache_failures, "RETRY_SECONDS", 0.0)
    make_text_file(file)
    with CachedEmbedder(FakeEmbedder(), SqliteCache(file)) as embedder:
        file.unlink()
        embedder.embed(TEXTS)
        embedder.embed(TEXTS)
        assert embedder.stats().cache_hits == len(TEXTS)


def test_deleted_file_is_created_again(file, key, caplog):
    with CachedEmbedder(FakeEmbedder(), SqliteCache(file, key=key)) as embedder:
        embedder.embed(TEXTS)
        for path in file.parent.iterdir():
            path.unlink()
        np.testing.assert_array_equal(embedder.embed(TEXTS), EXPECTED)
    assert embed(file, key)[1] == len(TEXTS)
    assert not warnings(caplog)


def test_entries_of_the_first_version_are_misses(file, caplog):
    embed(file)
    with open_file(file) as connection:
        # As the first version left it: no checksums, no version.
        connection.execute("UPDATE vectors SET vector = SUBSTR(vector, 17)")
        connection.execute("DELETE FROM metadata WHERE name = 'key_checksum'")
        connection.execute("PRAGMA user_version = 0")
    vectors, hits = embed(file)
    np.testing.assert_array_equal(vectors, EXPECTED)
    assert hits == 0
    assert embed(file)[1] == len(TEXTS)
    assert not warnings(caplog)


_LIMITED = """
import logging, resource, sys
from pathlib import Path
import numpy as np
from embedstack.cache.cached_embedder import CachedEmbedder, SqliteCache
from embedstack.embedders import FakeEmbedder
from embedstack.embedders.fake import fake_vector
logging.basicConfig()
embedder = CachedEmbedder(FakeEmbedder(), SqliteCache(Path(sys.argv[1])))
embedder.embed(["kept"])
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
for start in range(0, 5000, 500):
    texts = ["kept", *(str(number) for number in range(start, start + 500))]
    vectors = embedder.embed(texts)
    assert np.array_equal(vectors, [fake_vector(text, 8) for text in texts])
assert embedder.stats().cache_hits >= 10, embedder.stats()
"""


def test_full_disk_loses_no_vector(file):
    # A limit on the size of files stands in for it: SQLite takes both for the same.
    ran = subprocess.run([sys.executable, "-c", _LIMITED, file], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert ran.stderr.count("WARNING") == 1


_UNPRIVILEGED = """
import logging, os, sys
from pathlib import Path
import numpy as np
from embedstack.cache.cached_embedder import CachedEmbedder, SqliteCache
from embedstack.embedders import FakeEmbedder
from embedstack.embedders.fake import fake_vector
logging.basicConfig()
fake_vector("imports what it needs", 8)
if os.geteuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
embedder = CachedEmbedder(FakeEmbedder(), SqliteCache(Path(sys.argv[1])))
for _ in range(3):
    texts = ["kept", "new"]
    assert np.array_equal(embedder.embed(texts), [fake_vector(text, 8) for text in texts])
print(embedder.stats().cache_hits)
"""


@pytest.mark.parametrize("what", ["file", "folder", "both"])
def test_read_only_file_is_one_warning(tmp_path, what):
    folder = tmp_path / "folder"
    folder.mkdir()
    file = folder / "cache.db"
    embed(file, texts=["stored"])
    file.chmod(0o444 if what != "folder" else 0o666)
    folder.chmod(0o555 if what != "file" else 0o777)
    for parent in (tmp_path, *tmp_path.parents[:3]):
        if os.geteuid() == 0:
            parent.chmod(parent.stat().st_mode | 0o011)
    ran = subprocess.run([sys.executable, "-c", _UNPRIVILEGED, file], capture_output=True, text=True, check=False)
    folder.chmod(0o755)
    assert ran.returncode == 0, ran.stderr
    assert ran.stderr.count("WARNING") == 1, ran.stderr
    assert int(ran.stdout) in (0, 3), "its vectors are used, or nothing of it is"


class BrokenCache:
    """A cache of a user's that raises its own errors."""

    def get(self, keys):
        raise ConnectionError("redis://:secret@host refused")

    def put(self, vectors):
        raise KeyError(next(iter(vectors)))

    def close(self):
        pass


def test_custom_cache_that_raises_is_a_miss(caplog):
    memory = MemoryCache()
    with CachedEmbedder(FakeEmbedder(), BrokenCache(), memory) as embedder:
        np.testing.assert_array_equal(embedder.embed(TEXTS), EXPECTED)
        np.testing.assert_array_equal(embedder.embed(TEXTS), EXPECTED)
        assert embedder.stats().cache_hits == len(TEXTS)
    (warning,) = warnings(caplog)
    assert "ConnectionError" in warning
    assert "secret" not in warning


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros(8),
        np.full(8, np.nan),
        np.full(8, 1e30),
        np.ones(8),
        np.eye(7)[0],
        np.eye(9)[0],
        np.eye(8),
        "text",
        None,
    ],
    ids=["zero", "nan", "huge", "long", "short", "more", "matrix", "text", "none"],
)
def test_invalid_cached_vector_is_a_miss(wrong):
    class Lying(MemoryCache):
        def get(self, keys):
            return dict.fromkeys(keys, wrong)

    backend = FakeEmbedder()
    with CachedEmbedder(backend, Lying()) as embedder:
        np.testing.assert_array_equal(embedder.embed(["x"])[0], fake_vector("x", 8))
    assert backend.requests == [["x"]]


def test_caller_cannot_change_cached_vectors():
    with CachedEmbedder(FakeEmbedder(limits=Limits(max_items=3))) as embedder:
        for _ in range(3):
            vectors = embedder.embed(TEXTS)
            np.testing.assert_array_equal(vectors, EXPECTED)
            vectors[:] = 0
            for vector in embedder.embed_stream(TEXTS):
                vector[:] = 0
            embedder.embed_query(TEXTS[0])[:] = 0


def test_unreachable_kms_is_a_miss(file, caplog):
    class Unreachable:
        def unlock(self, path, stored):
            raise EndpointUnavailable("KMS cannot be reached")

    with CachedEmbedder(FakeEmbedder(), SqliteCache(file, key=Unreachable())) as embedder:
        np.testing.assert_array_equal(embedder.embed(TEXTS), EXPECTED)
    assert len(warnings(caplog)) == 1
    with open_file(file) as connection:
        assert connection.execute("SELECT COUNT(*) FROM vectors").fetchone() == (0,), "nothing is stored in the clear"


def test_processes_open_a_new_file_concurrently(file):
    code = textwrap.dedent("""
        import sys
        from pathlib import Path
        from embedstack.cache.cached_embedder import CachedEmbedder, SqliteCache
        from embedstack.embedders import FakeEmbedder
        sys.stdin.readline()
        with CachedEmbedder(FakeEmbedder(), SqliteCache(Path(sys.argv[1]))) as embedder:
            embedder.embed([str(number) for number in range(50)])
    """)
    command = [sys.executable, "-c", code, file]
    with contextlib.ExitStack() as stack:
        processes = []
        for _ in range(4):
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            processes.append(stack.enter_context(process))
            stack.callback(process.kill)
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        for process in processes:
            assert process.communicate(timeout=60)[1] == ""
            assert process.returncode == 0


def test_threads_that_fail_concurrently_warn_once(file, caplog):
    make_text_file(file)
    with CachedEmbedder(FakeEmbedder(), SqliteCache(file)) as embedder:
        threads = [threading.Thread(target=embedder.embed, args=(TEXTS,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(warnings(caplog)) == 1
