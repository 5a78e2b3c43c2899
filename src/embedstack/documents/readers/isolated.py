"""A document from a stream, read in a process of its own, so that no file can take this one's time or memory.

The process is started with the first document, in some 0.1 s, and kept for the next ones; each thread that reads has
its own. It has no part of the environment's secrets, and ends with this process however that ends.
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

__all__ = ["read_document"]

_MAX_IDLE = 4


def read_document(content: BinaryIO, source: str, limits: ReadLimits | None = None) -> Document:
    """Read a file.

    Safe to call from several threads. This process holds a megabyte of the file at a time, and the text.

    Args:
        content: The file, from where it stands; a stream that cannot seek will do. Not closed.
        source: Its key or path; the suffix says what it is, unless the content says otherwise.
        limits: What it may take; :class:`ReadLimits` otherwise.

    Raises:
        DocumentRefused: No text can be read from it; ``reason`` says why. Whatever the content is, this is all that is
            raised for it. What reading the stream itself raises is not caught.
        ConfigurationError: The packages that read it are not installed, or no process can be started.
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
    # In a new process: one that is kept may be gone as well.
    return _read(content, source, limits, is_new=True)


class _Idle:
    """The processes that wait for a document."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._processes: list[ReaderProcess] = []
        renew_after_fork(self)

    def after_fork(self) -> None:
        # They are the parent's, whose answers would get mixed up with this process's.
        self._processes = []

    def take(self) -> ReaderProcess | None:
        with self._lock:
            return self._processes.pop() if self._processes else None

    def put(self, process: ReaderProcess) -> None:
        with self._lock:
            if len(self._processes) < _MAX_IDLE and process.is_usable:
                self._processes.append(process)
                return
        process.close()

    def close(self) -> None:
        while process := self.take():
            process.close()


_idle = _Idle()
atexit.register(_idle.close)


def _read(content: BinaryIO, source: str, limits: ReadLimits, *, is_new: bool = False) -> Document:
    with _borrowed(is_new=is_new) as process:
        return process.read(content, Allowance(source, limits), source)


@contextmanager
def _borrowed(*, is_new: bool) -> Iterator[ReaderProcess]:
    process = (None if is_new else _idle.take()) or ReaderProcess()
    try:
        yield process
    finally:
        _idle.put(process)
