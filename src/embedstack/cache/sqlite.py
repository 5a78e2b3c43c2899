"""A cache in a SQLite file: shared by processes, consistent after a kill, optionally encrypted."""

import hashlib
import hmac
import secrets
import sqlite3
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from embedstack.cache.encryption_keys import CacheKey, GivenKey, NoKey
from embedstack.cache.failures import FailureGuard
from embedstack.calls.process_local import Lock, pause_for_fork
from embedstack.calls.sqlite_files import create_private_file, use_write_ahead_log
from embedstack.errors import ConfigurationError, EmbedStackError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Vector = NDArray[np.float32]

__all__ = ["SqliteCache"]

# PRAGMA user_version. 0: rows without a checksum, which are cache misses now.
_VERSION = 2
_NONCE_BYTES = 12
_CHECKSUM_BYTES = 16
# SQLite's default for the number of parameters of a statement, in versions before 3.32.
_PARAMETERS = 900
_ROWS_BETWEEN_CHECKS = 2048
# Longest wait for another process's write, in seconds.
_BUSY_SECONDS = 5.0

_DAMAGED = "it is damaged, or not a cache; delete it"
# By SQLite's primary result codes (https://www.sqlite.org/rescode.html).
_CAUSES = {
    sqlite3.SQLITE_BUSY: "it is locked by another process",
    sqlite3.SQLITE_LOCKED: "it is locked by another process",
    sqlite3.SQLITE_FULL: "the disk is full; free some space",
    sqlite3.SQLITE_READONLY: "it is read-only; allow this process to write the file and its folder",
    sqlite3.SQLITE_PERM: "it is read-only; allow this process to write the file and its folder",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened; check the path and its permissions",
    sqlite3.SQLITE_IOERR: "reading or writing it fails (disk I/O error); check the disk",
}
# Errors that become a warning. ValueError: SQLite's message about a damaged file may not be UTF-8. EmbedStackError:
# KMS, when a file is opened again.
_FAILURES = (sqlite3.Error, OSError, MemoryError, ValueError, EmbedStackError)


class _UnusableFile(sqlite3.DatabaseError):
    """The file opens, but this version cannot use its content; the argument describes the problem."""


