"""State of one process: created on first use, and again in the child of a fork and in a copy.

The child of ``os.fork`` inherits its parent's connections, locks and thread pools. Two processes that read from one
connection receive each other's responses; the threads do not exist in the child; a lock that another thread held is
never released there. A pickle cannot contain any of them.
"""

import contextlib
import ctypes
import os
import threading
import weakref
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from embedstack.errors import ConfigurationError

if TYPE_CHECKING:
    from types import TracebackType

    import urllib3

__all__ = [
    "Lock",
    "Origin",
    "PerProcess",
    "close_inherited_pools",
    "disconnect",
    "keep_forever",
    "pause_for_fork",
    "renew_after_fork",
]

_Value = TypeVar("_Value")


class _Renewable(Protocol):
    def after_fork(self) -> None:
        """Called in the child, where only the forking thread exists."""


class _Pausable(Protocol):
    def before_fork(self) -> None:
        """Called in the parent just before the fork: wait for running operations, and start no others."""

    def after_fork_in_parent(self) -> None:
        """Called in the parent just after the fork: continue."""


_renewables: "weakref.WeakSet[_Renewable]" = weakref.WeakSet()
_pausables: "weakref.WeakSet[_Pausable]" = weakref.WeakSet()
_paused: list[_Pausable] = []
# Two threads that fork concurrently would wait for each other's pausables.
_forking = threading.Lock()


def renew_after_fork(owner: _Renewable) -> None:
    """Call ``owner.after_fork()`` in every child of this process, as long as the owner exists."""
    _renewables.add(owner)


def pause_for_fork(owner: _Pausable) -> None:
    """Call an owner around every fork of this process, for state that the child must not inherit."""
    _pausables.add(owner)


def _before_fork() -> None:
    _forking.acquire()
    _paused.extend(_pausables)
    for owner in _paused:
        owner.before_fork()


def _after_fork_in_parent() -> None:
    while _paused:
        _paused.pop().after_fork_in_parent()
    _forking.release()


def _after_fork_in_child() -> None:
    _paused.clear()
    _forking.release()
    for owner in list(_renewables):
        owner.after_fork()


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)


class Lock:
    """A lock that is free in the child of a fork and in a copy, even if a thread of the parent held it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        renew_after_fork(self)

    def after_fork(self) -> None:
        """Replace the lock with a free one."""
        self._lock = threading.Lock()

    def acquire(self) -> None:
        """Wait for the lock and acquire it."""
        self._lock.acquire()

    def release(self) -> None:
        """Release the lock."""
        self._lock.release()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(
        self, kind: "type[BaseException] | None", error: "BaseException | None", trace: "TracebackType | None"
    ) -> None:
        self._lock.release()

    def __reduce__(self) -> "tuple[type[Lock], tuple[()]]":
        return Lock, ()


class PerProcess(Generic[_Value]):
    """A value that every process creates with its first call of :meth:`get`.

    A pickle and a copy contain the function that creates the value, not the value.
    """

    def __init__(self, create: Callable[[], _Value], *, discard: "Callable[[_Value], None] | None" = None) -> None:
        """Prepare; nothing is created yet.

        Args:
            create: Creates the value. Module-level functions and ``functools.partial`` of them can be pickled.
            discard: Called in the child of a fork with the parent's value, which the parent still uses. It must not
                acquire a lock, since another thread of the parent may have held it.
        """
        self._create = create
        self._discard = discard
        self._value: _Value | None = None
        self._lock = threading.Lock()
        renew_after_fork(self)

    def get(self) -> _Value:
        """The value of this process."""
        value = self._value
        if value is not None:
            return value
        with self._lock:
            if self._value is None:
                self._value = self._create()
            return self._value

    def take(self) -> _Value | None:
        """Remove the value of this process to close it; None if there is none. The next :meth:`get` creates another."""
        with self._lock:
            value, self._value = self._value, None
        return value

    def after_fork(self) -> None:
        """Drop the value of the parent."""
        inherited, self._value = self._value, None
        self._lock = threading.Lock()
        if inherited is not None and self._discard is not None:
            self._discard(inherited)

    def __getstate__(self) -> dict[str, Any]:
        return {"create": self._create, "discard": self._discard}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["create"], discard=state["discard"])  # type: ignore[misc]  # the documented use


class Origin:
    """Remembers the process that started an operation which no other process can continue."""

    def __init__(self) -> None:
        self._pid = os.getpid()

    @property
    def is_here(self) -> bool:
        """Whether this is that process."""
        return self._pid == os.getpid()

    def check(self, message: str) -> None:
        """Raise an error in any other process.

        Raises:
            ConfigurationError: This is another process; with the given message.
        """
        if not self.is_here:
            raise ConfigurationError(message)


def keep_forever(inherited: object) -> None:
    """Never finalize an object that a fork has inherited, not even when the interpreter exits.

    For objects whose finalizer would affect the parent, or wait for threads that do not exist in the child.
    """
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(inherited))


def disconnect(descriptors: Iterable[int]) -> None:
    """Close inherited sockets and pipes in this process; the parent's stay open, and nothing is sent.

    The descriptors stay in use, since an object that still has one would otherwise write into the next opened file.
    """
    nowhere = os.open(os.devnull, os.O_RDWR)
    try:
        for descriptor in descriptors:
            with contextlib.suppress(OSError):
                os.dup2(nowhere, descriptor, inheritable=False)
    finally:
        os.close(nowhere)


def close_inherited_pools(manager: "urllib3.PoolManager") -> None:
    """Prepare an inherited pool manager for being dropped, which closes its sockets in this process only.

    urllib3 closes them by taking them from a queue, whose lock another thread of the parent may have held.
    """
    container = getattr(manager.pools, "_container", {})
    for pool in list(container.values()):
        mutex = getattr(pool.pool, "mutex", None)
        if mutex is not None:
            mutex._at_fork_reinit()  # noqa: SLF001 - how the standard library frees its own locks after a fork
