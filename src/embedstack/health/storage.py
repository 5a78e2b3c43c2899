"""Where the monitor keeps its state: a folder, or a prefix of an S3 bucket for a Lambda function.

``state.json`` has the records, the events and the notifications that are due; ``history/<day>.jsonl`` has a line for
each check; ``references.json`` has the first vectors of models without golden vectors. The state is small, is written
once a check by one monitor, and S3 keeps its versions, so that it needs no database.
"""

import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

import numpy as np
from botocore.exceptions import BotoCoreError, ClientError

from embedstack.aws.clients import create_client
from embedstack.aws.errors import error_code, translate_error
from embedstack.calls.process_local import Lock
from embedstack.errors import ConfigurationError, ServiceUnavailable

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from embedstack.settings.settings import Settings

    Vectors = NDArray[np.float32]

__all__ = [
    "FolderStorage",
    "S3Storage",
    "Storage",
    "StoredReferences",
    "append_history",
    "open_storage",
    "read_history",
]

_NOT_FOUND = {"404", "NoSuchKey", "NotFound"}


class Storage(Protocol):
    """Named files."""

    def read(self, name: str) -> bytes | None:
        """A file's content; None if there is no such file."""

    def write(self, name: str, content: bytes) -> None:
        """Replace a file, or create it."""


@dataclass(frozen=True, slots=True)
class FolderStorage:
    """Files in a folder. A file is replaced atomically."""

    folder: Path

    def read(self, name: str) -> bytes | None:
        """See :class:`Storage`."""
        try:
            return (self.folder / name).read_bytes()
        except FileNotFoundError:
            return None

    def write(self, name: str, content: bytes) -> None:
        """See :class:`Storage`.

        Raises:
            ServiceUnavailable: The file cannot be written.
        """
        path = self.folder / name
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_bytes(content)
            temporary.replace(path)
        except OSError as error:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise ServiceUnavailable(
                f"The health state {path} cannot be written: {error}. Free space, or change HEALTH_STATE."
            ) from error


class S3Storage:
    """Objects below a prefix of a bucket."""

    def __init__(self, url: str, settings: "Settings") -> None:
        """Prepare.

        Args:
            url: ``s3://bucket/prefix``.
            settings: Region and credentials.
        """
        parts = urlsplit(url)
        self._bucket, self._prefix = parts.netloc, parts.path.strip("/")
        self._client: Any = create_client("s3", settings, connect_timeout=3, read_timeout=10)

    def read(self, name: str) -> bytes | None:
        """See :class:`Storage`.

        Raises:
            EmbedStackError: S3 rejects the request.
        """
        try:
            content: bytes = self._client.get_object(Bucket=self._bucket, Key=self._key(name))["Body"].read()
        except (BotoCoreError, ClientError) as error:
            if error_code(error) in _NOT_FOUND:
                return None
            raise translate_error(error, "s3", resource=self._bucket) from error
        return content

    def write(self, name: str, content: bytes) -> None:
        """See :class:`Storage`.

        Raises:
            EmbedStackError: S3 rejects the request.
        """
        try:
            self._client.put_object(Bucket=self._bucket, Key=self._key(name), Body=content)
        except (BotoCoreError, ClientError) as error:
            raise translate_error(error, "s3", resource=self._bucket) from error

    def _key(self, name: str) -> str:
        return f"{self._prefix}/{name}" if self._prefix else name


def open_storage(settings: "Settings") -> Storage:
    """The storage that HEALTH_STATE names.

    Raises:
        ConfigurationError: It is neither a folder nor an S3 URL with a bucket.
    """
    location = settings.health_state
    if location.startswith("s3://"):
        if not urlsplit(location).netloc:
            raise ConfigurationError(f"HEALTH_STATE is {location!r} and names no bucket. Write s3://bucket/prefix.")
        return S3Storage(location, settings)
    folder = Path(location)
    if folder.exists() and not folder.is_dir():
        raise ConfigurationError(f"HEALTH_STATE is {location!r}, which is a file. Set it to a folder or an S3 URL.")
    return FolderStorage(folder)


class StoredReferences:
    """First vectors of models without golden vectors, in one file. Shared by threads."""

    _NAME = "references.json"

    def __init__(self, storage: Storage) -> None:
        """Read them from a storage."""
        self._storage = storage
        self._values: dict[str, Any] = json.loads(storage.read(self._NAME) or b"{}")
        self._is_changed = False
        self._lock = Lock()

    def find(self, key: str) -> "Vectors | None":
        """The vectors of a key; None if there are none."""
        value = self._values.get(key)
        return None if value is None else np.array(value, np.float32)

    def remember(self, key: str, vectors: "Vectors") -> None:
        """Keep the vectors of a key until :meth:`save`."""
        # Six digits change a cosine by less than the comparison allows.
        rows = [[round(float(value), 6) for value in row] for row in vectors]
        with self._lock:
            self._values[key] = rows
            self._is_changed = True

    def save(self) -> None:
        """Write what was remembered."""
        with self._lock:
            if self._is_changed:
                self._storage.write(self._NAME, json.dumps(self._values, separators=(",", ":")).encode())
                self._is_changed = False


def append_history(storage: Storage, at: float, lines: list[dict[str, Any]]) -> None:
    """Add lines to the history of a day."""
    name = _history_name(datetime.fromtimestamp(at, UTC))
    content = (storage.read(name) or b"") + b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    storage.write(name, content)


def read_history(storage: Storage, start: float, end: float) -> Iterator[dict[str, Any]]:
    """The checks between two times, oldest first; a damaged line is left out."""
    day = datetime.fromtimestamp(start, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    while day.timestamp() <= end:
        for line in (storage.read(_history_name(day)) or b"").splitlines():
            with contextlib.suppress(ValueError):
                entry = json.loads(line)
                if start <= entry["at"] <= end:
                    yield entry
        day += timedelta(days=1)


def _history_name(day: datetime) -> str:
    return f"history/{day:%Y-%m-%d}.jsonl"