class SqliteCache:
    """Keeps vectors as float32 in a file. It contains no texts: entries are identified by a hash.

    Every entry has a checksum over its key and its vector (with an encryption key, AES-GCM's tag). An entry that does
    not match is a cache miss and is replaced. If the file cannot be used (full disk, damaged, locked, read-only, or of
    a newer version), lookups are cache misses with one warning, and the file is tried again after a minute. A file of
    an older version keeps working: its entries are cache misses and are dropped as the oldest.
    """

    def __init__(
        self,
        path: Path,
        *,
        max_bytes: int = 4 * 1024**3,
        ttl_seconds: float | None = None,
        key: str | CacheKey | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        """Open or create the file, readable to its owner only.

        Args:
            path: The file.
            max_bytes: Approximate size of the entries; the oldest are dropped first.
            ttl_seconds: Age at which an entry expires; None for never.
            key: 32 bytes in base64, or a :class:`~embedstack.cache.kms.KmsKey`. Vectors are encrypted with it
                (AES-256-GCM), and their hashes depend on it, so that the file does not reveal whether it contains a
                certain text.
            now: Seconds since the epoch.

        Raises:
            ConfigurationError: The key is malformed, differs from the one the file was created with, or cannot be
                used; or the file is encrypted and no key is given, or the reverse.
        """
        self._path = path
        self._max_bytes = max_bytes
        self._ttl = ttl_seconds
        self._now = now
        self._reads, self._writes = FailureGuard(f"The cache {path}"), FailureGuard(f"The cache {path}")
        self._rows_until_check = 0
        self._unwritten: deque[tuple[Mapping[bytes, Vector], float]] = deque()
        self._source: CacheKey = GivenKey(key) if isinstance(key, str) else key or NoKey()
        if not isinstance(self._source, NoKey):
            _require_cryptography()
        unlocked = _UnlockedKey(self._source)
        # With two connections, SQLite reads while it writes.
        self._reader, self._writer = _Handle(path, unlocked), _Handle(path, unlocked)
        try:
            self._reader.opened()
        except _FAILURES as error:
            # A wrong key is a configuration error; a KMS failure is temporary.
            if isinstance(error, EmbedStackError) and not error.retryable:
                raise
            self._fail_reading(error)

    def __reduce__(self) -> "tuple[Callable[..., SqliteCache], tuple[Any, ...]]":
        return _opened, (self._path, self._max_bytes, self._ttl, self._source, self._now)

    def get(self, keys: Sequence[bytes]) -> "dict[bytes, Vector]":
        """The vectors (dimensions,) that are cached, unexpired and undamaged, as read-only arrays."""
        hits: dict[bytes, Vector] = {}
        with self._reader.lock:
            if not self._reads.is_open:
                return hits
            try:
                file = self._reader.opened()
                names = {file.seal.name(key): key for key in keys}
                for name, content in self._select(file.connection, list(names)):
                    key = names.get(name)
                    vector = file.seal.open(name, content) if key is not None else None
                    if key is not None and vector is not None:
                        hits[key] = np.frombuffer(vector, np.float32)
            except _FAILURES as error:
                self._fail_reading(error)
        return hits

    def put(self, vectors: "Mapping[bytes, Vector]") -> None:
        """Store vectors, all or none. A failure is only a warning, since the caller has the vectors."""
        self._unwritten.append((vectors, self._now()))
        with self._writer.lock:
            # One transaction for several threads: the others find their vectors written when they get the lock.
            waiting = [self._unwritten.popleft() for _ in range(len(self._unwritten))]
            if not any(vectors for vectors, _ in waiting) or not (self._writes.is_open and self._reads.is_open):
                return
            try:
                self._write(self._writer.opened(), waiting)
            except _FAILURES as error:
                self._writes.fail(_describe(error))
                # SQLite does not notice that a file has become writable. After other errors the connection stays open:
                # on a full disk, the file could not be opened again.
                if isinstance(error, sqlite3.Error) and _primary_code(error) == sqlite3.SQLITE_READONLY:
                    self._writer.close()

    def close(self) -> None:
        """Close the file; a later call opens it again."""
        for handle in (self._reader, self._writer):
            with handle.lock:
                handle.close()

    def _fail_reading(self, error: Exception) -> None:
        self._reads.fail(_describe(error))
        self._reader.close()

    def _select(self, connection: sqlite3.Connection, names: list[bytes]) -> "Iterable[tuple[Any, Any]]":
        oldest = self._now() - self._ttl if self._ttl is not None else 0.0
        for start in range(0, len(names), _PARAMETERS):
            some = names[start : start + _PARAMETERS]
            marks = ",".join("?" * len(some))
            yield from connection.execute(
                f"SELECT name, vector FROM vectors WHERE made > ? AND name IN ({marks})",  # noqa: S608 - marks only
                (oldest, *some),
            )

    def _write(self, file: "_OpenFile", waiting: "list[tuple[Mapping[bytes, Vector], float]]") -> None:
        rows = []
        for vectors, now in waiting:
            for key, vector in vectors.items():
                name = file.seal.name(key)
                content = np.ascontiguousarray(vector, np.float32).tobytes()
                rows.append((name, file.seal.close(name, content), now))
        with file.connection as transaction:
            transaction.executemany("INSERT OR REPLACE INTO vectors (name, vector, made) VALUES (?, ?, ?)", rows)
            self._rows_until_check -= len(rows)
            if self._rows_until_check <= 0:
                self._rows_until_check = _ROWS_BETWEEN_CHECKS
                self._drop_oldest(transaction)

    def _drop_oldest(self, transaction: sqlite3.Connection) -> None:
        if self._ttl is not None:
            transaction.execute("DELETE FROM vectors WHERE made <= ?", (self._now() - self._ttl,))
        # From the file's header: adding up the rows would hold the write lock for seconds.
        pages, free, page_bytes = (
            transaction.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("page_count", "freelist_count", "page_size")
        )
        size = (pages - free) * page_bytes
        if size > self._max_bytes:
            (count,) = transaction.execute("SELECT COUNT(*) FROM vectors").fetchone()
            # A tenth more than needed, so that a full cache does not drop with every call.
            excess = int(count * (1 - 0.9 * self._max_bytes / size))
            transaction.execute(
                "DELETE FROM vectors WHERE name IN (SELECT name FROM vectors ORDER BY made LIMIT ?)", (excess,)
            )


def _opened(
    path: Path, max_bytes: int, ttl_seconds: float | None, key: CacheKey, now: Callable[[], float]
) -> SqliteCache:
    return SqliteCache(path, max_bytes=max_bytes, ttl_seconds=ttl_seconds, key=key, now=now)


class _Seal(Protocol):
    """How entries are protected in the file."""

    def name(self, key: bytes) -> bytes:
        """The name of an entry."""

    def close(self, name: bytes, content: bytes) -> bytes:
        """Protect the content, so that a change or a swap with another entry is detected."""

    def open(self, name: bytes, sealed: Any) -> bytes | None:
        """The content; None if it was changed or belongs to another name."""


class _Checksum:
    """Unencrypted entries with a checksum."""

    def name(self, key: bytes) -> bytes:
        return key

    def close(self, name: bytes, content: bytes) -> bytes:
        return _checksum(name, content) + content

    def open(self, name: bytes, sealed: Any) -> bytes | None:
        if not isinstance(sealed, bytes) or (len(sealed) - _CHECKSUM_BYTES) % 4:
            return None
        content = sealed[_CHECKSUM_BYTES:]
        return content if sealed[:_CHECKSUM_BYTES] == _checksum(name, content) else None


class _Encryption:
    """AES-256-GCM entries, bound to their name, so that two entries cannot be swapped."""

    def __init__(self, secret: bytes) -> None:
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415 - an extra
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415 - an extra

        self._secret = secret
        self._cipher = AESGCM(secret)
        self._refused = (InvalidTag, ValueError)

    def name(self, key: bytes) -> bytes:
        return hmac.digest(self._secret, key, hashlib.sha256)

    def close(self, name: bytes, content: bytes) -> bytes:
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, content, name)

    def open(self, name: bytes, sealed: Any) -> bytes | None:
        if not isinstance(sealed, bytes):
            return None
        try:
            content = self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], name)
        except self._refused:
            return None
        return content if len(content) % 4 == 0 else None


