"""Failures of a cache: cache misses and one warning, never an error of the call."""

import logging
import time
from collections.abc import Callable

__all__ = ["RETRY_SECONDS", "FailureGuard"]

_logger = logging.getLogger(__name__)

#: Pause after a failure. Without it, every call would wait for a locked file or a dead server.
RETRY_SECONDS = 60.0

# (cache, cause) pairs that this process has warned about. `set.add` is atomic, so no lock is needed.
_warned: set[tuple[str, str]] = set()


class FailureGuard:
    """Disables one kind of access to a cache for a while, and warns once per cause and process."""

    def __init__(self, name: str, *, now: Callable[[], float] = time.monotonic) -> None:
        """Start usable.

        Args:
            name: Name of the cache, for the warning.
            now: Monotonic clock in seconds.
        """
        self._name = name
        self._now = now
        self._retry_at: float | None = None

    @property
    def is_open(self) -> bool:
        """Whether the cache may be used."""
        return self._retry_at is None or self._now() >= self._retry_at

    def fail(self, cause: str) -> None:
        """Disable the cache for :data:`RETRY_SECONDS`.

        Args:
            cause: The problem and its remedy; contains no text, key or vector.
        """
        self._retry_at = self._now() + RETRY_SECONDS
        warning = (self._name, cause)
        if warning not in _warned:
            _warned.add(warning)
            _logger.warning("%s is disabled temporarily; embedding continues without it: %s", *warning)
