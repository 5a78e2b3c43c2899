"""HTTP connections: uvicorn's, with limits on each client's memory and time.

A request reaches the application once its body is complete, so incomplete requests do not count as pending. They use
only memory, which is bounded across all connections: above the limit, the oldest incomplete request is rejected.
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

import httptools
import orjson
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from embedstack_server.http.protocol import Response
from embedstack_server.http.requests import RequestError

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

__all__ = ["HttpConnection", "HttpLimits", "HttpState"]

# Pipelined requests that may wait on one connection.
_MAX_PIPELINED = 16
# Chunks of one body that are allowed in addition to one per 64 bytes: each chunk has a fixed processing cost.
_MAX_SMALL_CHUNKS = 16_384
_CHUNK_BYTES = 64
# Freeing a body of at least this size is reported.
_LARGE_BYTES = 1024 * 1024
# How long the data of a rejected client is read and discarded. Closing immediately would reset the connection before
# the client could read the error.
_LINGER_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """Limits on requests and connections.

    Attributes:
        head_bytes: Request line and headers; also the framing of a chunked body between two pieces of content.
        body_bytes: Body of one request.
        head_seconds: From the first byte of a request, or the opening of a connection, to the end of the headers.
        body_seconds: From the end of the headers to the end of the body. SageMaker's invocation timeout is 60 s.
        write_seconds: Time for a client to read a response that does not fit into its connection's buffer.
        incomplete_requests: Incomplete requests across all connections.
        incomplete_bytes: Received body bytes of the incomplete requests.
        unread_bytes: Responses across all connections that wait for slow clients.
    """

    head_bytes: int = 64 * 1024
    body_bytes: int = 25 * 1024 * 1024
    head_seconds: float = 15.0
    body_seconds: float = 60.0
    write_seconds: float = 60.0
    incomplete_requests: int = 1024
    incomplete_bytes: int = 256 * 1024 * 1024
    unread_bytes: int = 256 * 1024 * 1024


class HttpState:
    """State shared by all connections of a server: incomplete requests and unread responses, oldest first."""

    def __init__(
        self,
        limits: HttpLimits,
        render_error: "Callable[[RequestError], Response]",
        freed: "Callable[[int], None]",
        rejected: "Callable[[RequestError], None]",
    ) -> None:
        """Create the state of a server without connections.

        Args:
            limits: Limits on requests and connections.
            render_error: Renders the response to a rejected request.
            freed: Called with the bytes of a body that is complete or abandoned, or of a response that was sent.
            rejected: Called with the reason why a request is rejected before the application receives it.
        """
        self.limits = limits
        self._render_error = render_error
        self._rejected = rejected
        self._freed = freed
        self._sweep: asyncio.TimerHandle | None = None
        self._incomplete: dict[HttpConnection, int] = {}
        self._incomplete_bytes = 0
        self._unread: dict[HttpConnection, int] = {}

    def begin_request(self, connection: "HttpConnection") -> None:
        """Register a new request on a connection."""
        self._incomplete.setdefault(connection, 0)
        if self._sweep is None:
            self._sweep = connection.loop.call_later(self._sweep_seconds, self._time_out, connection.loop)
        if len(self._incomplete) > self.limits.incomplete_requests:
            self._reject_oldest()

    def is_incomplete(self, connection: "HttpConnection") -> bool:
        """Whether a connection's request is incomplete."""
        return connection in self._incomplete

    def receive_body(self, connection: "HttpConnection", size: int) -> None:
        """Count ``size`` received bytes of a connection's request body."""
        self._incomplete[connection] = self._incomplete.get(connection, 0) + size
        self._incomplete_bytes += size
        while self._incomplete_bytes > self.limits.incomplete_bytes:
            self._reject_oldest(with_body=True)

    def end_request(self, connection: "HttpConnection") -> None:
        """Remove a connection's request, which is complete or abandoned."""
        size = self._incomplete.pop(connection, 0)
        self._incomplete_bytes -= size
        if size >= _LARGE_BYTES:
            self._freed(size)

    def begin_unread(self, connection: "HttpConnection") -> None:
        """Register a response that its client does not read fast enough."""
        self._unread[connection] = connection.transport.get_write_buffer_size()
        while len(self._unread) > 1 and sum(map(_unread_bytes, self._unread)) > self.limits.unread_bytes:
            oldest = next(iter(self._unread))
            self.end_unread(oldest)
            oldest.transport.abort()

    def end_unread(self, connection: "HttpConnection") -> None:
        """Remove a connection's response, which has been read."""
        if size := self._unread.pop(connection, 0):
            self._freed(size)

    def render(self, error: RequestError) -> Response:
        """The response to a rejected request, in the protocol's own format for errors that it defines."""
        self._rejected(error)
        if error.error_type in ("overloaded", "payload_too_large"):
            return self._render_error(error)
        return Response(orjson.dumps({"error": error.message, "error_type": error.error_type}), status=error.status)

    @property
    def _sweep_seconds(self) -> float:
        return min(1.0, self.limits.head_seconds / 4, self.limits.body_seconds / 4)

    def _time_out(self, loop: "asyncio.AbstractEventLoop") -> None:
        """Reject the requests that have timed out. One timer for all is cheaper than one for each request."""
        self._sweep = None
        now = loop.time()
        for connection in [connection for connection in self._incomplete if connection.deadline <= now]:
            connection.time_out()
        if self._incomplete and self._sweep is None:
            self._sweep = loop.call_later(self._sweep_seconds, self._time_out, loop)

    def _reject_oldest(self, *, with_body: bool = False) -> None:
        oldest = next(connection for connection, size in self._incomplete.items() if size or not with_body)
        self.end_request(oldest)  # reject() skips this if the connection is already closing
        oldest.reject(
            RequestError(429, "overloaded", "Too many requests are incomplete. Retry this request.", retry_after=1)
        )


