"""The HTTP server of the local AWS: waitress, with limits on what a client can occupy.

waitress receives a whole request before a worker thread handles it, in memory up to a limit and in a temporary file
beyond. A client that sends slowly, or stops, therefore occupies a connection and no thread. This module adds a deadline
for a whole request, a limit per service on the body, and free connections when all are taken.
"""

import heapq
import logging
import re
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser
from waitress.receiver import ChunkedReceiver
from waitress.server import TcpWSGIServer
from waitress.task import ThreadedTaskDispatcher, WSGITask
from waitress.utilities import BadRequest, RequestEntityTooLarge

from embedstack_server.process_resources import open_files_limit
from localaws.core.wsgi import CONNECTION_KEY, ClientDisconnected

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication

__all__ = ["MAX_CONNECTIONS", "HttpServer"]

_logger = logging.getLogger(__name__)

#: Where moto looks for the original names of metadata headers, in which underscores and dashes differ.
_SENT_NAMES_KEY = "moto.preserved_header_names"
_METADATA_PREFIX = "x-amz-meta-"

_SIGNED_SERVICE = re.compile(r"/([a-z0-9-]+)/aws4_request")

_KIB, _MIB, _GIB = 1024, 1024**2, 1024**3
#: Request line and headers. The longest that AWS defines are a session token and 8 KB of S3 metadata.
_HEADER_BYTES = 64 * _KIB
#: "You can upload a single object up to 5 GB in a single PUT operation" (S3 user guide, "Uploading objects").
_S3_BODY_BYTES = 5 * _GIB
#: The largest body of any other service is Lambda's CreateFunction, 70,167,211 bytes.
_BODY_BYTES = 128 * _MIB
#: The part of a body that is held in memory while it arrives.
_BODY_BYTES_IN_MEMORY = 64 * _KIB
#: The size line of a chunk with its extensions, or the trailer after the last chunk.
_CHUNK_LINE_BYTES = 16 * _KIB
#: Bytes of a chunked body that are parsed in one step.
_CHUNKED_BYTES = 8 * _KIB

#: All bodies together, of the requests that are arriving.
_ARRIVING_BYTES = 8 * _GIB

MAX_CONNECTIONS = 1000
#: Connections beyond that until waitress stops accepting; idle ones are closed before.
_CONNECTIONS_ABOVE = 16
#: File descriptors for everything else. A connection may need two: one for its body's temporary file.
_RESERVED_DESCRIPTORS = 128
_ACCEPTED_AT_ONCE = 64
#: Without a byte in either direction.
_IDLE_SECONDS = 120.0
#: Without a byte of a request that has begun.
_STALLED_SECONDS = 30.0
_HEADER_SECONDS = 15.0
#: After this time a body has to have arrived at the following rate on average.
_BODY_SECONDS = 60.0
_BODY_BYTES_PER_SECOND = 64 * _KIB
_SHUTDOWN_SECONDS = 5.0


