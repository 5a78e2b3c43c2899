"""Local AWSs that are copies of a process which has imported one: each starts two seconds of processor time sooner.

That process is multiprocessing's fork server. It starts with the first of them and ends with the tests.
"""

import contextlib
import multiprocessing
import os
import subprocess
from collections.abc import Iterator
from multiprocessing.connection import Connection

import pytest

from localaws.process import daemon
from tests.support import local_aws_copy

__all__ = ["copied_local_aws"]


@contextlib.contextmanager
def copied_local_aws() -> Iterator[None]:
    """Whatever starts a local AWS in the background meanwhile gets a copy."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(daemon, "_launch", _Copy)
        yield


class _Copy:
    """A local AWS's process; see :class:`~localaws.process.pid_files.StartedProcess`."""

    def __init__(self, arguments: list[str], log: int, report: int, lifeline: int | None) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([local_aws_copy.__name__])
        # A file descriptor travels as the connection that it belongs to.
        files = [Connection(os.dup(file), readable=False) for file in (log, report)]
        if lifeline is not None:
            files.append(Connection(os.dup(lifeline), writable=False))
        self._process = context.Process(
            target=local_aws_copy.run, args=(arguments, dict(os.environ), *files), daemon=True
        )
        self._process.start()
        for file in files:
            file.close()
        assert self._process.pid is not None
        self.pid = self._process.pid

    def poll(self) -> int | None:
        """The exit status, once it has ended."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end."""
        self._process.join(timeout)
        status = self.poll()
        if status is None:
            raise subprocess.TimeoutExpired(local_aws_copy.__name__, timeout or 0)
        return status
