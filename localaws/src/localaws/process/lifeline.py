"""Child processes that end when the process that started them ends, however it ends.

A process that starts children holds the writing end of a pipe and never writes to it. The children have the reading
end, which reports the end of the file once that process is gone. A program of this package reads it itself; any other
program is watched by a shell that does.
"""

import functools
import os
import subprocess
import threading

__all__ = ["Lifeline", "exit_with_parent", "lifeline_fd"]

#: Ends a process when standard input ends.
_WATCH = 'read -r line || kill -s "$1" -- "$2"'


@functools.cache
def lifeline_fd() -> int:
    """The reading end of this process's pipe, for ``pass_fds`` of a child."""
    reading, _ = os.pipe()
    return reading


def exit_with_parent(descriptor: int) -> None:
    """Exit with status 1 as soon as the process at the other end of the pipe is gone.

    Args:
        descriptor: The inherited reading end.
    """

    def wait() -> None:
        os.read(descriptor, 1)
        os._exit(1)

    threading.Thread(target=wait, name="lifeline", daemon=True).start()


class Lifeline:
    """Ends a process that does not read the pipe itself when this process ends, until it is released."""

    def __init__(self, pid: int, *, signal: str = "QUIT", group: bool = False) -> None:
        """Start watching.

        Args:
            pid: The process to end.
            signal: Name of the signal that ends it. SIGQUIT is Postgres' immediate shutdown.
            group: Whether to end the whole process group that it leads.
        """
        # A separate session keeps Ctrl-C in a terminal from ending the shell first.
        self._watch = subprocess.Popen(
            ["sh", "-c", _WATCH, "lifeline", signal, f"-{pid}" if group else str(pid)],
            stdin=lifeline_fd(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def release(self) -> None:
        """Stop watching; the process runs on."""
        self._watch.kill()
        self._watch.wait()
