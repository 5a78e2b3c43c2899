"""One client's HTTP connection: uvicorn's, with limits on what a client can make the server keep or wait for.

A request reaches the application when its body has arrived. Until then it takes none of the places of requests that are
processed, only memory, and that is bounded for all connections together: the oldest incomplete request is refused
first.
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

import httptools
import orjson
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from embedstack_server.http.protocol import Answer
from embedstack_server.http.requests import RequestError

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

__all__ = ["HttpConnection", "HttpLimits", "HttpState"]

# Requests of one connection that may wait for the response to an earlier one.
_MAX_PIPELINED = 16
# Chunks of one body, beside one for every 64 bytes of it: each costs as much time as many bytes do.
_MAX_SMALL_CHUNKS = 16_384
_CHUNK_BYTES = 64
# Bodies from this size are reported when they are freed.
_LARGE_BYTES = 1024 * 1024
# How long a refused client's data is read and dropped. Closing immediately would reset the connection, and the client
# could not read why it was refused.
_LINGER_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """Limits on requests and connections.

    Attributes:
        head_bytes: Request line and headers; also bytes of a chunked body between two pieces of content.
        body_bytes: Body of one request.
        head_seconds: From the first byte of a request, or the opening of a connection, to the end of the headers.
        body_seconds: From there to the end of the body. SageMaker gives an invocation 60 s in all.
        write_seconds: Time for a client to read a response that does not fit into its connection's buffer.
        incomplete_requests: Of all connections together.
        incomplete_bytes: Bodies of these.
        unread_bytes: Responses of all connections together that wait for slow clients.
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
    """What all connections of a server share: the incomplete requests and the unread responses, oldest first."""

    def __init__(
        self,
        limits: HttpLimits,
        render_error: "Callable[[RequestError], Answer]",
        freed: "Callable[[int], None]",
    ) -> None:
        """Begin without connections.

        Args:
            limits: Limits on requests and connections.
            render_error: Makes the response to a refused request.
            freed: Told the bytes of a body that is complete or given up, or of a response that waits no longer.
        """
        self.limits = limits
        self._render_error = render_error
        self._freed = freed
        self._sweep: asyncio.TimerHandle | None = None
        self._incomplete: dict[HttpConnection, int] = {}
        self._incomplete_bytes = 0
        self._unread: dict[HttpConnection, int] = {}

    def begin_request(self, connection: "HttpConnection") -> None:
        """A request begins on a connection."""
        self._incomplete.setdefault(connection, 0)
        if self._sweep is None:
            self._sweep = connection.loop.call_later(self._sweep_seconds, self._time_out, connection.loop)
        if len(self._incomplete) > self.limits.incomplete_requests:
            self._refuse_oldest()

    def is_incomplete(self, connection: "HttpConnection") -> bool:
        """Whether a connection's request is incomplete."""
        return connection in self._incomplete

    def receive_body(self, connection: "HttpConnection", size: int) -> None:
        """A part of a body has come, so many bytes long."""
        self._incomplete[connection] = self._incomplete.get(connection, 0) + size
        self._incomplete_bytes += size
        while self._incomplete_bytes > self.limits.incomplete_bytes:
            self._refuse_oldest(with_body=True)

    def end_request(self, connection: "HttpConnection") -> None:
        """A connection's request is complete, or has been given up."""
        size = self._incomplete.pop(connection, 0)
        self._incomplete_bytes -= size
        if size >= _LARGE_BYTES:
            self._freed(size)

    def begin_unread(self, connection: "HttpConnection") -> None:
        """A connection cannot take more of its response."""
        self._unread[connection] = connection.transport.get_write_buffer_size()
        while len(self._unread) > 1 and sum(map(_unread_bytes, self._unread)) > self.limits.unread_bytes:
            oldest = next(iter(self._unread))
            self.end_unread(oldest)
            oldest.transport.abort()

    def end_unread(self, connection: "HttpConnection") -> None:
        """A connection's response is read."""
        if size := self._unread.pop(connection, 0):
            self._freed(size)

    def render(self, error: RequestError) -> Answer:
        """The response to a refused request: the protocol's own where it knows the reason."""
        if error.error_type in ("overloaded", "payload_too_large"):
            return self._render_error(error)
        return Answer(orjson.dumps({"error": error.message, "error_type": error.error_type}), status=error.status)

    @property
    def _sweep_seconds(self) -> float:
        return min(1.0, self.limits.head_seconds / 4, self.limits.body_seconds / 4)

    def _time_out(self, loop: "asyncio.AbstractEventLoop") -> None:
        """Refuse the requests whose time is up. One timer for all costs less than one for each request."""
        self._sweep = None
        now = loop.time()
        for connection in [connection for connection in self._incomplete if connection.deadline <= now]:
            connection.time_out()
        if self._incomplete and self._sweep is None:
            self._sweep = loop.call_later(self._sweep_seconds, self._time_out, loop)

    def _refuse_oldest(self, *, with_body: bool = False) -> None:
        oldest = next(connection for connection, size in self._incomplete.items() if size or not with_body)
        self.end_request(oldest)  # also where it is closed already
        oldest.refuse(
            RequestError(429, "overloaded", "Too many requests are incomplete; send this one again.", retry_after=1)
        )


