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
    """A context manager around native code that releases the interpreter lock.

    A daemon thread that acquires the lock during interpreter exit is ended by unwinding its stack, at which C++ and
    Rust abort the whole process. So the exit waits for the threads inside the gate, and lets no other thread enter.
    """

    def __init__(self) -> None:
        self._closed = False
        self.after_fork()
        renew_after_fork(self)
        _gates.add(self)

    def after_fork(self) -> None:
        """Reset the count of threads, which do not exist in a child process."""
        self._changed = threading.Condition()
        self._inside = 0

    def __enter__(self) -> None:
        with self._changed:
            if self._closed and threading.current_thread() is threading.main_thread():
                raise RuntimeError("The interpreter is exiting; the model can no longer be used.")
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
        """Let no more threads enter, and wait for those inside."""
        with self._changed:
            self._closed = True
            while self._inside:
                self._changed.wait()


@atexit.register
def _close_all() -> None:
    for gate in list(_gates):
        gate.close()
