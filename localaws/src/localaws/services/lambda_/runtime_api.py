"""The Lambda runtime API, from which a function's process gets invocations and to which it sends results.

Paths, headers and bodies: Lambda developer guide, "Using the Lambda runtime API for custom runtimes". Each execution
environment has its own API on its own port, as on AWS.
"""

import json
import re
import select
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast

from localaws.core.local_requests import local_request_refusal

__all__ = ["Outcome", "Request", "RuntimeApi"]

_ROOT = "/2018-06-01/runtime/"
_REFUSED_BYTES = 64 * 1024
_RESULT = re.compile(_ROOT + r"invocation/([^/]+)/(response|error)")


@dataclass(frozen=True, slots=True)
class Request:
    """One invocation.

    Attributes:
        request_id: Id of the invocation.
        payload: The event, JSON.
        deadline: Deadline in seconds since 1970.
        function_arn: The ARN of the request, with version or alias.
        client_context: The client context of the request, as JSON; or None.
    """

    request_id: str
    payload: bytes
    deadline: float
    function_arn: str
    client_context: str | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of an invocation or of a failed start.

    Attributes:
        payload: The handler's return value or the error, as JSON.
        is_error: Whether it is an error.
    """

    payload: bytes
    is_error: bool = False

    @property
    def error_type(self) -> str:
        """The errorType of an error; empty if it has none."""
        try:
            document = json.loads(self.payload)
        except ValueError:
            return ""
        return str(document.get("errorType", "")) if isinstance(document, dict) else ""


class RuntimeApi:
    """The API for one process, with at most one invocation at a time."""

    def __init__(self) -> None:
        """Listen on a free port of 127.0.0.1."""
        self._changed = threading.Condition()
        self._is_ready = False
        self._waiting: socket.socket | None = None
        self._pending: Request | None = None
        self._current: str | None = None
        self._outcome: Outcome | None = None
        self._start_error: Outcome | None = None
        self._closed = False
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.api = self
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.2}, name="runtime-api", daemon=True
        )
        self._thread.start()

    @property
    def address(self) -> str:
        """The value for AWS_LAMBDA_RUNTIME_API."""
        return f"127.0.0.1:{self._server.server_port}"

    def wait_until_ready(self, deadline: float, is_alive: Callable[[], bool]) -> Outcome | None:
        """Wait until the process requests its first invocation or reports a failed start.

        Args:
            deadline: Deadline on the scale of ``time.monotonic``.
            is_alive: Whether the process runs.

        Returns:
            The error of a failed start; None if the process is ready.

        Raises:
            TimeoutError: The deadline passed.
            ChildProcessError: The process ended.
        """
        self._wait(lambda: self._is_ready or self._start_error is not None, deadline, is_alive)
        return self._start_error

    def invoke(self, request: Request, deadline: float, is_alive: Callable[[], bool]) -> Outcome:
        """Send an invocation to the process and wait for its outcome.

        Raises:
            TimeoutError: The deadline passed.
            ChildProcessError: The process ended.
        """
        with self._changed:
            self._pending, self._outcome = request, None
            self._changed.notify_all()
        self._wait(lambda: self._outcome is not None, deadline, is_alive)
        return cast("Outcome", self._outcome)

    def close(self) -> None:
        """Stop listening."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def is_cut_off(self) -> bool:
        """Whether the process closed its connection while waiting for an invocation."""
        with self._changed:
            connection = self._waiting
            if connection is None:
                return False
            readable, _, _ = select.select([connection], [], [], 0)
            try:
                return bool(readable) and not connection.recv(1, socket.MSG_PEEK)
            except OSError:
                return True

    def next(self, connection: socket.socket) -> Request | None:
        """Wait for the next invocation, for a process that requested it; None after :meth:`close`."""
        with self._changed:
            self._is_ready, self._waiting = True, connection
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._pending is not None or self._closed)
            self._waiting = None
            request, self._pending = self._pending, None
            self._current = request.request_id if request is not None else None
            return None if self._closed else request

    def finish(self, request_id: str, outcome: Outcome) -> bool:
        """Set the outcome of the current invocation; returns False for another invocation."""
        with self._changed:
            if request_id != self._current:
                return False
            self._outcome, self._current = outcome, None
            self._changed.notify_all()
            return True

    def fail_start(self, error: Outcome) -> None:
        """Set the error of a failed start."""
        with self._changed:
            self._start_error = error
            self._changed.notify_all()

    def _wait(self, condition: Callable[[], bool], deadline: float, is_alive: Callable[[], bool]) -> None:
        with self._changed:
            while not condition():
                left = deadline - time.monotonic()
                if left <= 0:
                    raise TimeoutError
                if not is_alive() or self._closed:
                    raise ChildProcessError
                # Polls, because the end of a process is not signalled.
                self._changed.wait(min(left, 0.05))


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    api: RuntimeApi

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore broken connections of killed processes."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def parse_request(self) -> bool:
        """Reject requests that are not from a program on this machine, such as a web page's."""
        if not super().parse_request():
            return False
        environ = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in self.headers.items()}
        port = cast("_Server", self.server).server_port
        environ |= {"SERVER_PORT": str(port), "REQUEST_METHOD": self.command, "REQUEST_URI": self.path}
        refusal = local_request_refusal(environ)
        if refusal is not None:
            # With a body unread, closing would reset the connection before the client has read the response.
            self.rfile.read(min(int(self.headers.get("Content-Length") or 0), _REFUSED_BYTES))
            # Without the header, a client may send its next request on the connection that is about to be closed.
            self._send(403, _error("Forbidden", refusal), {"Connection": "close"})
        return refusal is None

    def do_GET(self) -> None:
        """Handle a request for the next invocation."""
        if self.path != _ROOT + "invocation/next":
            self._send(404, _error("InvalidRequest", f"no such path: {self.path}"))
            return
        request = self._api.next(self.connection)
        if request is None:
            self.close_connection = True
            return
        headers = {
            "Lambda-Runtime-Aws-Request-Id": request.request_id,
            "Lambda-Runtime-Deadline-Ms": str(int(request.deadline * 1000)),
            "Lambda-Runtime-Invoked-Function-Arn": request.function_arn,
            "Lambda-Runtime-Trace-Id": f"Root=1-{int(time.time()):08x}-{request.request_id.replace('-', '')[:24]}",
        }
        if request.client_context is not None:
            headers["Lambda-Runtime-Client-Context"] = request.client_context
        self._send(200, request.payload, headers)

    def do_POST(self) -> None:
        """Handle an outcome."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        result = _RESULT.fullmatch(self.path)
        if self.path == _ROOT + "init/error":
            self._api.fail_start(Outcome(body, is_error=True))
        elif result is None:
            self._send(404, _error("InvalidRequest", f"no such path: {self.path}"))
            return
        elif not self._api.finish(result[1], Outcome(body, is_error=result[2] == "error")):
            self._send(400, _error("InvalidRequestID", "Invalid request ID"))
            return
        self._send(202, b'{"status":"OK"}\n')

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Log nothing."""

    @property
    def _api(self) -> RuntimeApi:
        return cast("_Server", self.server).api

    def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _error(kind: str, message: str) -> bytes:
    return json.dumps({"errorMessage": message, "errorType": kind}).encode()
