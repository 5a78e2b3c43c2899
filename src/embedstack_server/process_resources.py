"""Heaps and open files of a server's process, on the systems that let a process choose."""

import contextlib
import ctypes
import gc
import sys

__all__ = ["limit_heaps", "open_files_limit", "raise_open_files_limit", "trim_heaps"]

# From glibc's malloc.h.
_M_MMAP_THRESHOLD = -3
_M_ARENA_MAX = -8
# By default every thread may fill a heap of its own; with two, the engine keeps 28 MB less.
_HEAPS = 2


def limit_heaps(returned_bytes: int | None = None) -> None:
    """Have threads share heaps; without glibc nothing changes.

    Args:
        returned_bytes: Size from which a block is returned to the system as soon as it is freed. By default glibc
            raises it to the largest block that was freed, up to 32 MB, so that after one large request all smaller
            ones stay with the process.
    """
    if mallopt := _c_function("mallopt"):
        mallopt(_M_ARENA_MAX, _HEAPS)
        if returned_bytes is not None:
            mallopt(_M_MMAP_THRESHOLD, returned_bytes)


def trim_heaps() -> None:
    """Return freed memory to the system; without glibc nothing changes but Python's own."""
    gc.collect()  # a connection and its requests refer to each other
    if malloc_trim := _c_function("malloc_trim"):
        malloc_trim(0)


def open_files_limit() -> int:
    """The number of file descriptors that this process may have."""
    if sys.platform == "win32":
        return sys.maxsize
    import resource  # noqa: PLC0415 - not on Windows

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if soft == resource.RLIM_INFINITY else soft


def raise_open_files_limit(descriptors: int = sys.maxsize) -> None:
    """Allow this process so many descriptors, or as many as the system permits; most start with 256 or 1,024."""
    if sys.platform == "win32":
        return
    import resource  # noqa: PLC0415 - not on Windows

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = descriptors if hard == resource.RLIM_INFINITY else min(descriptors, hard)
    if open_files_limit() < allowed:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))


def _c_function(name: str) -> "ctypes._NamedFuncPointer | None":
    return getattr(ctypes.CDLL(None), name, None) if sys.platform == "linux" else None
