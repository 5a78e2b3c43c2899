"""The model server in a child process, as a container starts it."""

import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Server", "serving", "wait_until_ready"]


@dataclass(frozen=True, slots=True)
class Server:
    """A running server.

    Attributes:
        port: Port on 127.0.0.1.
        pid: Process id.
    """

    port: int
    pid: int

    @property
    def megabytes(self) -> float:
        """Resident memory of the process, from Linux's /proc."""
        status = Path(f"/proc/{self.pid}/status").read_text(encoding="ascii")
        return int(status.partition("VmRSS:")[2].split()[0]) / 1024


@contextmanager
def serving(folder: Path, *options: str) -> Iterator[Server]:
    """Run a server for a model folder during the block."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    command = [sys.executable, "-m", "embedstack_server", str(folder), "--port", str(port), *options]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until_ready(port, lambda: process.poll() is None)
        yield Server(port, process.pid)
    finally:
        process.terminate()
        process.wait()


def wait_until_ready(port: int, is_running: Callable[[], bool]) -> None:
    """Wait until ``/ping`` returns 200; exit if the server has exited."""
    while is_running():
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/ping"):
                return
        except OSError:
            time.sleep(0.05)
    sys.exit("The model server exited before it was ready.")
