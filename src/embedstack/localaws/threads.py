"""Doing several slow things at once: starting and stopping containers."""

import threading
from collections.abc import Callable, Sequence

__all__ = ["at_the_same_time"]


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
