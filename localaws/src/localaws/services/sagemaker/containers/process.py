"""One container as an operating system process: started, pinged, invoked, stopped."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import urllib3
from urllib3.exceptions import HTTPError, NewConnectionError, ReadTimeoutError

from localaws.process.lifeline import lifeline_fd

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from localaws.config import LocalAwsConfig
    from localaws.process.pid_files import PidFiles
    from localaws.services.sagemaker.containers.images import ServerProtocol

_TAIL_LINES = 10
#: A dying process closes its sockets a little before it can be reaped.
_DEATH_NOTICE_SECONDS = 0.25
_CONNECTIONS = 256
_MODULE = "localaws.services.sagemaker.containers.main"
#: Variables of this machine that a container's process needs in order to start.
_INHERITED = ("HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PATH", "PYTHONPATH", "TMPDIR", "TZ")


class ContainerStartError(Exception):
    """A container did not come up.

    Attributes:
        timed_out: True if the health check did not pass in time, False if the process exited.
        tail: The last lines it printed.
    """

    def __init__(self, message: str, *, timed_out: bool, tail: str) -> None:
        super().__init__(message)
        self.timed_out = timed_out
        self.tail = tail


class ContainerGone(Exception):
    """The container's process ended, or does not accept connections.

    Attributes:
        request_sent: Whether the request may have reached the model.
    """

    def __init__(self, *, request_sent: bool) -> None:
        super().__init__("the model process exited")
        self.request_sent = request_sent


class InvocationTimeout(Exception):
    """The container did not respond to an invocation in time."""


@dataclass(frozen=True, slots=True)
class LaunchPlan:
    """What to run for a container.

    Attributes:
        protocol: The protocol of the server in the image.
        model_folder: The model it loads.
        model_id: The name it reports.
        environment: The container's environment variables.
        label: ``endpoint/variant``, for the process list.
    """

    protocol: "ServerProtocol"
    model_folder: Path
    model_id: str
    environment: "Mapping[str, str]" = field(default_factory=dict)
    label: str = ""


@dataclass(frozen=True, slots=True)
class ContainerResponse:
    """A container's response; ``body`` is None if it was larger than allowed."""

    status: int
    headers: "Mapping[str, str]"
    body: bytes | None


