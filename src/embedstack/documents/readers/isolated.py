"""Reads documents in a separate process, so that no file can exhaust the time or memory of this one.

The reader process is started for the first document, in about 0.1 s, and reused for later ones. Concurrent threads use
separate processes. A reader process inherits no secrets from the environment, and ends when this process ends.
"""

import atexit
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from embedstack.calls.process_local import Lock, renew_after_fork
from embedstack.documents.document import Document
from embedstack.documents.limits import Allowance, ReadLimits
from embedstack.documents.readers.process import ProcessLost, ReaderProcess

__all__ = ["IdlePool", "idle_pool", "read_document"]

_MAX_IDLE = 4


def read_document(content: BinaryIO, source: str, limits: ReadLimits | None = None) -> Document:
    """Read a file. Thread-safe.

    This process holds one megabyte of the file at a time, and the text.

    Args:
        content: The file, read from its current position; it need not be seekable. It is not closed.
        source: The file's key or path. Its suffix gives the media type, unless the content is of another type.
        limits: Limits for reading; defaults to :class:`ReadLimits`.

    Raises:
        DocumentRefused: The document cannot be read; ``reason`` says why. The content causes no other exception.
            Exceptions of the stream are not caught.
        ConfigurationError: Packages are missing, or the process cannot be started.
    """
    limits = limits or ReadLimits()
    start = content.tell() if content.seekable() else None
    if start is not None:
        Allowance(source, limits).take_bytes(content.seek(0, os.SEEK_END) - start)
        content.seek(start)
    try:
        return _read(content, source, limits)
    except ProcessLost:
        if start is None:
            raise
    content.seek(start)
    # In a new process: other idle ones may have been killed as well.
    return _read(content, source, limits, is_new=True)


class IdlePool:
    """Reader processes that are idle."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._processes: list[ReaderProcess] = []
        renew_after_fork(self)

    @property
    def processes(self) -> tuple[ReaderProcess, ...]:
        """The idle processes."""
        return tuple(self._processes)

    def after_fork(self) -> None:
        """In a forked child: forget the processes."""
        # The processes belong to the parent; sharing them would mix up responses.
        self._processes = []

    def take(self) -> ReaderProcess | None:
        """Remove and return a process; None if there is none."""
        with self._lock:
            return self._processes.pop() if self._processes else None

    def put(self, process: ReaderProcess) -> None:
        """Add a process, or close it if it is unusable or the pool is full."""
        with self._lock:
            if len(self._processes) < _MAX_IDLE and process.is_usable:
                self._processes.append(process)
                return
        process.close()

    def close(self) -> None:
        """Close all idle processes."""
        while process := self.take():
            process.close()


#: The idle reader processes of this process.
idle_pool = IdlePool()
atexit.register(idle_pool.close)


def _read(content: BinaryIO, source: str, limits: ReadLimits, *, is_new: bool = False) -> Document:
    with _borrow_process(is_new=is_new) as process:
        return process.read(content, Allowance(source, limits), source)


@contextmanager
def _borrow_process(*, is_new: bool) -> Iterator[ReaderProcess]:
    process = (None if is_new else idle_pool.take()) or ReaderProcess()
    try:
        yield process
    finally:
        idle_pool.put(process)
