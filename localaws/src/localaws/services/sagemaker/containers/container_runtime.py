"""Starts the processes that play containers.

A process spends more time on importing the model server than on loading a small model into it. Where a process that has
imported it can be copied, one does so when the first container starts, and every container is a copy of it. That is so
on Linux; elsewhere libraries may not survive a copy of their process, and each container starts by itself.
"""

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from localaws.process.pid_files import PidFiles, StartedProcess

__all__ = ["Container", "ContainerRuntime"]

_MODULE = "localaws.services.sagemaker.containers.main"
#: Variables of this machine that a container's process needs in order to start.
_INHERITED = ("HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PATH", "PYTHONPATH", "TMPDIR", "TZ")


@dataclass(frozen=True, slots=True)
class Container:
    """A process that was started.

    Attributes:
        process: The process, the leader of a group and a session of its own.
        input: Its standard input. The process ends itself when it is closed.
        output: What it prints.
    """

    process: "StartedProcess"
    input: BinaryIO
    output: BinaryIO


class ContainerRuntime:
    """Starts containers, and records them for as long as they run."""

    def __init__(self, pids: "PidFiles") -> None:
        """Prepare; nothing runs yet.

        Args:
            pids: Where processes are recorded.
        """
        self._pids = pids
        self._template: _Template | None = None
        self._lock = threading.Lock()

    def start(self, listener: socket.socket) -> Container:
        """Start a process that reads from its standard input what to serve on a socket; see the container's module.

        Args:
            listener: The socket.

        Raises:
            OSError: The system does not give another process.
        """
        read_input, write_input = os.pipe()
        read_output, write_output = os.pipe()
        container_input, output = os.fdopen(write_input, "wb"), os.fdopen(read_output, "rb")
        try:
            process = self._start(listener.fileno(), read_input, write_output)
        except BaseException:
            container_input.close()
            output.close()
            raise
        finally:
            os.close(read_input)
            os.close(write_output)
        self._pids.add(process.pid)
        return Container(process, container_input, output)

    def forget(self, container: Container) -> None:
        """Record a process no more that has ended."""
        self._pids.remove(container.process.pid)

    def close(self) -> None:
        """End what containers are copied from."""
        with self._lock:
            if self._template is not None:
                self._template.close()
                self._template = None

    def _start(self, listener: int, read_input: int, write_output: int) -> "StartedProcess":
        if sys.platform != "linux":
            command = [sys.executable, "-m", _MODULE, "--listener", str(listener)]
            return subprocess.Popen(
                command,
                stdin=read_input,
                stdout=write_output,
                stderr=write_output,
                env=_environment(),
                pass_fds=(listener,),
                start_new_session=True,
            )
        with self._lock:
            if self._template is None or not self._template.alive:
                if self._template is not None:
                    self._template.close()
                self._template = _Template()
            return self._template.copy(listener, read_input, write_output)


class _Template:
    """The process that containers are copies of."""

    def __init__(self) -> None:
        """Start it; it answers once it has imported everything."""
        self._control, theirs = socket.socketpair()
        with theirs:
            command = [sys.executable, "-m", _MODULE, "--copied-by", str(theirs.fileno())]
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env=_environment(),
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
            )

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process.poll() is None

    def copy(self, listener: int, read_input: int, write_output: int) -> "_CopiedProcess":
        """Have it make a copy of itself with these files.

        Raises:
            OSError: It is gone.
        """
        read_status, write_status = os.pipe()
        status = os.fdopen(read_status, "rb", buffering=0)
        try:
            socket.send_fds(self._control, [b"."], [listener, read_input, write_output, write_status])
        except OSError:
            status.close()
            raise
        finally:
            os.close(write_status)
        return _CopiedProcess(status)

    def close(self) -> None:
        """End it; its copies go on."""
        self._control.close()
        self._process.wait()


class _CopiedProcess:
    """A process whose parent tells of it: a line with its pid when it has started, one with its status at its end."""

    def __init__(self, status: BinaryIO) -> None:
        """Wait for the pid.

        Raises:
            OSError: The parent is gone.
        """
        self._status = status
        self._lock = threading.Lock()
        self.returncode: int | None = None
        # The status comes first where it was killed at birth.
        self.pid = int(status.readline() or 0)
        if self.pid <= 0:
            status.close()
            raise BrokenPipeError("The process that containers are copied from, or the new copy, has ended.")

    def poll(self) -> int | None:
        """The exit status, negative for a signal; None while it runs."""
        with self._lock:
            if self.returncode is None and self._is_readable(0):
                self.returncode = self._read_status()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """The exit status, once there is one.

        Raises:
            subprocess.TimeoutExpired: It still runs.
        """
        if self.returncode is None:
            self._is_readable(timeout)
        status = self.poll()
        if status is None:
            raise subprocess.TimeoutExpired(_MODULE, timeout or 0)
        return status

    def _is_readable(self, timeout: float | None) -> bool:
        poller = select.poll()
        try:
            poller.register(self._status, select.POLLIN)
        except ValueError:  # another thread has read it
            return False
        return bool(poller.poll(None if timeout is None else timeout * 1000))

    def _read_status(self) -> int:
        line = self._status.readline()
        self._status.close()
        if line:
            return int(line)
        # Its parent is gone, and nobody would tell how it ends.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        return -signal.SIGKILL


def _environment() -> dict[str, str]:
    inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    return {**inherited, "PYTHONUNBUFFERED": "1"}
