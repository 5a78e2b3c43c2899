"""Threads: several slow things at once, and something small again and again."""

import logging
import threading
from collections.abc import Callable, Sequence

__all__ = ["Ticker", "at_the_same_time"]

_logger = logging.getLogger(__name__)


class Ticker:
    """Calls something every so often, from :meth:`start` to :meth:`close`, whatever becomes of a single call."""

    def __init__(self, name: str, seconds: float, tick: Callable[[], None]) -> None:
        """Prepare.

        Args:
            name: Of the thread, and for the log.
            seconds: Real seconds between two calls.
            tick: What to call.
        """
        self._name = name
        self._seconds = seconds
        self._tick = tick
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    @property
    def closed(self) -> bool:
        """Whether no further call will come."""
        return self._closed.is_set()

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self, *, wait: bool = True) -> None:
        """Make no further call; with ``wait``, return when the last one has ended."""
        self._closed.set()
        if wait and self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._closed.wait(self._seconds):
            try:
                self._tick()
            except Exception:
                # The next call comes all the same.
                _logger.exception("%s failed", self._name)


def at_the_same_time(actions: Sequence[Callable[[], None]]) -> None:
    """Run actions in a thread each and wait for all of them.

    Args:
        actions: What to run; each deals with its own errors.
    """
    threads = [threading.Thread(target=action, name="at-the-same-time", daemon=True) for action in actions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
