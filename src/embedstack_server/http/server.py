"""The HTTP server in the endpoint's container: ``GET /ping``, ``POST /invocations`` and ``GET /metrics``."""

import asyncio
import dataclasses
import functools
import gc
import logging
import os
import signal
import socket
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, cast

import orjson
import uvicorn

from embedstack.errors import EmbedStackError
from embedstack_server.compute.encoder import Encoder
from embedstack_server.http.connection import HttpConnection, HttpLimits, HttpState
from embedstack_server.http.metrics import METRICS_TYPE, ServerMetrics, Snapshot
from embedstack_server.http.protocol import Invocation, Response
from embedstack_server.http.requests import RequestError
from embedstack_server.process_resources import limit_heaps, raise_open_files_limit, trim_heaps

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    from embedstack_server.compute.cross_encoder import CrossEncoder
    from embedstack_server.http.protocol import WireProtocol

    Scope = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
    Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
    Headers = tuple[tuple[bytes, bytes], ...]

__all__ = ["ModelServer"]

_logger = logging.getLogger(__name__)

# Pending requests above these limits are rejected with 429: memory stays bounded, and callers are throttled early.
_MAX_PENDING_REQUESTS = 512
_MAX_PENDING_BYTES = 256 * 1024 * 1024
# SageMaker kills a container 30 s after SIGTERM; requests in flight must finish before that.
_DRAIN_SECONDS = 25
# Memory of large requests is returned to the system: blocks of at least this size as soon as they are freed, smaller
# ones a second after the last large request. By default, glibc keeps both in the heaps of the threads that used them,
# and blocks up to 32 MB once loading a model has freed one of that size.
_LARGE_REQUEST_BYTES = 1024 * 1024
_TRIM_AFTER_SECONDS = 1.0
# A worker that finished a batch should not wait Python's default 5 ms for the interpreter lock: a batch of short texts
# takes no longer than that.
_THREAD_SWITCH_SECONDS = 0.0005