class HttpConnection(HttpToolsProtocol):
    """An HTTP connection with limits; see the module.

    Attributes:
        deadline: Event loop time by which the headers, or the body, of the current request must be complete.
    """

    def __init__(self, *args: Any, state: HttpState, **options: Any) -> None:
        """Create a connection.

        Args:
            args: Passed on to uvicorn.
            state: State that the server's connections share.
            options: Passed on to uvicorn.
        """
        super().__init__(*args, **options)
        self._state = state
        self._limits = state.limits
        self.deadline = math.inf
        self._lingering: asyncio.TimerHandle | None = None
        self._write_deadline: asyncio.TimerHandle | None = None
        self._rejection: RequestError | None = None
        self._rejected = False
        self._since_progress = 0
        self._head_bytes = 0
        self._in_body = False
        self._chunks = 0
        self._active: Any = None  # the request that the application is working on
        self._complete_later: tuple[Any, Any] | None = None

    def connection_made(self, transport: "asyncio.Transport") -> None:  # type: ignore[override]  # as uvicorn has it
        """Handle a new connection."""
        super().connection_made(transport)
        self.flow = _Flow(transport)
        self._begin_request()

    def connection_lost(self, exc: Exception | None) -> None:
        """Handle the end of the connection."""
        self._state.end_request(self)
        self._state.end_unread(self)
        _cancel(self._lingering)
        _cancel(self._write_deadline)
        if self.cycle is not None:
            self.cycle.body = bytearray()  # cycle and connection reference each other until garbage collection
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Handle received data."""
        if self._rejected:
            return
        self._unset_keepalive_if_required()
        if self._active is None and not self._state.is_incomplete(self):
            self._begin_request()
        self._since_progress += len(data)
        try:
            self.parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self.reject(self._rejection or RequestError(400, "malformed_http", "The request is not valid HTTP."))
        if self._since_progress > self._limits.head_bytes:
            self.reject(_head_too_large(self._limits.head_bytes))

    def on_message_begin(self) -> None:
        """Handle the start of a request."""
        super().on_message_begin()
        if self._rejected:
            return
        self._in_body = False
        self._head_bytes = 0
        self._chunks = 0
        self._begin_request()

    def on_url(self, url: bytes) -> None:
        """Handle a part of the request line."""
        super().on_url(url)
        self._head_bytes += len(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Handle a header; trailers of a chunked body are ignored."""
        if not self._in_body and not self._rejected:
            super().on_header(name, value)
            self._head_bytes += len(name) + len(value) + 4  # colon, space, end of line

    def on_headers_complete(self) -> None:
        """Reject the request because of its headers, or wait for its body."""
        self._since_progress = 0
        if self._rejected:
            return
        self._in_body = True
        if rejection := self._find_rejection():
            self._stop(rejection)
        super().on_headers_complete()
        if self.pipeline:
            self._flow.hold()
        self.deadline = self.loop.time() + self._limits.body_seconds
        if self.expect_100_continue and self._active is None:
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        # Prevents a second 100 Continue when the application reads the body.
        self.cycle.waiting_for_100_continue = False

    def on_chunk_header(self) -> None:
        """Handle the start of a chunk."""
        self._chunks += 1

    def on_body(self, body: bytes) -> None:
        """Handle a part of the body."""
        self._since_progress = 0
        if self._rejected:
            return
        self.cycle.body += body
        if len(self.cycle.body) > self._limits.body_bytes:
            self._stop(_body_too_large(self._limits.body_bytes))
        if self._chunks > _MAX_SMALL_CHUNKS + len(self.cycle.body) // _CHUNK_BYTES:
            self._stop(RequestError(413, "too_many_chunks", "The body has too many small chunks. Send larger chunks."))
        self._state.receive_body(self, len(body))

    def on_message_complete(self) -> None:
        """Handle the end of the request."""
        self._since_progress = 0
        if self._rejected:
            return
        self._state.end_request(self)
        super().on_message_complete()
        if self._complete_later is not None:
            cycle, app = self._complete_later
            self._complete_later = None
            self._start_asgi_task(cycle, app)

    def on_response_complete(self) -> None:
        """Handle the end of the response."""
        self._active = None
        self._flow.release(held=len(self.pipeline) > 1)
        super().on_response_complete()

    def pause_writing(self) -> None:
        """Start the write timeout: the client reads more slowly than the response is written."""
        super().pause_writing()
        _cancel(self._write_deadline)
        self._write_deadline = self.loop.call_later(self._limits.write_seconds, self.transport.abort)
        self._state.begin_unread(self)

    def resume_writing(self) -> None:
        """Stop the write timeout: the client has read the buffered response."""
        super().resume_writing()
        _cancel(self._write_deadline)
        self._state.end_unread(self)

    def shutdown(self) -> None:
        """Close the connection on shutdown, after the response in progress."""
        if self._active is None:
            self.transport.close()
        else:
            super().shutdown()

    def reject(self, error: RequestError) -> None:
        """Reject the request that is being read, and close the connection."""
        if self._rejected or self.transport.is_closing():
            return
        self._rejected = True
        self._state.end_request(self)
        self.pipeline.clear()
        self._complete_later = None
        if self.cycle is not None and self.cycle is not self._active:
            self.cycle.body = bytearray()
        if self._active is not None:
            # The response to an earlier request is finished before the connection closes.
            self._active.keep_alive = False
            return
        response = self._state.render(error)
        head = [
            STATUS_LINE[response.status],
            b"content-type: %b\r\nconnection: close\r\n" % response.media_type.encode(),
            b"" if error.retry_after is None else b"retry-after: %d\r\n" % error.retry_after,
            b"content-length: %d\r\n\r\n" % len(response.body),
        ]
        self.transport.write(b"".join(head) + response.body)
        self.transport.write_eof()
        self._lingering = self.loop.call_later(_LINGER_SECONDS, self.transport.abort)

    def time_out(self) -> None:
        """Reject the request, whose deadline has passed."""
        seconds = self._limits.body_seconds if self._in_body else self._limits.head_seconds
        if self._flow.held:  # reading is paused, which is not the client's fault
            self.deadline = self.loop.time() + seconds
        elif self._since_progress or self._in_body:
            self.reject(
                RequestError(408, "request_timeout", f"The request was not complete after {seconds:g} s. Retry it.")
            )
        else:
            self._state.end_request(self)
            self.transport.close()

    @property
    def _flow(self) -> "_Flow":
        assert isinstance(self.flow, _Flow)  # noqa: S101 - made in connection_made
        return self.flow

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        """Start the application once the body is complete."""
        if cycle.more_body:
            self._complete_later = cycle, app
        else:
            self._active = cycle
            super()._start_asgi_task(cycle, app)

    def _find_rejection(self) -> RequestError | None:
        """The reason to reject the request before its body is read; None to accept it."""
        headers = dict(self.headers)
        length = headers.get(b"content-length", b"0")
        if self._head_bytes > self._limits.head_bytes:
            return _head_too_large(self._limits.head_bytes)
        if self.parser.should_upgrade():
            return RequestError(
                400, "unsupported_upgrade", "The server supports HTTP/1.1 only: remove the `Upgrade` header."
            )
        if b"origin" in headers or headers.get(b"sec-fetch-site", b"none") != b"none":
            # The server has no web pages, so a browser's request comes from another site, which must not reach it.
            return RequestError(
                403, "from_browser", "Requests from web pages are not allowed: call the server from a program."
            )
        if headers.get(b"content-encoding", b"identity").lower() != b"identity":
            return RequestError(
                415, "unsupported_encoding", "Content-Encoding is not supported: send the body uncompressed."
            )
        if headers.get(b"transfer-encoding", b"chunked").lower() != b"chunked":
            return RequestError(400, "unsupported_encoding", "The only supported Transfer-Encoding is chunked.")
        if length.isdigit() and int(length) > self._limits.body_bytes:
            return _body_too_large(self._limits.body_bytes)
        if len(self.pipeline) >= _MAX_PIPELINED:
            return RequestError(
                429,
                "overloaded",
                "Too many pipelined requests on this connection. Wait for responses first.",
                retry_after=1,
            )
        return None

    def _stop(self, error: RequestError) -> NoReturn:
        """Reject the request from a parser callback; raising stops the parser."""
        self._rejection = error
        raise error

    def _begin_request(self) -> None:
        self.deadline = self.loop.time() + self._limits.head_seconds
        self._state.begin_request(self)


class _Flow(FlowControl):
    """Flow control that can pause reading regardless of what the application requests."""

    def __init__(self, transport: "asyncio.Transport") -> None:
        super().__init__(transport)
        self.held = False

    def hold(self) -> None:
        """Pause reading until :meth:`release`."""
        self.held = True
        self.pause_reading()

    def release(self, *, held: bool) -> None:
        """Allow reading again, unless ``held``."""
        self.held = held

    def resume_reading(self) -> None:
        if not self.held:
            super().resume_reading()


def _unread_bytes(connection: HttpConnection) -> int:
    return connection.transport.get_write_buffer_size()


def _cancel(timer: "asyncio.TimerHandle | None") -> None:
    if timer is not None:
        timer.cancel()


def _head_too_large(limit: int) -> RequestError:
    return RequestError(431, "headers_too_large", f"The request line and headers are over the limit of {limit} bytes.")


def _body_too_large(limit: int) -> RequestError:
    return RequestError(413, "payload_too_large", f"The body is over the limit of {limit} bytes.")