class _OpenFile:
    """A connection, the protection of its entries, and the file that it belongs to."""

    def __init__(self, connection: sqlite3.Connection, seal: _Seal, path: Path) -> None:
        self.connection = connection
        self.seal = seal
        self._inode = _inode(path)

    def is_current(self, path: Path) -> bool:
        """Whether the path still leads to this file."""
        return self._inode == _inode(path)


class _Handle:
    """A connection that is opened on first use, and again after a fork or when the file has been replaced.

    SQLite's locks belong to a process, and the child of a fork would inherit a connection without them
    (https://sqlite.org/howtocorrupt.html, 2.6). So it is closed before a fork, and parent and child open it again.

    Attributes:
        lock: Held while the connection is in use.
    """

    def __init__(self, path: Path, key: CacheKey) -> None:
        self.lock = Lock()
        self._path = path
        self._key = key
        self._file: _OpenFile | None = None
        pause_for_fork(self)

    def before_fork(self) -> None:
        """Wait for the statement in progress, and close the connection."""
        self.lock.acquire()
        self.close()

    def after_fork_in_parent(self) -> None:
        """Allow the connection to be opened again."""
        self.lock.release()

    def opened(self) -> _OpenFile:
        """The open file."""
        if self._file is not None and not self._file.is_current(self._path):
            self.close()
        if self._file is None:
            self._file = _open(self._path, self._key)
        return self._file

    def close(self) -> None:
        """Close the connection; it can be opened again."""
        file, self._file = self._file, None
        if file is not None:
            with suppress(sqlite3.Error):
                file.connection.close()


