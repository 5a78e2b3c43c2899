"""Limits on a server process's heaps and open files, where the platform supports them."""

import contextlib
import ctypes
import gc
import sys
from pathlib import Path

__all__ = ["available_memory", "limit_heaps", "open_files_limit", "raise_open_files_limit", "trim_heaps"]

# From glibc's malloc.h.
_M_MMAP_THRESHOLD = -3
_M_ARENA_MAX = -8
# A container's limit and its use, in version 2 and version 1 of control groups.
_CGROUP_FILES = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
)
# By default every thread may have its own heap. With two heaps, the engine uses 28 MB less.
_HEAPS = 2


def available_memory() -> int | None:
    """Memory that this process may still take, in bytes: the least that the system and its container leave.

    Returns:
        None where neither is known, as on macOS.
    """
    available = [_system_memory(), *map(_container_memory, _CGROUP_FILES)]
    return min((memory for memory in available if memory is not None), default=None)


def _system_memory() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration):
        return None


def _container_memory(files: tuple[str, str]) -> int | None:
    try:
        limit, used = (Path(file).read_text(encoding="ascii").strip() for file in files)
    except OSError:
        return None
    return None if limit == "max" else max(int(limit) - int(used), 0)


def limit_heaps(returned_bytes: int | None = None) -> None:
    """Make threads share heaps; has no effect without glibc.

    Args:
        returned_bytes: Blocks of at least this size are returned to the system as soon as they are freed. By default,
            glibc raises the threshold to the largest freed block, up to 32 MB, so that after one large request the
            process keeps all smaller blocks.
    """
    if mallopt := _c_function("mallopt"):
        mallopt(_M_ARENA_MAX, _HEAPS)
        if returned_bytes is not None:
            mallopt(_M_MMAP_THRESHOLD, returned_bytes)


def trim_heaps() -> None:
    """Collect garbage, and with glibc return freed memory to the system."""
    gc.collect()  # connections and requests are reference cycles
    if malloc_trim := _c_function("malloc_trim"):
        malloc_trim(0)


def open_files_limit() -> int:
    """The number of file descriptors that this process may open."""
    if sys.platform == "win32":
        return sys.maxsize
    import resource  # noqa: PLC0415 - not on Windows

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if soft == resource.RLIM_INFINITY else soft


def raise_open_files_limit(descriptors: int = sys.maxsize) -> None:
    """Raise the limit on open files to ``descriptors``, or as far as permitted; the usual default is 256 or 1,024."""
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
