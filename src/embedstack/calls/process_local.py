"""State that belongs to one process: created on first use, again in the child of a fork, and again in a copy.

The child of ``os.fork`` inherits its parent's connections, locks and thread pools. Two processes that read from one
connection receive each other's responses, the threads do not exist in the child, and a lock that another thread held
is never released there. A pickle cannot hold any of them.
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
        """Called in the child, where only the forking thread is left."""


class _Pausable(Protocol):
    def before_fork(self) -> None:
        """Called in the parent just before it forks: wait for what is under way, and let nothing else begin."""

    def after_fork_in_parent(self) -> None:
        """Called in the parent just after: go on."""


_renewables: "weakref.WeakSet[_Renewable]" = weakref.WeakSet()
_pausables: "weakref.WeakSet[_Pausable]" = weakref.WeakSet()
_paused: list[_Pausable] = []
# Two threads that fork concurrently would wait for each other's pausables.
_forking = threading.Lock()


def renew_after_fork(owner: _Renewable) -> None:
    """Have ``owner.after_fork()`` called in every child of this process, for as long as the owner exists."""
    _renewables.add(owner)


def pause_for_fork(owner: _Pausable) -> None:
    """Have an owner called around every fork of this process: for what the child must not inherit at all."""
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
    """A lock that is free in the child of a fork, whichever thread held it in the parent, and free in a copy."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        renew_after_fork(self)

    def after_fork(self) -> None:
        """Start again with a free lock."""
        self._lock = threading.Lock()

    def acquire(self) -> None:
        """Wait for the lock, and take it."""
        self._lock.acquire()

    def release(self) -> None:
        """Let go of the lock."""
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
    """A value that every process creates for itself, with the first call of :meth:`get`.

    A pickle and a copy hold how the value is created, not the value.
    """

    def __init__(self, create: Callable[[], _Value], *, discard: "Callable[[_Value], None] | None" = None) -> None:
        """Prepare; nothing is created yet.

        Args:
            create: Creates the value. A module's function or a ``functools.partial`` of one can be pickled.
            discard: Called in the child of a fork with the parent's value, which the parent goes on using. It must not
                take a lock, since another thread of the parent may have held it.
        """
        self._create = create
        self._discard = discard
        self._value: _Value | None = None
        self._lock = threading.Lock()
        renew_after_fork(self)

    def get(self) -> _Value:
        """This process's value."""
        value = self._value
        if value is not None:
            return value
        with self._lock:
            if self._value is None:
                self._value = self._create()
            return self._value

    def take(self) -> _Value | None:
        """This process's value, for closing it; None where there is none. The next :meth:`get` creates another."""
        with self._lock:
            value, self._value = self._value, None
        return value

    def after_fork(self) -> None:
        """Let go of the parent's value."""
        inherited, self._value = self._value, None
        self._lock = threading.Lock()
        if inherited is not None and self._discard is not None:
            self._discard(inherited)

    def __getstate__(self) -> dict[str, Any]:
        return {"create": self._create, "discard": self._discard}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["create"], discard=state["discard"])  # type: ignore[misc]  # the documented use


class Origin:
    """Remembers in which process something was begun that no other process can go on with."""

    def __init__(self) -> None:
        self._pid = os.getpid()

    @property
    def is_here(self) -> bool:
        """Whether this is that process."""
        return self._pid == os.getpid()

    def check(self, message: str) -> None:
        """Refuse to go on in a child.

        Raises:
            ConfigurationError: This is another process; with this message.
        """
        if not self.is_here:
            raise ConfigurationError(message)


def keep_forever(inherited: object) -> None:
    """Never finalize an object that was inherited by a fork, not even when the interpreter exits.

    For objects whose finalizer would act on what the parent uses, or wait for threads that do not exist here.
    """
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(inherited))


def disconnect(descriptors: Iterable[int]) -> None:
    """Close this process's copies of inherited sockets and pipes; the parent's stay open, and nothing is sent.

    The numbers stay taken: an object that still knows one would otherwise write into whatever is opened next.
    """
    nowhere = os.open(os.devnull, os.O_RDWR)
    try:
        for descriptor in descriptors:
            with contextlib.suppress(OSError):
                os.dup2(nowhere, descriptor, inheritable=False)
    finally:
        os.close(nowhere)


def close_inherited_pools(manager: "urllib3.PoolManager") -> None:
    """Prepare a pool manager that was inherited by a fork for being dropped, which closes its sockets here only.

    urllib3 closes them by taking them from a queue, whose lock another thread of the parent may have held.
    """
    container = getattr(manager.pools, "_container", {})
    for pool in list(container.values()):
        mutex = getattr(pool.pool, "mutex", None)
        if mutex is not None:
            mutex._at_fork_reinit()  # noqa: SLF001 - how the standard library frees its own locks after a fork
