"""The model server in a child process, as a container starts it, and plain HTTP calls to it."""

import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["call", "serving", "wait_until_ready"]


@contextmanager
def serving(folder: Path, *options: str) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """Start a server for a model folder; its URL and process. The process is killed at the end of the block."""
    command = [sys.executable, "-m", "embedstack_server", str(folder), "--port", str(port := free_port()), *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        yield f"http://127.0.0.1:{port}", process
    finally:
        process.kill()
        process.communicate()


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def call(url: str, body: bytes | None = None, accept: str | None = None) -> tuple[int, dict[str, str], bytes]:
    """Send one request; the response's status, headers and body."""
    request = urllib.request.Request(url, data=body, headers={"Accept": accept} if accept else {})
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.status, dict(response.headers), response.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, dict(error.headers), error.read()


def wait_until_ready(url: str) -> list[int]:
    """Poll /ping until it returns 200; the statuses of all polls, with 0 for a refused connection."""
    statuses: list[int] = []
    for _ in range(300):
        try:
            statuses.append(call(f"{url}/ping")[0])
        except OSError:
            statuses.append(0)
        if statuses[-1] == 200:
            return statuses
        time.sleep(0.05)
    raise AssertionError(f"not ready: {set(statuses)}")
