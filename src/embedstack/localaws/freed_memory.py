"""Returns the memory of large blocks to the system as soon as they are freed."""

import contextlib
import ctypes

__all__ = ["return_freed_memory"]

#: From glibc's malloc.h.
_M_MMAP_THRESHOLD = -3
_M_ARENA_MAX = -8
_LARGE_BYTES = 64 * 1024


def return_freed_memory() -> None:
    """Have this process give back what request bodies took; without glibc nothing changes.

    glibc raises the size from which a block is returned to the largest that was freed, up to 32 MB: after one large
    body, all smaller ones stay with the process, in one arena for each thread.
    """
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)
        mallopt(_M_ARENA_MAX, 2)
