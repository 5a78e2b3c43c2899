"""The model server in a process of its own, as a container starts it."""

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
    """A server that answers.

    Attributes:
        port: Of 127.0.0.1.
        pid: Its process.
    """

    port: int
    pid: int

    @property
    def megabytes(self) -> float:
        """Memory that the process has in use now (Linux: resident set)."""
        status = Path(f"/proc/{self.pid}/status").read_text(encoding="ascii")
        return int(status.partition("VmRSS:")[2].split()[0]) / 1024


@contextmanager
def serving(folder: Path, *options: str) -> Iterator[Server]:
    """A server of a model folder, for as long as the block lasts."""
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
    """Wait for ``/ping`` to say 200; end this program when the server has ended."""
    while is_running():
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/ping"):
                return
        except OSError:
            time.sleep(0.05)
    sys.exit("The model server ended before it was ready.")
