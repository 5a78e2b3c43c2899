"""Keeps threads out of native code while the interpreter exits."""

import atexit
import threading
import weakref
from typing import TYPE_CHECKING

from embedstack.calls.process_local import renew_after_fork

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["ExitGate"]

_gates: "weakref.WeakSet[ExitGate]" = weakref.WeakSet()


class ExitGate:
    """A context in which threads run native code that releases the interpreter's lock.

    The interpreter ends a daemon thread when that takes the lock again during its exit, by unwinding the thread's
    stack. C++ and Rust abort the whole process then. So the exit waits for the threads inside, and lets none in.
    """

    def __init__(self) -> None:
        self._closed = False
        self.after_fork()
        renew_after_fork(self)
        _gates.add(self)

    def after_fork(self) -> None:
        """Forget the threads inside, which do not exist in a child."""
        self._changed = threading.Condition()
        self._inside = 0

    def __enter__(self) -> None:
        with self._changed:
            if self._closed and threading.current_thread() is threading.main_thread():
                raise RuntimeError("The model cannot be used any more: the interpreter exits.")
            while self._closed:
                self._changed.wait()
            self._inside += 1

    def __exit__(
        self, kind: "type[BaseException] | None", error: "BaseException | None", trace: "TracebackType | None"
    ) -> None:
        with self._changed:
            self._inside -= 1
            if self._closed:
                self._changed.notify_all()

    def close(self) -> None:
        """Let no thread in, and wait for those inside."""
        with self._changed:
            self._closed = True
            while self._inside:
                self._changed.wait()


@atexit.register
def _close_all() -> None:
    for gate in list(_gates):
        gate.close()
