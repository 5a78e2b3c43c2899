"""A cache in a SQLite file: shared by processes, whole after a kill, encrypted where a key is given."""

import hashlib
import hmac
import secrets
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from embedstack.cache_keys import CacheKey, GivenKey, NoKey
from embedstack.errors import ConfigurationError
from embedstack.forks import Lock, PerProcess, keep_forever, pause_for_fork

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Vector = NDArray[np.float32]

__all__ = ["SqliteCache"]

_NONCE_BYTES = 12
# SQLite's default for the number of parameters of a statement, in versions before 3.32.
_PARAMETERS = 900
_ROWS_BETWEEN_CHECKS = 2048
_BUSY_SECONDS = 30.0


class SqliteCache:
    """Keeps vectors as float32 in a file. It holds no texts: what is stored is found by a hash."""

    def __init__(
        self,
        path: Path,
        *,
        max_bytes: int = 4 * 1024**3,
        ttl_seconds: float | None = None,
        key: str | CacheKey | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        """Open or make the file, readable to its owner only.

        Args:
            path: The file.
            max_bytes: Of all vectors together, about; the oldest go first.
            ttl_seconds: How long a vector is good for; None for ever.
            key: 32 bytes in base64, or a :class:`~embedstack.cache_kms.KmsKey`. Vectors are encrypted with it
                (AES-256-GCM), and the hashes they are found by depend on it, so that nobody can find out from the file
                whether it has a certain text.
            now: Seconds since the epoch.

        Raises:
            ConfigurationError: The file cannot be opened, the key is none, or not the one the file was made with.
            EndpointUnavailable: The key is from KMS, and KMS did not answer.
        """
        self._path = path
        self._max_bytes = max_bytes
        self._ttl = ttl_seconds
        self._now = now
        self._lock = Lock()
        self._rows_until_check = 0
        self._source = (GivenKey(key) if isinstance(key, str) else key) or NoKey()
        self._file = PerProcess(partial(_open, path), discard=keep_forever)
        try:
            self._secret = self._unlock(self._source)
            self._cipher = _cipher(self._secret) if self._secret else None
        except BaseException:
            self._close()
            raise
        pause_for_fork(self)

    def before_fork(self) -> None:
        """Close the file: SQLite's locks are those of a process, and a child that inherits it opened has none.

        See https://sqlite.org/howtocorrupt.html, 2.6. Parent and child open it again with their next calls.
        """
        self._lock.acquire()
        with suppress(sqlite3.Error):
            self._close()

    def after_fork_in_parent(self) -> None:
        """Go on."""
        self._lock.release()

    def __reduce__(self) -> "tuple[Callable[..., SqliteCache], tuple[Any, ...]]":
        return _opened, (self._path, self._max_bytes, self._ttl, self._source, self._now)

    def get(self, keys: Sequence[bytes]) -> "dict[bytes, Vector]":
        """Those that are there, not too old and, with a key, not tampered with."""
        oldest = self._now() - self._ttl if self._ttl is not None else 0.0
        names = {self._name(key): key for key in keys}
        found = {}
        with self._lock:
            asked = list(names)
            for start in range(0, len(asked), _PARAMETERS):
                some = asked[start : start + _PARAMETERS]
                marks = ",".join("?" * len(some))
                rows = self._connection.execute(
                    f"SELECT name, vector FROM vectors WHERE made > ? AND name IN ({marks})",  # noqa: S608 - marks only
                    (oldest, *some),
                )
                found.update({names[name]: blob for name, blob in rows})
        decrypted = ((key, self._decrypt(self._name(key), blob)) for key, blob in found.items())
        return {key: np.frombuffer(blob, np.float32) for key, blob in decrypted if blob is not None}

    def put(self, vectors: "Mapping[bytes, Vector]") -> None:
        """Keep these, all or none."""
        now = self._now()
        rows = []
        for key, vector in vectors.items():
            name = self._name(key)
            rows.append((name, self._encrypt(name, np.ascontiguousarray(vector, np.float32).tobytes()), now))
        with self._lock, self._connection as transaction:
            transaction.executemany("INSERT OR REPLACE INTO vectors (name, vector, made) VALUES (?, ?, ?)", rows)
            self._rows_until_check -= len(rows)
            if self._rows_until_check <= 0:
                self._rows_until_check = _ROWS_BETWEEN_CHECKS
                self._drop_oldest(transaction)

    def close(self) -> None:
        """Close the file; a later call opens it again."""
        with self._lock:
            self._close()

    def _close(self) -> None:
        connection = self._file.take()
        if connection is not None:
            connection.close()

    @property
    def _connection(self) -> sqlite3.Connection:
        return self._file.get()

    def _unlock(self, source: CacheKey) -> bytes | None:
        kept = self._kept_key()
        secret, to_keep = source.unlock(self._path, kept)
        if kept is None:
            with self._connection as transaction:
                transaction.execute("INSERT OR IGNORE INTO metadata (name, value) VALUES ('key', ?)", (to_keep,))
            kept = self._kept_key()
            if kept != to_keep:
                # Another process was first with a key of its own.
                secret, _ = source.unlock(self._path, kept)
        return secret

    def _kept_key(self) -> bytes | None:
        row = self._connection.execute("SELECT value FROM metadata WHERE name = 'key'").fetchone()
        return row[0] if row else None

    def _drop_oldest(self, transaction: sqlite3.Connection) -> None:
        if self._ttl is not None:
            transaction.execute("DELETE FROM vectors WHERE made <= ?", (self._now() - self._ttl,))
        count, size = transaction.execute("SELECT COUNT(*), COALESCE(SUM(LENGTH(vector)), 0) FROM vectors").fetchone()
        if size > self._max_bytes:
            # A tenth more than needed, so that a full cache does not drop with every call.
            excess = int(count * (1 - 0.9 * self._max_bytes / size))
            transaction.execute(
                "DELETE FROM vectors WHERE name IN (SELECT name FROM vectors ORDER BY made LIMIT ?)", (excess,)
            )

    def _name(self, key: bytes) -> bytes:
        return hmac.digest(self._secret, key, hashlib.sha256) if self._secret else key

    def _encrypt(self, name: bytes, content: bytes) -> bytes:
        if self._cipher is None:
            return content
        nonce = secrets.token_bytes(_NONCE_BYTES)
        # Bound to its name, so that two rows cannot be swapped.
        return nonce + bytes(self._cipher.encrypt(nonce, content, name))

    def _decrypt(self, name: bytes, blob: bytes) -> bytes | None:
        if self._cipher is None:
            return blob if len(blob) % 4 == 0 else None
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415 - an extra

        try:
            return bytes(self._cipher.decrypt(blob[:_NONCE_BYTES], blob[_NONCE_BYTES:], name))
        except (InvalidTag, ValueError):
            return None


def _cipher(secret: bytes) -> Any:
    try:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise ConfigurationError("An encrypted cache needs more packages: pip install 'embedstack[cache]'.") from error
    return AESGCM(secret)


def _open(path: Path) -> sqlite3.Connection:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, check_same_thread=False)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute(
            "CREATE TABLE IF NOT EXISTS vectors (name BLOB PRIMARY KEY, vector BLOB NOT NULL, made REAL NOT NULL)"
        )
        connection.execute("CREATE TABLE IF NOT EXISTS metadata (name TEXT PRIMARY KEY, value BLOB NOT NULL)")
        connection.execute("CREATE INDEX IF NOT EXISTS vectors_by_age ON vectors (made)")
        connection.commit()
    except (OSError, sqlite3.Error) as error:
        raise ConfigurationError(f"The cache {path} cannot be opened: {error}.") from error
    return connection


def _opened(
    path: Path, max_bytes: int, ttl_seconds: float | None, key: CacheKey, now: Callable[[], float]
) -> SqliteCache:
    return SqliteCache(path, max_bytes=max_bytes, ttl_seconds=ttl_seconds, key=key, now=now)