class _UnlockedKey:
    """Caches the secrets of a key, since getting one may need a call of KMS."""

    def __init__(self, source: CacheKey) -> None:
        self._source = source
        self._secrets: dict[bytes, bytes | None] = {}

    def unlock(self, path: Path, stored: bytes | None) -> tuple[bytes | None, bytes]:
        """See :class:`CacheKey`."""
        if stored is not None and stored in self._secrets:
            return self._secrets[stored], stored
        secret, to_store = self._source.unlock(path, stored)
        self._secrets[to_store] = secret
        return secret, to_store


def _open(path: Path, key: CacheKey) -> _OpenFile:
    create_private_file(path)
    connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, check_same_thread=False)
    try:
        _prepare(connection)
        secret = _unlock(connection, path, key)
        return _OpenFile(connection, _Encryption(secret) if secret else _Checksum(), path)
    except BaseException:
        connection.close()
        raise


def _prepare(connection: sqlite3.Connection) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version not in (0, _VERSION):
        raise _UnusableFile("it is damaged, or a newer version of embedstack created it; use another file")
    # A complete file is only read, so that a read-only file works.
    use_write_ahead_log(connection, _BUSY_SECONDS)
    connection.execute("PRAGMA synchronous = NORMAL")
    if version == _VERSION:
        return
    with connection as transaction:
        transaction.execute("BEGIN IMMEDIATE")
        transaction.execute(
            "CREATE TABLE IF NOT EXISTS vectors (name BLOB PRIMARY KEY, vector BLOB NOT NULL, made REAL NOT NULL)"
        )
        transaction.execute("CREATE TABLE IF NOT EXISTS metadata (name TEXT PRIMARY KEY, value BLOB NOT NULL)")
        transaction.execute("CREATE INDEX IF NOT EXISTS vectors_by_age ON vectors (made)")
        transaction.execute(f"PRAGMA user_version = {_VERSION}")


def _unlock(connection: sqlite3.Connection, path: Path, key: CacheKey) -> bytes | None:
    stored = _stored_key(connection)
    secret, to_store = key.unlock(path, stored)
    if stored is None:
        rows = [("key", to_store), ("key_checksum", _checksum(b"key", to_store))]
        with connection as transaction:
            transaction.executemany("INSERT OR IGNORE INTO metadata (name, value) VALUES (?, ?)", rows)
        stored = _stored_key(connection)
        if stored != to_store:
            # Another process created the file first, with a different key.
            secret, _ = key.unlock(path, stored)
    return secret


def _stored_key(connection: sqlite3.Connection) -> bytes | None:
    rows = dict(connection.execute("SELECT name, value FROM metadata WHERE name IN ('key', 'key_checksum')"))
    stored, checksum = rows.get("key"), rows.get("key_checksum")
    if stored is None and checksum is None:
        return None
    # A file of version 0 has no checksum of the key.
    if not isinstance(stored, bytes) or checksum not in (None, _checksum(b"key", stored)):
        raise _UnusableFile(_DAMAGED)
    return stored


def _checksum(name: bytes, content: bytes) -> bytes:
    # The name always has the same length, so that no byte can move from one to the other.
    return hashlib.blake2b(name + content, digest_size=_CHECKSUM_BYTES).digest()


def _inode(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _primary_code(error: sqlite3.Error) -> int | None:
    code = getattr(error, "sqlite_errorcode", None)
    return code & 0xFF if code is not None else None


def _describe(error: Exception) -> str:
    """The problem and its remedy."""
    match error:
        case _UnusableFile() | EmbedStackError():
            # Without the request id, which would make every warning unique.
            return str(error.args[0])
        case sqlite3.Error():
            return _CAUSES.get(_primary_code(error) or -1, _DAMAGED)
        case OSError():
            return f"it cannot be opened ({error.strerror}); check the path and its permissions"
        case MemoryError():
            return "this process ran out of memory"
        case _:
            return _DAMAGED


def _require_cryptography() -> None:
    try:
        import cryptography  # noqa: F401, PLC0415 - an extra
    except ImportError as error:
        raise ConfigurationError("An encrypted cache needs the extra: pip install 'embedstack[cache]'.") from error
