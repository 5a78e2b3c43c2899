"""A process that nobody's child is, ended with the process that wanted it."""

import contextlib
import subprocess

__all__ = ["Lifeline"]

#: The end of its input without a line means that this process is gone. SIGQUIT is Postgres' immediate shutdown.
_WATCH = 'read -r line || kill -QUIT "$1"'


class Lifeline:
    """Ends a process when this one dies, in whatever way, until it is released."""

    def __init__(self, pid: int) -> None:
        """Watch from now on.

        Args:
            pid: Of the process to end.
        """
        # In a session of its own, so that what is typed at a terminal does not end it first.
        self._watch = subprocess.Popen(
            ["sh", "-c", _WATCH, "lifeline", str(pid)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def release(self) -> None:
        """Leave the process to itself."""
        with contextlib.suppress(BrokenPipeError):
            self._watch.communicate(b"\n")
