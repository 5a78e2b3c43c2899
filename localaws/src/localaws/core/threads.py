"""Threads for periodic calls and for concurrent actions."""

import logging
import threading
from collections.abc import Callable, Sequence

__all__ = ["Ticker", "at_the_same_time"]

_logger = logging.getLogger(__name__)


class Ticker:
    """Calls a function periodically from :meth:`start` to :meth:`close`, even if a call fails."""

    def __init__(self, name: str, seconds: float, tick: Callable[[], None]) -> None:
        """Prepare; nothing is called before :meth:`start`.

        Args:
            name: Name of the thread, also in the log.
            seconds: Real seconds between two calls.
            tick: The function.
        """
        self._name = name
        self._seconds = seconds
        self._tick = tick
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return self._closed.is_set()

    def start(self) -> None:
        """Start calling."""
        self._thread.start()

    def close(self, *, wait: bool = True) -> None:
        """Stop calling; with ``wait``, return once the last call has ended."""
        self._closed.set()
        if wait and self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._closed.wait(self._seconds):
            try:
                self._tick()
            except Exception:
                # The next call follows all the same.
                _logger.exception("%s failed", self._name)


def at_the_same_time(actions: Sequence[Callable[[], None]]) -> None:
    """Run each action in a separate thread and wait for all of them.

    Args:
        actions: The actions; each handles its own errors.
    """
    threads = [threading.Thread(target=action, name="at-the-same-time", daemon=True) for action in actions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