class HttpServer:
    """Serves a WSGI application on a listening socket, from ``start`` until ``close``."""

    def __init__(self, application: "WSGIApplication", listener: socket.socket) -> None:
        """Take over a listening socket; no request is handled before ``start``.

        Args:
            application: Handles the requests.
            listener: A TCP socket that is bound.
        """
        self._map: dict[int, Any] = {}
        self._workers = _Workers()
        limit = min(MAX_CONNECTIONS, max(16, (open_files_limit() - _RESERVED_DESCRIPTORS) // 2))
        adjustments = Adjustments(
            sockets=[listener],
            backlog=1024,
            # Closing idle connections makes room before waitress would stop accepting.
            connection_limit=_CONNECTIONS_ABOVE + limit,
            # Another request may be read ahead; without it a client that has gone is not noticed.
            channel_request_lookahead=1,
            channel_timeout=_IDLE_SECONDS,
            cleanup_interval=1,
            asyncore_use_poll=True,
            clear_untrusted_proxy_headers=False,
            max_request_header_size=_HEADER_BYTES,
            max_request_body_size=_S3_BODY_BYTES + 1,
            inbuf_overflow=_BODY_BYTES_IN_MEMORY,
            # Never reached: a worker thread hands over a response and does not wait for a client that reads slowly.
            outbuf_high_watermark=1024 * _GIB,
            recv_bytes=64 * _KIB,
            # Sends no Server header.
            ident=None,
        )
        self._server = _Server(
            application,
            self._map,
            _sock=listener,
            dispatcher=self._workers,
            adj=adjustments,
            bind_socket=False,
            sockinfo=(listener.family, listener.type, listener.proto, listener.getsockname()),
        )
        self.port = int(self._server.effective_port)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="localaws-http", daemon=True)

    def start(self) -> None:
        """Serve in the background."""
        self._thread.start()

    def stop_accepting(self) -> None:
        """Accept no further connections; requests on open ones are handled."""
        self._server.accepting = False

    def close(self) -> None:
        """Wait for the requests under way, for some seconds, and close every connection."""
        self.stop_accepting()
        self._workers.shutdown(timeout=_SHUTDOWN_SECONDS)
        self._stopped.set()
        self._server.pull_trigger()
        if self._thread.is_alive():
            self._thread.join()
        for channel in list(self._server.active_channels.values()):
            channel.handle_close()
        wasyncore.close_all(self._map, ignore_all=True)

    def _serve(self) -> None:
        while not self._stopped.is_set():
            wasyncore.loop(timeout=1.0, use_poll=True, map=self._map, count=1)


class _Parser(HTTPRequestParser):  # type: ignore[misc]  # waitress is untyped
    """Reads one request, within the limits of this module."""

    def __init__(self, adjustments: Adjustments) -> None:
        super().__init__(adjustments)
        self.error: Any = None
        self.expect_continue = False
        self.completed = False
        self.started = time.monotonic()
        #: Metadata of S3 whose names have an underscore, by their keys in the environment: (name, value).
        self.underscored: dict[str, tuple[str, str]] = {}

    def received(self, data: bytes) -> int:
        # waitress copies the rest after each chunk. With few bytes at a time, that is cheap.
        consumed: int = super().received(data[:_CHUNKED_BYTES] if self.chunked else data)
        if self.error is None and self.headers_finished and self.body_rcv is not None:
            self.error = self._exceeded_bound()
        if self.error is None:
            return consumed
        # The rest is not another request: the connection ends with the response.
        self.completed = True
        return len(data)

    def parse_header(self, header_plus: bytes) -> None:
        super().parse_header(header_plus)
        # boto3 sends "Expect: 100-continue" with an empty object, too; waitress would then wait for a body.
        self.expect_continue = self.expect_continue and self.body_rcv is not None
        # waitress drops these, since a server could take them for headers with a dash.
        for line in header_plus.split(b"\r\n")[1:]:
            name, _, value = (part.decode("latin-1").strip(" \t") for part in line.partition(b":"))
            key = name.upper().replace("-", "_")
            if "_" in name and name.lower().startswith(_METADATA_PREFIX) and key not in self.headers:
                former = self.underscored.get(f"HTTP_{key}")
                self.underscored[f"HTTP_{key}"] = (former[0], f"{former[1]},{value}") if former else (name, value)

    def is_overdue(self, now: float) -> bool:
        """Whether the client has taken too long to send this request."""
        age = now - self.started
        if not self.headers_finished:
            return age > _HEADER_SECONDS
        received: int = self.body_bytes_received
        return age > _BODY_SECONDS + received / _BODY_BYTES_PER_SECOND

    def _exceeded_bound(self) -> BadRequest | RequestEntityTooLarge | None:
        limit = _S3_BODY_BYTES if self._is_for_s3() else _BODY_BYTES
        if max(self.content_length, self.body_bytes_received) > limit:
            return RequestEntityTooLarge(f"The body is larger than {limit} bytes. Send a smaller one.")
        if not isinstance(self.body_rcv, ChunkedReceiver):
            return None
        if max(len(self.body_rcv.control_line), len(self.body_rcv.trailer)) > _CHUNK_LINE_BYTES:
            return BadRequest(f"A chunk's size line or the trailer is longer than {_CHUNK_LINE_BYTES} bytes.")
        # Parsing chunks of a few bytes costs a hundred times what the bytes cost to send.
        if self.body_bytes_received > _CHUNKED_BYTES and self.body_bytes_received > 2 * len(self.body_rcv):
            return BadRequest("The chunks of the body are too small. Send at least 16 bytes in each.")
        return None

    def _is_for_s3(self) -> bool:
        """Whether the request is signed for S3. The signer does not matter here."""
        signature = self.headers.get("AUTHORIZATION", "")
        return "/s3/" in signature or signature.startswith("AWS ") or (not signature and "Signature=" in self.query)


class _Task(WSGITask):  # type: ignore[misc]  # waitress is untyped
    """Lets the application handle one request."""

    def get_environment(self) -> dict[str, Any]:
        environ: dict[str, Any] = super().get_environment()
        environ["RAW_URI"] = environ["REQUEST_URI"]
        environ[CONNECTION_KEY] = self.channel.socket
        names = environ[_SENT_NAMES_KEY] = {}
        for key, (name, value) in self.request.underscored.items():
            environ[key], names[key] = value, name
        return environ

    def execute(self) -> None:
        try:
            super().execute()
        except (ClientDisconnected, OSError):
            raise
        except Exception:
            # Without the path, which waitress would log: it may be an object's key.
            _logger.exception("a request failed")
            if self.wrote_header:
                self.set_close_on_finish()
                return
            body = b"The local AWS failed; its log has the traceback."
            self.status, self.complete, self.content_length = "500 Internal Server Error", True, len(body)
            self.response_headers = [("Content-Type", "text/plain")]
            self.set_close_on_finish()
            self.write(body)

    def build_response_header(self) -> bytes:
        # waitress capitalizes names. S3's clients take the names of metadata as they come.
        names = {name.lower(): name for name, _ in self.response_headers}
        block: bytes = super().build_response_header()
        lines = block.decode("latin-1").split("\r\n")
        for number, line in enumerate(lines[1:], 1):
            name, colon, value = line.partition(":")
            lines[number] = names.get(name.lower(), name) + colon + value
        return "\r\n".join(lines).encode("latin-1")

    def finish(self) -> None:
        super().finish()
        # Retries are logged: they explain a resource that exists twice. What SDKs send: "attempt=2; max=3".
        headers = self.request.headers
        attempt = headers.get("AMZ_SDK_REQUEST", "")
        if attempt and "attempt=1" not in attempt.split("; "):
            # Without the path, which may be an object's key.
            service = _SIGNED_SERVICE.search(headers.get("AUTHORIZATION", ""))
            operation = headers.get("X_AMZ_TARGET") or f"{service[1] if service else 'unsigned'} {self.request.command}"
            _logger.info("%.100s: %.40s, status %s", operation, attempt, self.status.partition(" ")[0])


class _Channel(HTTPChannel):  # type: ignore[misc]  # waitress is untyped
    """One connection."""

    task_class = _Task
    parser_class = _Parser
    request: _Parser | None = None

    @property
    def is_serving(self) -> bool:
        """Whether a request is being handled or its response is on the way."""
        return bool(self.requests) or bool(self.total_outbufs_len)

    def _flush_some(self, do_close: bool = True) -> bool:
        # waitress takes no lock here while no request is queued. A worker thread that has finished a request may then
        # be sending "100 Continue" for the next one, and both would send the same bytes.
        # A broken connection is not closed here: closing takes the lock of the requests, which a caller may hold. The
        # event loop closes it, without a lock.
        del do_close
        with self.outbuf_lock:
            flushed: bool = super()._flush_some(do_close=False)
            return flushed

    def handle_close(self) -> None:
        super().handle_close()
        # waitress would leave the temporary file of a body that has arrived in part to the garbage collector.
        with self.requests_lock:
            if self.request is not None:
                self.request.close()
                self.request = None


class _Server(TcpWSGIServer):  # type: ignore[misc]  # waitress is untyped
    """Accepts connections, and ends those that take too long."""

    channel_class = _Channel

    def maintenance(self, now: float) -> None:
        super().maintenance(now)
        arriving = [channel for channel in self.active_channels.values() if channel.request and not channel.is_serving]
        for channel in arriving:
            if now - channel.last_activity > _STALLED_SECONDS or channel.request.is_overdue(time.monotonic()):
                channel.will_close = True
        if sum(channel.request.body_bytes_received for channel in arriving) > _ARRIVING_BYTES:
            max(arriving, key=lambda channel: channel.request.body_bytes_received).will_close = True

    def handle_accept(self) -> None:
        # waitress accepts one connection per pass over all of them, which is too slow when many clients connect.
        for _ in range(_ACCEPTED_AT_ONCE):
            before = len(self.active_channels)
            if before >= self.adj.connection_limit - _CONNECTIONS_ABOVE:
                self._close_idle()
                before = len(self.active_channels)
            super().handle_accept()
            if len(self.active_channels) == before:
                return

    def _close_idle(self) -> None:
        """Close some idle connections, those without activity for longest first."""
        idle = [channel for channel in self.active_channels.values() if not channel.is_serving]
        for channel in heapq.nsmallest(_ACCEPTED_AT_ONCE, idle, key=lambda channel: channel.last_activity):
            channel.handle_close()


class _Workers(ThreadedTaskDispatcher):  # type: ignore[misc]  # waitress is untyped
    """One thread per request that is being handled, started when needed.

    With a fixed number there would be deadlocks: an invoked function sends requests while its caller's thread waits,
    and such callers could occupy all threads.
    """

    def add_task(self, task: Any) -> None:
        with self.lock:
            self.queue.append(task)
            self.queue_cv.notify()
            threads = len(self.threads) - self.stop_count
            is_short = len(self.queue) > threads - self.active_count
        if is_short and threads < MAX_CONNECTIONS:
            self.set_thread_count(threads + 1)