class ModelServer:
    """An ASGI application that loads a model in the background and serves requests once it is loaded."""

    def __init__(self, load: "Callable[[], Encoder | CrossEncoder]", protocol: "WireProtocol") -> None:
        """Create a server.

        Args:
            load: Loads the model; may raise :class:`EmbedStackError`.
            protocol: Protocol of ``/invocations``.
        """
        self._load = load
        self._protocol = protocol
        self._model: Encoder | CrossEncoder | None = None
        self._metrics = ServerMetrics()
        self._pending_requests = 0
        self._pending_bytes = 0
        self._trim: asyncio.TimerHandle | None = None

    def load_model(self) -> None:
        """Load the model; afterwards ``/ping`` returns 200.

        Raises:
            EmbedStackError: The model cannot be served.
        """
        self._model = self._load()
        # The model's objects are never freed; scanning them for garbage would delay requests.
        gc.freeze()

    def run(self, listener: socket.socket, keep_alive: int = 75, limits: HttpLimits | None = None) -> int:
        """Serve on a bound socket until SIGTERM or SIGINT, then finish the requests in flight.

        While the model loads, ``/ping`` returns 503. The environment variable ``LOG_LEVEL=debug``, which TEI also
        supports, logs a line for each request.

        Args:
            listener: The socket. SageMaker's containers listen on port 8080.
            keep_alive: Seconds until an idle connection is closed.
            limits: Limits on requests and connections; ``body_bytes`` is always the protocol's limit.

        Returns:
            The process's exit status: 0, or 1 when the model could not be loaded.
        """
        _logger.setLevel(logging.getLevelNamesMapping().get(os.environ.get("LOG_LEVEL", "").upper(), logging.INFO))
        sys.setswitchinterval(_THREAD_SWITCH_SECONDS)
        limit_heaps(_LARGE_REQUEST_BYTES)
        raise_open_files_limit()
        limits = dataclasses.replace(limits or HttpLimits(), body_bytes=self._protocol.payload_limit)
        connection = functools.partial(
            HttpConnection,
            state=HttpState(limits, self._protocol.render_error, self._trim_later, self._count_rejection),
        )
        server = uvicorn.Server(
            uvicorn.Config(
                self,
                access_log=False,
                date_header=False,
                http=cast("type[asyncio.Protocol]", connection),
                interface="asgi3",
                lifespan="off",
                log_config=None,
                log_level=logging.WARNING,
                proxy_headers=False,
                server_header=False,
                timeout_graceful_shutdown=_DRAIN_SECONDS,
                timeout_keep_alive=keep_alive,
                ws="none",
            )
        )
        failed = threading.Event()

        def load() -> None:
            try:
                self.load_model()
            except EmbedStackError as error:
                _logger.error("cannot serve the model: %s", error)  # noqa: TRY400 - the message is complete without a traceback
                failed.set()
            except Exception:
                _logger.exception("cannot serve the model")
                failed.set()
            server.should_exit = failed.is_set()

        threading.Thread(target=load, name="load-model", daemon=True).start()
        for number in (signal.SIGTERM, signal.SIGINT):
            # uvicorn raises the signal again after shutdown; it must not change the exit status.
            signal.signal(number, lambda *_: None)
        server.run(sockets=[listener])
        return int(failed.is_set())

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """The ASGI entry point."""
        match scope["path"], scope["method"]:
            case "/invocations", "POST":
                await self._invocations(scope, receive, send)
            case "/ping", "GET":
                await _send_response(send, *self._ping())
            case "/metrics", "GET":
                await _send_response(send, Response(self._metrics.render(self._snapshot()), METRICS_TYPE))
            case ("/invocations" | "/ping" | "/metrics") as path, _:
                allowed = b"POST" if path == "/invocations" else b"GET"
                await _send_response(send, Response(b"", status=405), ((b"allow", allowed),))
            case _:
                await _send_response(send, Response(b"", status=404))

    def _ping(self) -> "tuple[Response, Headers]":
        if self._model is None:
            return Response(b"", status=503), _retry_after(1)
        if not self._model.is_healthy:
            return Response(b"", status=503), ()
        return Response(orjson.dumps(_description(self._model))), ()

    def _snapshot(self) -> Snapshot:
        if self._model is None:
            return Snapshot(False, self._pending_requests, self._pending_bytes, {}, None)
        labels = {name: str(value) for name, value in _description(self._model).items()}
        workload = self._model.workload()
        return Snapshot(self._model.is_healthy, self._pending_requests, self._pending_bytes, labels, workload)

    def _count_rejection(self, error: RequestError) -> None:
        """Count a request that was rejected before the application received it."""
        self._metrics.count_error(error.error_type)
        self._metrics.count_response(error.status, 0)

    async def _invocations(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        started = time.perf_counter()
        headers: Headers = ()
        try:
            response = await self._respond(scope, receive)
        except _ClientGoneError:
            self._metrics.count_abandoned()
            _logger.info("POST /invocations abandoned by the client")
            return
        except RequestError as error:
            self._metrics.count_error(error.error_type)
            response, headers = self._protocol.render_error(error), _retry_after(error.retry_after)
        except Exception:
            self._metrics.count_error("internal")
            self._metrics.count_response(500, 0)
            raise
        seconds = time.perf_counter() - started
        self._metrics.count_response(response.status, seconds)
        # Logging every successful request would cost more than the server's own work on a short text.
        level = logging.DEBUG if response.status == 200 else logging.INFO
        if _logger.isEnabledFor(level):
            _logger.log(
                level, "POST /invocations %d %d bytes %.1f ms", response.status, len(response.body), seconds * 1000
            )
        await _send_response(send, response, headers)
        self._trim_later(len(response.body))

    async def _respond(self, scope: "Scope", receive: "Receive") -> Response:
        if self._model is None:
            raise RequestError(503, "not_ready", "The model is still loading. Retry in a second.", retry_after=1)
        if self._pending_requests >= _MAX_PENDING_REQUESTS or self._pending_bytes >= _MAX_PENDING_BYTES:
            raise RequestError(
                429,
                "overloaded",
                f"{self._pending_requests} requests are pending. Send fewer concurrent requests.",
                retry_after=1,
            )
        self._pending_requests += 1
        size = 0
        try:
            body = await _read_body(receive, self._protocol.payload_limit)
            size = len(body)
            self._pending_bytes += size
            headers = _headers(scope)
            invocation = Invocation(body, headers.get(b"accept"), headers.get(b"content-type"))
            return await _unless_disconnected(self._protocol.respond(self._model, invocation), receive)
        except EmbedStackError as error:
            raise RequestError.from_error(error) from error
        finally:
            self._pending_requests -= 1
            self._pending_bytes -= size
            self._trim_later(size)

    def _trim_later(self, size: int) -> None:
        """Schedule a trim of the heaps after a large request or response.

        Args:
            size: Bytes of a request or response that was freed.
        """
        if size <= _LARGE_REQUEST_BYTES:
            return
        if self._trim is not None:
            self._trim.cancel()
        loop = asyncio.get_running_loop()
        self._trim = loop.call_later(_TRIM_AFTER_SECONDS, lambda: loop.run_in_executor(None, trim_heaps))


def _description(model: "Encoder | CrossEncoder") -> dict[str, Any]:
    """What ``/ping`` and ``/metrics`` say about a model."""
    description: dict[str, Any] = {
        "model_id": model.model.model_id,
        "kind": model.model.kind,
        "max_tokens": model.model.max_tokens,
        "precision": model.precision,
    }
    if isinstance(model, Encoder):
        description |= {"dimensions": model.model.dimensions, "pooling": model.model.pooling}
    return description


class _ClientGoneError(Exception):
    """The client closed its connection before the response."""


async def _read_body(receive: "Receive", limit: int) -> bytes:
    """Read the whole body; reject it as soon as it exceeds the limit."""
    message = await receive()
    body: bytes = message.get("body", b"")
    if message.get("more_body"):
        parts = bytearray(body)
        while message.get("more_body") and len(parts) <= limit:
            message = await receive()
            parts += message.get("body", b"")
        body = bytes(parts)
    if message["type"] == "http.disconnect":
        raise _ClientGoneError
    if len(body) > limit:
        raise RequestError(413, "payload_too_large", f"The body is over the limit of {limit} bytes.")
    return body


async def _unless_disconnected(responding: "Awaitable[Response]", receive: "Receive") -> Response:
    """Await the response; cancel the work on it if the client disconnects first."""
    working = asyncio.current_task()
    gone = False

    def stop(_: object) -> None:
        nonlocal gone
        gone = True
        if working is not None:
            working.cancel()

    # After the body, the only message left to receive is the disconnect.
    watching = asyncio.ensure_future(receive())
    watching.add_done_callback(stop)
    try:
        return await responding
    except asyncio.CancelledError:
        if gone:
            raise _ClientGoneError from None
        raise
    finally:
        watching.remove_done_callback(stop)
        watching.cancel()


async def _send_response(send: "Send", response: Response, more_headers: "Headers" = ()) -> None:
    headers = [
        (b"content-type", response.media_type.encode()),
        (b"content-length", str(len(response.body)).encode()),
        *more_headers,
    ]
    if response.custom_attributes is not None:
        headers.append((b"x-amzn-sagemaker-custom-attributes", response.custom_attributes.encode()))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": response.body})


def _retry_after(seconds: int | None) -> "Headers":
    return () if seconds is None else ((b"retry-after", str(seconds).encode()),)


def _headers(scope: "Scope") -> dict[bytes, str]:
    """Headers by name; repeated headers are joined with commas (RFC 9110)."""
    headers: dict[bytes, str] = {}
    for name, value in scope["headers"]:
        text = value.decode("latin-1")
        headers[name] = f"{headers[name]}, {text}" if name in headers else text
    return headers
