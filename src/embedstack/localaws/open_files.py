"""How many files and connections this process may have open."""

import contextlib
import resource
import sys

__all__ = ["open_files_limit", "raise_open_files_limit"]


def open_files_limit() -> int:
    """The number of file descriptors that this process may have."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if soft == resource.RLIM_INFINITY else soft


def raise_open_files_limit(descriptors: int = 4096) -> None:
    """Allow this process that many, or as many as the system lets it: macOS starts programs with 256."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = descriptors if hard == resource.RLIM_INFINITY else min(descriptors, hard)
    if open_files_limit() < allowed:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
