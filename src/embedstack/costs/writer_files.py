"""Counts the calls of a process in a small file, so that they can be counted as lost after a kill.

The file is mapped into memory: what a process has written there survives its SIGKILL. A lock on the file tells whether
the process still runs. Windows has no such lock, so that nothing is counted as lost there.
"""

import contextlib
import hashlib
import mmap
import os
import struct
import sys
import tempfile
from pathlib import Path
from typing import IO, TYPE_CHECKING
from uuid import uuid4

from embedstack.costs.databases import is_postgres

if sys.platform != "win32":
    import fcntl

if TYPE_CHECKING:
    from embedstack.costs.ledger_stores import LedgerStore

__all__ = ["WriterFile", "end_dead_writers"]

_COUNT = struct.Struct("<Q")


class WriterFile:
    """The file of this process, which its first call creates. Without a folder to write to, it is not created.

    Attributes:
        writer: A random name.
    """

    def __init__(self, address: str) -> None:
        """Prepare.

        Args:
            address: Address of the ledger.
        """
        self.writer = uuid4().hex
        self._calls = 0
        self._path = _folder(address) / self.writer
        self._file: IO[bytes] | None = None
        self._map: mmap.mmap | None = None

    def count(self) -> None:
        """Count a call."""
        if self._calls == 0 and sys.platform != "win32":
            with contextlib.suppress(OSError):
                self._create()
        self._calls += 1
        if self._map is not None:
            _COUNT.pack_into(self._map, 0, self._calls)

    def _create(self) -> None:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Locked before it has its name, so that no other process takes it for that of a dead one.
        new = self._path.with_suffix(".new")
        self._file = new.open("w+b")
        fcntl.flock(self._file, fcntl.LOCK_EX)
        self._file.write(_COUNT.pack(0))
        self._file.flush()
        self._map = mmap.mmap(self._file.fileno(), _COUNT.size)
        new.rename(self._path)

    def remove(self) -> None:
        """Delete the file: all calls are in the store."""
        self._path.unlink(missing_ok=True)

    def close(self) -> None:
        """Close the file, which unlocks it. In the child of a fork, the parent's lock stays."""
        if self._map is not None:
            self._map.close()
            self._map = None
        if self._file is not None:
            self._file.close()
            self._file = None


def end_dead_writers(address: str, store: "LedgerStore") -> None:
    """Count the calls that killed processes have not stored as lost.

    Args:
        address: Address of the ledger.
        store: Its store.

    Raises:
        StoreUnavailable: The store cannot be written.
    """
    if sys.platform == "win32":
        return
    for path in _folder(address).glob("*"):
        if path.suffix:  # one that is being created
            continue
        with contextlib.suppress(OSError), path.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            if not path.exists():
                continue
            content = file.read(_COUNT.size)
            if len(content) == _COUNT.size:
                store.end_writer(path.name, _COUNT.unpack(content)[0])
            path.unlink(missing_ok=True)


def _folder(address: str) -> Path:
    if is_postgres(address):
        # The address may contain a password.
        name = hashlib.sha256(address.encode()).hexdigest()[:16]
        user = os.getuid() if hasattr(os, "getuid") else 0
        return Path(tempfile.gettempdir()) / f"embedstack-ledger-{user}-{name}"
    path = Path(address).absolute()
    return path.with_name(f"{path.name}.writers")
