"""Locks by which requests for one object run one after another.

moto replaces an object in several steps: a concurrent read finds its content closed, and a concurrent write loses a
version.
"""

import contextlib
import threading
from collections.abc import Iterator

__all__ = ["locked"]

#: Objects share this many locks, since there can be any number of objects.
_LOCKS = tuple(threading.RLock() for _ in range(256))


@contextlib.contextmanager
def locked(*objects: tuple[str, str]) -> Iterator[None]:
    """Hold the locks of objects.

    Args:
        *objects: Bucket and key of each. Name all objects of one operation in one call, or two operations could wait
            for each other.
    """
    with contextlib.ExitStack() as stack:
        for number in sorted({hash(each) % len(_LOCKS) for each in objects}):
            stack.enter_context(_LOCKS[number])
        yield