class HttpConnection(HttpToolsProtocol):
    """A connection; see the module.

    Attributes:
        deadline: When the request that is being read must be complete, or its headers; by the event loop's clock.
    """

    def __init__(self, *args: Any, state: HttpState, **options: Any) -> None:
        """Make a connection of a server.

        Args:
            args: For uvicorn.
            state: What the server's connections share.
            options: For uvicorn.
        """
        super().__init__(*args, **options)
        self._state = state
        self._limits = state.limits
        self.deadline = math.inf
        self._lingering: asyncio.TimerHandle | None = None
        self._write_deadline: asyncio.TimerHandle | None = None
        self._refusal: RequestError | None = None
        self._refused = False
        self._since_progress = 0
        self._head_bytes = 0
        self._in_body = False
        self._chunks = 0
        self._active: Any = None  # the request that the application is working on
        self._complete_later: tuple[Any, Any] | None = None

    def connection_made(self, transport: "asyncio.Transport") -> None:  # type: ignore[override]  # as uvicorn has it
        """A client has connected."""
        super().connection_made(transport)
        self.flow = _Flow(transport)
        self._begin_request()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection has ended."""
        self._state.end_request(self)
        self._state.end_unread(self)
        _cancel(self._lingering)
        _cancel(self._write_deadline)
        if self.cycle is not None:
            self.cycle.body = bytearray()  # the two refer to each other, and would keep it until they are collected
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """The client has sent something."""
        if self._refused:
            return
        self._unset_keepalive_if_required()
        if self._active is None and not self._state.is_incomplete(self):
            self._begin_request()
        self._since_progress += len(data)
        try:
            self.parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self.refuse(self._refusal or RequestError(400, "malformed_http", "The request is not valid HTTP."))
        if self._since_progress > self._limits.head_bytes:
            self.refuse(_head_too_large(self._limits.head_bytes))

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        if self._refused:
            return
        self._in_body = False
        self._head_bytes = 0
        self._chunks = 0
        self._begin_request()

    def on_url(self, url: bytes) -> None:
        """A part of the request line has come."""
        super().on_url(url)
        self._head_bytes += len(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header has come; one that follows a chunked body says nothing and is dropped."""
        if not self._in_body and not self._refused:
            super().on_header(name, value)
            self._head_bytes += len(name) + len(value) + 4  # colon, space, end of line

    def on_headers_complete(self) -> None:
        """The headers are complete: refuse the request by them, or wait for its body."""
        self._since_progress = 0
        if self._refused:
            return
        self._in_body = True
        if refusal := self._find_refusal():
            self._stop(refusal)
        super().on_headers_complete()
        if self.pipeline:
            self._flow.hold()
        self.deadline = self.loop.time() + self._limits.body_seconds
        if self.expect_100_continue and self._active is None:
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        # Or it would be sent again when the application reads the body.
        self.cycle.waiting_for_100_continue = False

    def on_chunk_header(self) -> None:
        """A chunk of the body begins."""
        self._chunks += 1

    def on_body(self, body: bytes) -> None:
        """A part of the body has come."""
        self._since_progress = 0
        if self._refused:
            return
        self.cycle.body += body
        if len(self.cycle.body) > self._limits.body_bytes:
            self._stop(_body_too_large(self._limits.body_bytes))
        if self._chunks > _MAX_SMALL_CHUNKS + len(self.cycle.body) // _CHUNK_BYTES:
            self._stop(RequestError(413, "too_many_chunks", "The body has too many small chunks. Send larger ones."))
        self._state.receive_body(self, len(body))

    def on_message_complete(self) -> None:
        """The request is complete."""
        self._since_progress = 0
        if self._refused:
            return
        self._state.end_request(self)
        super().on_message_complete()
        if self._complete_later is not None:
            cycle, app = self._complete_later
            self._complete_later = None
            self._start_asgi_task(cycle, app)

    def on_response_complete(self) -> None:
        """The response is written."""
        self._active = None
        self._flow.release(held=len(self.pipeline) > 1)
        super().on_response_complete()

    def pause_writing(self) -> None:
        """The client reads more slowly than the response is written."""
        super().pause_writing()
        _cancel(self._write_deadline)
        self._write_deadline = self.loop.call_later(self._limits.write_seconds, self.transport.abort)
        self._state.begin_unread(self)

    def resume_writing(self) -> None:
        """The client has read what was written."""
        super().resume_writing()
        _cancel(self._write_deadline)
        self._state.end_unread(self)

    def shutdown(self) -> None:
        """The server stops: what is incomplete is given up."""
        if self._active is None:
            self.transport.close()
        else:
            super().shutdown()

    def refuse(self, error: RequestError) -> None:
        """Refuse the request that is being read, and end the connection."""
        if self._refused or self.transport.is_closing():
            return
        self._refused = True
        self._state.end_request(self)
        self.pipeline.clear()
        self._complete_later = None
        if self.cycle is not None and self.cycle is not self._active:
            self.cycle.body = bytearray()
        if self._active is not None:
            # The response to an earlier request comes first, and then the end of the connection.
            self._active.keep_alive = False
            return
        answer = self._state.render(error)
        head = [
            STATUS_LINE[answer.status],
            b"content-type: %b\r\nconnection: close\r\n" % answer.media_type.encode(),
            b"" if error.retry_after is None else b"retry-after: %d\r\n" % error.retry_after,
            b"content-length: %d\r\n\r\n" % len(answer.body),
        ]
        self.transport.write(b"".join(head) + answer.body)
        self.transport.write_eof()
        self._lingering = self.loop.call_later(_LINGER_SECONDS, self.transport.abort)

    def time_out(self) -> None:
        """The deadline has passed."""
        seconds = self._limits.body_seconds if self._in_body else self._limits.head_seconds
        if self._flow.held:  # it is not read now
            self.deadline = self.loop.time() + seconds
        elif self._since_progress or self._in_body:
            self.refuse(RequestError(408, "request_timeout", f"The request was not complete after {seconds:g} s."))
        else:
            self._state.end_request(self)
            self.transport.close()

    @property
    def _flow(self) -> "_Flow":
        assert isinstance(self.flow, _Flow)  # noqa: S101 - made in connection_made
        return self.flow

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        """Start the application, when the body is there."""
        if cycle.more_body:
            self._complete_later = cycle, app
        else:
            self._active = cycle
            super()._start_asgi_task(cycle, app)

    def _find_refusal(self) -> RequestError | None:
        """Why the request is refused before its body is read; None if it is not."""
        headers = dict(self.headers)
        length = headers.get(b"content-length", b"0")
        if self._head_bytes > self._limits.head_bytes:
            return _head_too_large(self._limits.head_bytes)
        if self.parser.should_upgrade():
            return RequestError(400, "unsupported_upgrade", "The server speaks HTTP/1.1 only: send no `Upgrade`.")
        if b"origin" in headers or headers.get(b"sec-fetch-site", b"none") != b"none":
            # No page of this server exists. A page of another must not use what listens on its visitor's machine.
            return RequestError(403, "from_browser", "Web pages cannot use this server: call it from a program.")
        if headers.get(b"content-encoding", b"identity").lower() != b"identity":
            return RequestError(415, "unsupported_encoding", "Send the body as it is, without Content-Encoding.")
        if headers.get(b"transfer-encoding", b"chunked").lower() != b"chunked":
            return RequestError(400, "unsupported_encoding", "The only transfer coding that is read is chunked.")
        if length.isdigit() and int(length) > self._limits.body_bytes:
            return _body_too_large(self._limits.body_bytes)
        if len(self.pipeline) >= _MAX_PIPELINED:
            return RequestError(429, "overloaded", "Too many requests wait on this connection.", retry_after=1)
        return None

    def _stop(self, error: RequestError) -> NoReturn:
        """Refuse from within the parser, which stops at an error."""
        self._refusal = error
        raise error

    def _begin_request(self) -> None:
        self.deadline = self.loop.time() + self._limits.head_seconds
        self._state.begin_request(self)


class _Flow(FlowControl):
    """Flow control that can stop reading whatever the application asks for."""

    def __init__(self, transport: "asyncio.Transport") -> None:
        super().__init__(transport)
        self.held = False

    def hold(self) -> None:
        """Read nothing until :meth:`release`."""
        self.held = True
        self.pause_reading()

    def release(self, *, held: bool) -> None:
        """Read again, unless ``held``."""
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