class ContainerProcess:
    """A running model server. Thread-safe."""

    def __init__(
        self, plan: LaunchPlan, config: "LocalAwsConfig", pids: "PidFiles", on_line: "Callable[[str], None]"
    ) -> None:
        """Start the process; it serves once ``wait_until_ready`` has returned.

        Args:
            plan: What to run.
            config: Limits and durations.
            pids: Where the process is recorded.
            on_line: Receives each line that the container prints.

        Raises:
            OSError: The system cannot start another process.
        """
        self._config = config
        self._pids = pids
        self._on_line = on_line
        self._tail: deque[str] = deque(maxlen=_TAIL_LINES)
        with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
            port = listener.getsockname()[1]
            self._process = _spawn(plan.label, listener.fileno())
        pids.add(self._process.pid)
        _send_specification(self._process, plan)
        self._reader = threading.Thread(target=self._read_output, name=f"log-{self._process.pid}", daemon=True)
        self._reader.start()
        self._pool = urllib3.HTTPConnectionPool("127.0.0.1", port, maxsize=_CONNECTIONS, retries=False)

    @property
    def pid(self) -> int:
        """The operating system's process id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process.poll() is None

    def wait_until_ready(self, deadline: float, cancelled: threading.Event) -> None:
        """Block until ``GET /ping`` returns 200.

        Args:
            deadline: On ``time.monotonic``'s scale.
            cancelled: Set when the container is no longer needed.

        Raises:
            ContainerStartError: The process exited, time ran out, or the start was cancelled.
        """
        while time.monotonic() < deadline and not cancelled.is_set():
            if not self.alive:
                self._reader.join(timeout=5)
                message = f"the model process exited with status {self._process.poll()}"
                raise ContainerStartError(message, timed_out=False, tail=self.tail)
            with contextlib.suppress(HTTPError):
                if self._pool.request("GET", "/ping", timeout=self._config.ping_timeout).status == 200:
                    return
            cancelled.wait(self._config.ping_interval)
        raise ContainerStartError("the ping health check did not pass in time", timed_out=True, tail=self.tail)

    @property
    def tail(self) -> str:
        """The last lines that the container printed, joined."""
        return " | ".join(self._tail)

    def invoke(
        self, body: bytes, headers: "Mapping[str, str]", limit: int, *, timeout: float | None = None
    ) -> ContainerResponse:
        """``POST /invocations``.

        Args:
            body: Request body.
            headers: Request headers.
            limit: Largest response in bytes.
            timeout: Seconds for the whole request; defaults to ``invocation_timeout``.

        Raises:
            ContainerGone: The process ended before it responded.
            InvocationTimeout: It did not respond in time.
        """
        total = urllib3.Timeout(connect=self._config.ping_timeout, total=timeout or self._config.invocation_timeout)
        try:
            response = self._pool.request(
                "POST", "/invocations", body=body, headers=headers, timeout=total, preload_content=False
            )
            try:
                content = response.read(limit + 1)
                if len(content) > limit:
                    response.close()
                    return ContainerResponse(response.status, response.headers, None)
                return ContainerResponse(response.status, response.headers, content)
            finally:
                response.release_conn()
        except ReadTimeoutError as error:
            raise InvocationTimeout from error
        except NewConnectionError as error:
            # A killed process refuses connections shortly before its death can be observed.
            self._outlives_its_connection()
            raise ContainerGone(request_sent=False) from error
        except HTTPError as error:
            raise ContainerGone(request_sent=not self._outlives_its_connection()) from error

    def _outlives_its_connection(self) -> bool:
        """Whether only the connection broke: the server may close a kept-alive connection just as it is used."""
        deadline = time.monotonic() + _DEATH_NOTICE_SECONDS
        while self.alive and time.monotonic() < deadline:
            time.sleep(0.01)
        return self.alive

    def stop(self, grace: float | None = None) -> None:
        """Send SIGTERM, then SIGKILL after the grace period; returns once the process and its log have ended."""
        if self.alive:
            self._signal(signal.SIGTERM)
            try:
                self._process.wait(self._config.stop_grace if grace is None else grace)
            except subprocess.TimeoutExpired:
                self._signal(signal.SIGKILL)
                self._process.wait()
        self._reader.join(timeout=5)
        self._pool.close()
        # A worker of the server may hold the pipe open.
        if self._process.stdout is not None and not self._reader.is_alive():
            self._process.stdout.close()
        self._pids.remove(self._process.pid)

    def _signal(self, number: signal.Signals) -> None:
        """Signal the container's whole process group: a server may have workers."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    def _read_output(self) -> None:
        output = self._process.stdout
        if output is None:
            return
        for raw in iter(lambda: output.readline(65536), b""):
            line = raw.decode("utf-8", errors="replace").rstrip("\n")
            if line.strip():
                self._tail.append(line)
                self._on_line(line)


def _spawn(label: str, listener: int) -> "subprocess.Popen[bytes]":
    inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    lifeline = lifeline_fd()
    return subprocess.Popen(
        [sys.executable, "-m", _MODULE, f"--listener-fd={listener}", f"--lifeline-fd={lifeline}", label],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**inherited, "PYTHONUNBUFFERED": "1"},
        pass_fds=(listener, lifeline),
        start_new_session=True,
    )


def _send_specification(process: "subprocess.Popen[bytes]", plan: LaunchPlan) -> None:
    """Write what to serve to standard input: a command line is visible to every user of the machine."""
    specification: dict[str, Any] = {
        "protocol": plan.protocol,
        "model_folder": str(plan.model_folder),
        "model_id": plan.model_id,
        "environment": dict(plan.environment),
    }
    if process.stdin is not None:
        with contextlib.suppress(BrokenPipeError), process.stdin:
            process.stdin.write(json.dumps(specification).encode())
