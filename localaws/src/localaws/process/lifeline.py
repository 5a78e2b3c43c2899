"""Processes that end when the local AWS ends, in whatever way it ends."""

import contextlib
import subprocess

__all__ = ["Lifeline"]

#: The end of its input without a line means that this process is gone.
_WATCH = 'read -r line || kill -s "$1" -- "$2"'


class Lifeline:
    """Ends a process when this one dies, in whatever way, until it is released."""

    def __init__(self, pid: int, *, signal: str = "QUIT", group: bool = False) -> None:
        """Watch from now on.

        Args:
            pid: Of the process to end.
            signal: Name of the signal that ends it. SIGQUIT is Postgres' immediate shutdown.
            group: Whether to end its process group, of which it is the leader, too.
        """
        # In a session of its own, so that what is typed at a terminal does not end it first.
        self._watch = subprocess.Popen(
            ["sh", "-c", _WATCH, "lifeline", signal, f"-{pid}" if group else str(pid)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def release(self) -> None:
        """Leave the process to itself."""
        with contextlib.suppress(BrokenPipeError):
            self._watch.communicate(b"\n")
